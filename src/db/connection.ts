import type pg from "pg";
import { RemError } from "../errors.ts";
import { isJsonNumber } from "../models/json-number.ts";
import { writeJson } from "../models/json-text.ts";
import {
	compile,
	ident,
	join,
	literal,
	type Sql,
	type Statement,
	sql,
	toText,
} from "../sql.ts";
import { cancelSettled } from "./cancel-request.ts";
import type {
	Handle,
	QueryOptions,
	Result,
	TransactionOptions,
} from "./database.ts";
import { timestampText } from "./encode.ts";
import { takeQueryOptions } from "./query-options.ts";
import {
	isReadOnlyByDefault,
	localSettings,
	type PinOptions,
	pinSettings,
} from "./session-settings.ts";
import {
	isConnectionLost,
	isReadOnlyServer,
	isUnconfirmedCommit,
	readOnlyBySetting,
	runsOutsideTransactions,
	toRemError,
} from "./sql-state.ts";
import {
	mayRefuseUnlogged,
	noteUnloggedRead,
	refuseOnStandby,
} from "./standby.ts";
import { untilStopped } from "./stoppable.ts";
import { takeTurns } from "./take-turns.ts";
import { withTimeLimit } from "./time-limit.ts";
import {
	describeSettings,
	isolationSql,
	takeTransactionOptions,
} from "./transaction-options.ts";

/** Before the first statement of a new connection. */
export function prepareClient(
	client: pg.ClientBase,
	options: PinOptions,
): Promise<void> {
	takeTurns(client);
	client.on("notice", (notice) => {
		if (isUnconfirmedCommit(notice)) unconfirmed.add(client);
	});
	return pinSettings(client, options);
}

/** Connections whose last statement was committed here, and perhaps nowhere else. */
const unconfirmed = new WeakSet<pg.ClientBase>();

function refuseUnconfirmed(client: pg.ClientBase): void {
	if (!unconfirmed.delete(client)) return;
	throw new RemError(
		"OUTCOME_UNKNOWN",
		"the wait for a synchronous standby was cancelled: what was committed may be lost in a failover",
		{
			hint: "write it again once the standby is back",
			sqlState: "01000",
		},
	);
}

/** What failed before anything was sent: whatever it is, it is about connecting. */
export function cannotConnect(address: string, failure: RemError): RemError {
	const { code, message, hint, sqlState, cause } = failure;
	return new RemError(
		code === "DATABASE" ? "CONNECTION_FAILED" : code,
		`cannot connect to ${address}: ${message}`,
		{
			hint:
				hint ??
				"check the address: host, port, database, user, and parameters such as options",
			...(sqlState === undefined ? {} : { sqlState }),
			cause,
		},
	);
}

/** The connection was lost while the server was at it. */
export function outcomeUnknown(what: string, lost: unknown): RemError {
	const { cause } = lost as RemError;
	return new RemError(
		"OUTCOME_UNKNOWN",
		`the connection was lost during ${what}: it may or may not have been applied`,
		{ hint: "run it again if it may be applied twice", cause },
	);
}

/**
 * Runs the work in one transaction of the connection; an answer that takes
 * longer than `timeoutMs` ends both.
 */
export async function runTransaction<T>(
	client: pg.ClientBase,
	facts: DatabaseFacts,
	work: (tx: Handle) => Promise<T>,
	options: TransactionOptions,
	queryTimeoutMs?: number,
): Promise<T> {
	const tx = new TransactionHandle(
		client,
		facts,
		queryTimeoutMs,
		isLimited(options),
	);
	const isolation = isolationSql(options.isolation);
	// READ WRITE is not said: a standby would refuse the word itself.
	const access = options.readOnly === true ? " READ ONLY" : "";
	await tx
		.script(
			`BEGIN ISOLATION LEVEL ${isolation}${access}${localSettings(client)}${setting(options.settings ?? {})}`,
		)
		.catch((error: unknown) => {
			throw describeSettings(error);
		});
	let result: T;
	try {
		result = await work(tx);
	} catch (error) {
		await cancelSettled(client);
		await tx.rollback();
		throw error;
	}
	await tx.commit();
	return result;
}

/** Whether its statements may take no longer than the service's `queryTimeoutMs`. */
export function isLimited(unit: QueryOptions | TransactionOptions): boolean {
	return unit.idempotent === true || unit.isLimited === true;
}

/** A transaction's handle; its own transactions are savepoints. */
class TransactionHandle implements Handle {
	readonly #client: pg.ClientBase;
	readonly #facts: DatabaseFacts;
	/** The longest time of a statement that is limited. */
	readonly #timeLimit: { readonly timeoutMs?: number };
	/** That of all others: none, or the same. */
	readonly #limit: { readonly timeoutMs?: number };
	readonly #end: { isOver: boolean };
	#depth = 0;

	constructor(
		client: pg.ClientBase,
		facts: DatabaseFacts,
		queryTimeoutMs: number | undefined,
		limitsAll: boolean,
		end = { isOver: false },
	) {
		this.#client = client;
		this.#end = end;
		this.#timeLimit =
			queryTimeoutMs === undefined ? {} : { timeoutMs: queryTimeoutMs };
		this.#limit = limitsAll ? this.#timeLimit : {};
		this.#facts = facts;
	}

	async query<R>(statement: Sql | Statement, given: QueryOptions = {}) {
		this.#refuseEnded();
		const options = takeQueryOptions(given);
		const limit = isLimited(options) ? this.#timeLimit : this.#limit;
		const limited = { ...limit, ...options, isInside: true };
		return send<R>(this.#client, statement, withName(limited, this.#facts));
	}

	async script(text: string): Promise<Result[]> {
		this.#refuseEnded();
		return sendScript(this.#client, text, { ...this.#limit, isInside: true });
	}

	async transaction<T>(
		work: (tx: Handle) => Promise<T>,
		options: TransactionOptions = {},
	): Promise<T> {
		if (typeof work !== "function")
			throw new RemError("VALIDATION", "work must be a function");
		const { settings = {} } = takeTransactionOptions(options);
		const savepoint = `rem_${++this.#depth}`;
		const shown = await this.script(
			`${showing(settings)}SAVEPOINT ${savepoint}${setting(settings)}`,
		);
		const before = Object.assign({}, ...shown.flatMap(({ rows }) => rows));
		try {
			const result = await work(isLimited(options) ? this.#limited() : this);
			// What was set would outlive the savepoint.
			await this.script(`RELEASE SAVEPOINT ${savepoint}${setting(before)}`);
			return result;
		} catch (error) {
			await this.script(`ROLLBACK TO SAVEPOINT ${savepoint}`).catch(() => {
				// The connection is gone: the first error says so.
			});
			throw error;
		}
	}

	vectorOid(): Promise<number> {
		return vectorOid(this, this.#facts);
	}

	/** The same transaction, in which no statement may take longer. */
	#limited(): TransactionHandle {
		const { timeoutMs } = this.#timeLimit;
		return new TransactionHandle(
			this.#client,
			this.#facts,
			timeoutMs,
			true,
			this.#end,
		);
	}

	/** The connection is another caller's by then: what is sent would be part of that one's work. */
	#refuseEnded(): void {
		if (!this.#end.isOver) return;
		throw new RemError(
			"VALIDATION",
			"the transaction of this handle has ended",
			{
				hint: "await every call inside of transaction(), and use its handle there only",
			},
		);
	}

	async rollback(): Promise<void> {
		const rolledBack = this.script("ROLLBACK").catch(() => {
			// The connection is gone, and the transaction with it.
		});
		this.#end.isOver = true;
		await rolledBack;
	}

	/** A connection lost while COMMIT is under way tells nobody whether it happened. */
	async commit(): Promise<void> {
		this.#end.isOver = true;
		let command: string;
		try {
			({ command } = await withTimeLimit(
				this.#client,
				this.#limit.timeoutMs,
				(limit) => this.#client.query({ text: "COMMIT", ...limit }),
			));
		} catch (error) {
			const failure = toRemError(error);
			if (!isConnectionLost(failure)) throw failure;
			throw outcomeUnknown("COMMIT", failure);
		}
		refuseUnconfirmed(this.#client);
		// PostgreSQL answers a COMMIT after a failed statement with ROLLBACK, and no error.
		if (command === "ROLLBACK")
			throw new RemError(
				"DATABASE",
				"the transaction was rolled back: one of its statements had failed",
				{ hint: "do not catch an error inside a transaction and go on" },
			);
	}
}

type TransactionStatus = "I" | "T" | "E" | null;

/** Idle, in a transaction, or in a failed one; what the server said last. */
function statusOf(client: pg.ClientBase): TransactionStatus {
	const { getTransactionStatus } = client as unknown as {
		getTransactionStatus(): TransactionStatus;
	};
	return getTransactionStatus.call(client);
}

/** Whether the server has said all that belongs to the last statement. */
function isReady(client: pg.ClientBase): boolean {
	return (client as unknown as { readyForQuery: boolean }).readyForQuery;
}

/** A text with a BEGIN of its own must not leave its transaction to the next one. */
export async function refuseOpenTransaction(
	client: pg.ClientBase,
): Promise<void> {
	if (statusOf(client) !== "T") return;
	await client.query("ROLLBACK");
	throw new RemError(
		"DATABASE",
		"the text left a transaction open: it was rolled back",
		{ hint: "end it with COMMIT, or use service.transaction()" },
	);
}

/** Returns whether the connection can be used again. */
export async function rollBackIfOpen(client: pg.ClientBase): Promise<boolean> {
	try {
		// An error arrives before the word on the transaction that it left open: an
		// empty statement is answered behind that.
		if (!isReady(client)) await client.query("");
		if (statusOf(client) !== "I") await client.query("ROLLBACK");
		return true;
	} catch {
		return false;
	}
}

/** To be sent in one text with BEGIN: settings cost no round trip of their own. */
function setting(settings: Readonly<Record<string, string>>): string {
	const statements = Object.entries(settings).map(
		([name, value]) => sql`; SET LOCAL ${ident(name)} = ${literal(value)}`,
	);
	return toText(join(statements, ""));
}

/** Asked so that a setting of our own, which nobody has set before, is empty and no error. */
function showing(settings: Readonly<Record<string, string>>): string {
	const statements = Object.keys(settings).map(
		(name) =>
			sql`SELECT coalesce(current_setting(${literal(name)}, true), '') AS ${ident(name)}; `,
	);
	return toText(join(statements, ""));
}

/** A statement of a transaction that is open already. */
interface Inside {
	readonly isInside?: boolean;
}

/** Where a connection keeps no settings, a statement is a transaction that makes them first: three messages, one round trip. */
async function withLocalSettings(
	client: pg.ClientBase,
	config: pg.QueryConfig,
	{ isInside = false }: Inside,
): Promise<pg.QueryResult> {
	const settings = localSettings(client);
	if (isInside || settings === "") return client.query(config);
	const sent = [
		client.query(`BEGIN ISOLATION LEVEL READ COMMITTED${settings}`),
		client.query(config),
		client.query("COMMIT"),
	] as const;
	for (const answer of sent)
		answer.catch(() => {
			// The first failure is thrown below.
		});
	try {
		await sent[0];
		const answer = await sent[1];
		await sent[2];
		return answer;
	} catch (error) {
		// VACUUM and the like were refused before they did anything.
		if (!runsOutsideTransactions(error)) throw error;
		await sent[2];
		return client.query(config);
	}
}

export async function send<R>(
	client: pg.ClientBase,
	statement: Sql | Statement,
	options: QueryOptions & Inside = {},
): Promise<Result<R>> {
	const { text, values } = toStatement(statement);
	const { readsUnlogged = false } = options;
	if (readsUnlogged) refuseOnStandby(client);
	// A refusal would end the transaction.
	const isTrial =
		readsUnlogged && statusOf(client) !== "I" && mayRefuseUnlogged(client);
	try {
		if (isTrial) await client.query("SAVEPOINT rem_trial");
		const config: pg.QueryConfig = {
			text,
			values: values.map(parameter),
			name: options.name as string,
		};
		const answer = await untilStopped(client, options.signal, () =>
			withTimeLimit(client, options.timeoutMs, (limit) =>
				withLocalSettings(client, { ...config, ...limit }, options),
			),
		);
		if (readsUnlogged) noteUnloggedRead(client, undefined);
		refuseUnconfirmed(client);
		// Without values it may be a text of several statements: the last one counts.
		const result = Array.isArray(answer) ? answer.at(-1) : answer;
		return {
			rows: (result?.rows ?? []) as R[],
			rowCount: result?.rowCount ?? 0,
		};
	} catch (error) {
		const failure = toRemError(error);
		if (readsUnlogged) noteUnloggedRead(client, failure.sqlState);
		if (isTrial)
			await client.query("ROLLBACK TO SAVEPOINT rem_trial").catch(() => {
				// The connection is gone: the failure says so.
			});
		throw ofFrozenDatabase(client, failure);
	}
}

/** The statement as the driver takes it; throws `VALIDATION` for what is none. */
function toStatement(statement: Sql | Statement): Statement {
	try {
		if ("parts" in statement) return compile(statement);
		const { text, values } = statement;
		if (typeof text === "string" && Array.isArray(values)) return statement;
	} catch {
		// It is no object, or one that cannot be read.
	}
	throw new RemError("VALIDATION", "the statement is neither SQL nor a text", {
		hint: "make it with the tag sql, or as { text, values }; script() takes a text without values",
	});
}

/** A database that is read-only by a setting is no standby: no other connection leads to a primary. */
function ofFrozenDatabase(client: pg.ClientBase, failure: RemError): RemError {
	return isReadOnlyServer(failure) && isReadOnlyByDefault(client)
		? readOnlyBySetting(failure)
		: failure;
}

/** What the driver would write in its own way: dates, and JSON with exact numbers. */
function parameter(value: unknown): unknown {
	if (typeof value !== "object" || value === null) return value;
	if (value instanceof Date) return timestampText(value);
	if (isJsonNumber(value)) return value.text;
	if (Array.isArray(value)) return value.map(parameter);
	return Object.getPrototypeOf(value) === Object.prototype
		? writeJson(value)
		: value;
}

export async function sendScript(
	client: pg.ClientBase,
	text: string,
	limit: { readonly timeoutMs?: number } & Inside = {},
): Promise<Result[]> {
	if (typeof text !== "string" || text.includes("\0"))
		throw new RemError(
			"VALIDATION",
			"a script must be a string without NUL characters",
		);
	try {
		const result: unknown = await withTimeLimit(
			client,
			limit.timeoutMs,
			(limited) => withLocalSettings(client, { text, ...limited }, limit),
		);
		refuseUnconfirmed(client);
		const results = (
			Array.isArray(result) ? result : [result]
		) as pg.QueryResult[];
		return results.map(({ rows, rowCount }) => ({
			rows,
			rowCount: rowCount ?? 0,
		}));
	} catch (error) {
		throw ofFrozenDatabase(client, toRemError(error));
	}
}

/** What is found out about a database, once for all its connections. */
export interface DatabaseFacts {
	vectorOid?: number;
	/** A pooler in between gives each transaction another connection, without the named statements. */
	losesNames?: boolean;
}

/** The options, without the name where names are lost. */
export function withName(
	options: QueryOptions = {},
	{ losesNames = false }: DatabaseFacts,
): QueryOptions {
	const isLost = losesNames && options.name !== undefined;
	return isLost ? { ...options, name: undefined } : options;
}

export async function vectorOid(
	handle: Handle,
	facts: DatabaseFacts,
): Promise<number> {
	facts.vectorOid ??= await readVectorOid(handle);
	return facts.vectorOid;
}

async function readVectorOid(handle: Handle): Promise<number> {
	const { rows } = await handle.query<{ oid: number }>(sql`
SELECT t.oid::integer AS oid
FROM pg_type t
JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'vector' AND t.typname = 'vector'`);
	const [type] = rows;
	if (type !== undefined) return type.oid;
	throw new RemError("EXTENSION_MISSING", "extension vector is not installed", {
		hint: "run `rem migrate` or service.migrate() first",
	});
}
