/** Every code a {@link RemError} can carry; docs/errors.md has a heading for each. */
export const errorCodes = [
	"VALIDATION",
	"TENANT_MISMATCH",
	"TENANT_REQUIRED",
	"DUPLICATE_KEY",
	"UNKNOWN_ENTITY",
	"UNKNOWN_FIELD",
	"FIELD_NOT_EMBEDDED",
	"INPUT_LIMIT",
	"QUERY_SYNTAX",
	"FILTER_REFUSED",
	"CONFIG_INVALID",
	"PROVIDER_NOT_CONFIGURED",
	"PROVIDER_FAILED",
	"PROVIDER_RATE_LIMITED",
	"DIMENSION_MISMATCH",
	"CONNECTION_FAILED",
	"POOL_TIMEOUT",
	"QUERY_TIMEOUT",
	"OUTCOME_UNKNOWN",
	"SERVER_UNSUPPORTED",
	"EXTENSION_MISSING",
	"SCHEMA_DRIFT",
	"TABLE_CONFLICT",
	"MIGRATION_FAILED",
	"INDEX_FAILED",
	"EMBEDDED_LOCKED",
	"DATABASE",
	"CANCELLED",
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/** One problem of the input: which row (0-based), which field, and why. */
export interface Issue {
	readonly index?: number;
	readonly field?: string;
	readonly message: string;
}

export interface RemErrorOptions {
	/** What to do about it, as a sentence for the user. */
	readonly hint?: string;
	readonly cause?: unknown;
	/** PostgreSQL's five-character SQLSTATE, when the database refused. */
	readonly sqlState?: string;
	/** Every problem found, when there is more than one. */
	readonly issues?: readonly Issue[];
	/** Of a text that cannot be read: the character where, counted from 1. */
	readonly position?: number | undefined;
	/** Entities of a batch that are committed all the same, from its beginning. */
	readonly committed?: number;
}

/**
 * The only error this library throws.
 *
 * `message` names what is wrong, `hint` the remedy, `code` is
 * for programs. No message carries a password, a key or the content of a row.
 *
 * @example
 * try { await service.lookupEntities({ entityKeys: [], tenantId: "" }) }
 * catch (error) { if (error instanceof RemError) console.error(error.code, error.hint) }
 */
export class RemError extends Error {
	override readonly name = "RemError";
	readonly code: ErrorCode;
	readonly hint: string | undefined;
	readonly sqlState: string | undefined;
	readonly issues: readonly Issue[];
	/** Of a text that cannot be read: the character where, counted from 1, as JavaScript counts. */
	readonly position: number | undefined;
	/** Of a batch that is committed in chunks: how many entities are, from its beginning. */
	readonly committed: number | undefined;

	constructor(code: ErrorCode, message: string, given: RemErrorOptions = {}) {
		const options = readable(given);
		super(
			bounded(message),
			options.cause === undefined ? undefined : { cause: options.cause },
		);
		this.code = code;
		this.hint = options.hint === undefined ? undefined : bounded(options.hint);
		this.sqlState = options.sqlState;
		this.issues = options.issues ?? [];
		this.position = options.position;
		this.committed = options.committed;
	}

	/** The form the command prints with `--json`; the cause stays out of it. */
	toJSON(): Record<string, unknown> {
		return {
			code: this.code,
			message: this.message,
			...(this.hint === undefined ? {} : { hint: this.hint }),
			...(this.sqlState === undefined ? {} : { sql_state: this.sqlState }),
			...(this.issues.length === 0 ? {} : { issues: this.issues }),
			...(this.position === undefined ? {} : { position: this.position }),
			...(this.committed === undefined ? {} : { committed: this.committed }),
		};
	}
}

/** The same error with one more remedy. */
export function withHint(error: RemError, more: string): RemError {
	const hint = error.hint === undefined ? more : `${error.hint}; ${more}`;
	return withParts(error, { hint });
}

/** The same error with other parts: what the change does not name stays. */
export function withParts(
	error: RemError,
	change: RemErrorOptions & { readonly message?: string },
): RemError {
	const { code, hint, cause, sqlState, issues, position, committed } = error;
	return new RemError(code, change.message ?? error.message, {
		...(hint === undefined ? {} : { hint }),
		...(sqlState === undefined ? {} : { sqlState }),
		...(committed === undefined ? {} : { committed }),
		cause,
		issues,
		position,
		...change,
	});
}

/** Whether the error is ours. A value that cannot even be asked is not. */
export function isRemError(error: unknown): error is RemError {
	try {
		return error instanceof RemError;
	} catch {
		return false; // a proxy that was revoked
	}
}

/** Errors that come through as they are: of a caller's source of entities, or of the text of an export, and of what takes one. */
const callersOwn = new WeakSet<object>();

export function markCallersOwn(error: object): void {
	callersOwn.add(error);
}

/** Whether code of the caller's threw it. */
export function isCallersOwn(error: unknown): boolean {
	return typeof error === "object" && error !== null && callersOwn.has(error);
}

/** Runs a function of the caller's, or its iterator's; what that throws comes through as it is. */
export async function callersOwnErrors<T>(
	work: () => T | Promise<T>,
): Promise<T> {
	try {
		return await work();
	} catch (error) {
		if (typeof error === "object" && error !== null) markCallersOwn(error);
		throw error;
	}
}

/** The error as a public method throws it: what code of the caller's threw is its cause. */
export function asRemError(error: unknown, call: string): unknown {
	if (isRemError(error)) return error;
	if (isCallersOwn(error)) return error;
	return new RemError(
		"VALIDATION",
		`${call} cannot use a value that was passed to it: an error was thrown while it was read`,
		{
			hint: "pass plain objects and arrays; the cause is what a getter, a proxy or a function threw (if it comes from remdb itself, please report it)",
			cause: error,
		},
	);
}

/** Runs a function that reads the caller's values; whatever is thrown is a `RemError`. */
export function reading<T>(call: string, work: () => T): T {
	try {
		return work();
	} catch (error) {
		throw asRemError(error, call);
	}
}

/** An error is thrown for what is wrong elsewhere: its own arguments must not hide that. */
function readable(given: RemErrorOptions): RemErrorOptions {
	try {
		const options = { ...given };
		// A list may have any length, and holes.
		const issues = [...(options.issues ?? []).slice(0, maxIssues)];
		return { ...options, issues: issues.map(boundedIssue) };
	} catch {
		return {};
	}
}

/** Bytes of a message or hint in UTF-8: what they quote may be of any length. */
export const longestMessage = 2048;
/** Problems that an error lists. */
export const maxIssues = 10_000;

const bytesOfBeginning = 1500;
const bytesOfEnd = 450;

/** The text, or its beginning and its end: the problem is in one of them. */
function bounded(given: string): string {
	const text = typeof given === "string" ? given : "(no message)";
	// UTF-8 has at most 3 bytes for a UTF-16 unit.
	if (text.length * 3 <= longestMessage) return text;
	if (Buffer.byteLength(text) <= longestMessage) return text;
	// A slice first: a text of any length would be encoded twice.
	const head = Buffer.from(text.slice(0, bytesOfBeginning));
	const tail = Buffer.from(text.slice(-bytesOfEnd));
	const beginning = head.subarray(0, bytesOfBeginning).toString();
	const end = tail.subarray(-bytesOfEnd).toString();
	return `${beginning.replace(/\uFFFD+$/, "")} [… ${text.length} characters …] ${end.replace(/^\uFFFD+/, "")}`;
}

function boundedIssue(issue: Issue): Issue {
	const message = bounded(issue.message);
	const field = issue.field === undefined ? undefined : bounded(issue.field);
	return message === issue.message && field === issue.field
		? issue
		: { ...issue, message, ...(field === undefined ? {} : { field }) };
}

/** Whether it was a provider that gave no vectors, or none could be asked. */
export function isProviderError(error: unknown): error is RemError {
	return error instanceof RemError && error.code.startsWith("PROVIDER_");
}
