import { type ErrorCode, RemError } from "../errors.ts";

/**
 * What stands between a text and its vector:
 * - `setup`: the key, the address or the model is not accepted
 * - `busy`: too many calls (429), or the account's credit is used up
 * - `down`: not reached, an error of the server (5xx), no answer in time
 * - `broken`: refuses even a plain word, or answers with a status we do not know
 * - `answer`: what came back is not vectors of these texts
 * - `text`: this very text is refused, and will be again
 */
export type FailureKind =
	| "setup"
	| "busy"
	| "down"
	| "broken"
	| "answer"
	| "text";

export interface FailureDetails {
	readonly hint?: string;
	/** How long the provider asks to wait; Infinity: waiting does not help. */
	readonly retryAfterMs?: number | undefined;
}

/**
 * A call to a provider that gave no vectors. Its message continues the words
 * `embedding provider "…"` and is made of our own words, numbers and names we
 * know: what the provider says may quote the key or a text.
 */
export class CallFailure extends Error {
	override readonly name = "CallFailure";
	readonly kind: FailureKind;
	readonly hint: string | undefined;
	readonly retryAfterMs: number | undefined;

	constructor(
		kind: FailureKind,
		message: string,
		{ hint, retryAfterMs }: FailureDetails = {},
	) {
		super(message);
		this.kind = kind;
		this.hint = hint;
		this.retryAfterMs = retryAfterMs;
	}
}

/** Whatever a provider threw, as a failure: by its HTTP status, its system error code or, without either, as the text's fault. */
export function failureOf(thrown: unknown): CallFailure {
	if (thrown instanceof CallFailure) return thrown;
	if (thrown instanceof RemError) return ownFailure(thrown);
	const { status, statusCode, headers, responseHeaders, isRetryable } = (
		typeof thrown === "object" && thrown !== null ? thrown : {}
	) as Readonly<Record<string, unknown>>;
	for (const number of [status, statusCode])
		if (typeof number === "number")
			return statusFailure(number, headersOf(headers ?? responseHeaders));
	const code = systemCode(thrown);
	if (code !== undefined || isRetryable === true) return unreachable(code);
	return new CallFailure("text", `failed with ${nameOf(thrown)}`);
}

/** A provider may throw our own error: its words are meant to be read. */
function ownFailure({ code, message, hint }: RemError): CallFailure {
	const kind = failureKinds.find((kind) => codes[kind] === code) ?? "broken";
	const isFailed = code === "PROVIDER_FAILED";
	return new CallFailure(isFailed ? "broken" : kind, `failed: ${message}`, {
		...(hint === undefined ? {} : { hint }),
	});
}

/**
 * An answer that does not fit its texts. Halves of them will show whether one
 * of the texts is behind it: some servers leave out what they cannot embed.
 */
export function mismatch(
	texts: readonly string[],
	message: string,
): CallFailure {
	return new CallFailure(texts.length > 1 ? "text" : "answer", message);
}

export function unreachable(code: string | undefined): CallFailure {
	return new CallFailure(
		"down",
		`could not be reached${code === undefined ? "" : ` (${code})`}`,
		{ hint: "check its address and the network; nothing was stored" },
	);
}

// ECONNREFUSED, ENOTFOUND and undici's own; a certificate's error is none of them.
const systemCodes = /^(E[A-Z]+|EAI_AGAIN|UND_ERR_[A-Z_]+)$/;

/** The code of the system error behind an error of `fetch`, a few causes down. */
export function systemCode(thrown: unknown): string | undefined {
	let error = thrown;
	for (let depth = 0; depth < 4; depth++) {
		if (typeof error !== "object" || error === null) return undefined;
		const { code, cause } = error as { code?: unknown; cause?: unknown };
		if (typeof code === "string" && systemCodes.test(code)) return code;
		error = cause;
	}
	return undefined;
}

function nameOf(thrown: unknown): string {
	const name = thrown instanceof Error ? thrown.name : typeof thrown;
	return /^\w{1,40}$/.test(name) ? name : "an error";
}

export type Headers = (name: string) => string | null | undefined;

function headersOf(headers: unknown): Headers {
	if (typeof headers !== "object" || headers === null) return () => undefined;
	const { get } = headers as { get?: unknown };
	if (typeof get === "function")
		return (name) => get.call(headers, name) as string | null;
	return (name) => (headers as Readonly<Record<string, string>>)[name];
}

/** The failure that an HTTP status stands for. `reason` is the provider's error code, of which only known ones are repeated. */
export function statusFailure(
	status: number,
	headers: Headers,
	reason?: unknown,
): CallFailure {
	const known = knownReasons.find((name) => name === reason);
	const said = `(status ${status}${known === undefined ? "" : `, ${known}`})`;
	switch (kindOf(status, known)) {
		case "setup":
			return setupFailure(status, said, known);
		case "credit":
			return new CallFailure("busy", `has no credit left for us ${said}`, {
				hint: "check plan and billing with the provider",
				retryAfterMs: Number.POSITIVE_INFINITY,
			});
		case "busy":
			return new CallFailure("busy", `limits the rate of our calls ${said}`, {
				hint: "try again later, or set requestsPerMinute and tokensPerMinute to what the account allows",
				retryAfterMs: retryAfterMs(headers),
			});
		case "down":
			return new CallFailure("down", `answered with an error ${said}`, {
				hint: "try again later; nothing was stored for these texts",
				retryAfterMs: retryAfterMs(headers),
			});
		case "text":
			return new CallFailure("text", `refused the text ${said}`);
		case "broken":
			return new CallFailure("broken", `answered with an error ${said}`);
	}
}

const knownReasons = [
	"insufficient_quota",
	"billing_hard_limit_reached",
	"rate_limit_exceeded",
	"invalid_api_key",
	"model_not_found",
	"context_length_exceeded",
	"max_tokens_per_request",
	"unsupported_country_region_territory",
] as const;

type Reason = (typeof knownReasons)[number];

// 424 is what text-embeddings-inference says when its backend failed, 498 what
// Cohere says of a text with a token it does not allow.
const downStatuses = new Set([408, 409, 424, 425]);
const textStatuses = new Set([400, 413, 422, 498]);
const setupStatuses = new Set([401, 403, 404, 405, 410]);

function kindOf(
	status: number,
	reason: Reason | undefined,
): Exclude<FailureKind, "answer"> | "credit" {
	if (
		status === 402 ||
		reason === "insufficient_quota" ||
		reason === "billing_hard_limit_reached"
	)
		return "credit";
	if (reason === "invalid_api_key" || reason === "model_not_found")
		return "setup";
	if (status === 429) return "busy";
	if (status >= 500 || downStatuses.has(status)) return "down";
	if (textStatuses.has(status)) return "text";
	// A redirect is not followed: the texts would go to another address.
	return status < 400 || setupStatuses.has(status) ? "setup" : "broken";
}

function setupFailure(
	status: number,
	said: string,
	reason: Reason | undefined,
): CallFailure {
	if (status === 401 || status === 403 || reason === "invalid_api_key")
		return new CallFailure("setup", `refused the key ${said}`, {
			hint: "check the provider's API key and what it may be used for",
		});
	return new CallFailure("setup", `does not offer this model there ${said}`, {
		hint: "check EMBEDDING__MODEL and EMBEDDING__BASE_URL",
	});
}

/** What `retry-after-ms` or `retry-after` (seconds or an HTTP date) asks for, in milliseconds. */
export function retryAfterMs(headers: Headers): number | undefined {
	const milliseconds = waitOf(headers("retry-after-ms"), 1);
	if (milliseconds !== undefined) return milliseconds;
	const after = headers("retry-after");
	const seconds = waitOf(after, 1000);
	if (seconds !== undefined || !after) return seconds;
	const until = Date.parse(after);
	return Number.isNaN(until) ? undefined : Math.max(0, until - Date.now());
}

function waitOf(
	text: string | null | undefined,
	unitMs: number,
): number | undefined {
	return text && /^\s*\d+(\.\d+)?\s*$/.test(text)
		? Number(text) * unitMs
		: undefined;
}

const codes: Readonly<Record<FailureKind, ErrorCode>> = {
	setup: "PROVIDER_NOT_CONFIGURED",
	busy: "PROVIDER_RATE_LIMITED",
	down: "PROVIDER_FAILED",
	broken: "PROVIDER_FAILED",
	answer: "PROVIDER_FAILED",
	text: "PROVIDER_FAILED",
};

/** The failure as users see it. It has no cause: that would carry what the provider said. */
export function providerError(
	provider: { readonly name: string },
	{ kind, message, hint }: CallFailure,
	{ suffix = "", issues = [] as RemError["issues"] } = {},
): RemError {
	return new RemError(
		codes[kind],
		`embedding provider "${provider.name}" ${message}${suffix}`,
		{ ...(hint === undefined ? {} : { hint }), issues },
	);
}
