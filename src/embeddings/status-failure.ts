import type { ErrorReason, Reason } from "./error-reason.ts";
import { CallFailure, type FailureKind } from "./failure.ts";
import { type HeaderReader, retryAfterMs } from "./retry.ts";

interface AnswerBody {
	readonly body?: ErrorReason;
	/** What of the server's own words may be repeated. */
	readonly words?: string | undefined;
}

/**
 * The failure that an HTTP status represents, and what the body reports of its
 * reason. Proxies wrap one in the other: an empty account in a 403, a refused
 * text in a 500, any error in a 200.
 */
export function statusFailure(
	answered: number,
	headers: HeaderReader,
	{ body = {}, words }: AnswerBody,
): CallFailure {
	const { reason, status: stated, maxTexts } = body;
	const answer = `(status ${answered}${reason === undefined ? "" : `, ${reason}`})`;
	const status = effectiveStatus(answered, stated);
	const meaning: Meaning = meanings[meaningOf(status, reason)];
	const { kind, message, hint } = meaning;
	// Of a refused text, the server's words may well be the text's.
	const quoted = words === undefined || kind === "text" ? "" : `: ${words}`;
	return new CallFailure(kind, `${message} ${answer}${quoted}`, {
		hint,
		status,
		maxTexts,
		isLength:
			reason === "context_length_exceeded" ||
			reason === "max_tokens_per_request",
		isDoubtful: isDoubtful(status, kind, body),
		isAboutEncoding: body.isAboutEncoding === true,
		retryAfterMs: isSpent(status, reason)
			? Number.POSITIVE_INFINITY
			: retryAfterMs(headers),
	});
}

/**
 * Whether a plain word should be asked for before the verdict is believed. Not
 * where the server gives the reason; a 403 in the form of an API's error is about the key.
 */
function isDoubtful(
	status: number,
	kind: FailureKind,
	{ reason, isSize, isApis }: ErrorReason,
): boolean {
	if (status === 401 || status === 407) return false;
	if (status === 429)
		return isSize === true && kind === "busy" && !isFinal(reason);
	if (reason !== undefined || kind === "down" || kind === "text") return false;
	return status !== 403 || isApis !== true;
}

function isFinal(reason: Reason | undefined): boolean {
	return reason !== undefined && reason !== "rate_limit_exceeded";
}

/** The body's status counts where the answer's own is less specific. */
function effectiveStatus(answered: number, stated: number | undefined): number {
	if (stated === undefined) return answered < 300 ? 500 : answered;
	const isPrecise =
		stated === 402 || ([401, 403, 429].includes(stated) && answered !== 429);
	return answered < 300 || answered >= 500 || isPrecise ? stated : answered;
}

interface Meaning {
	readonly kind: FailureKind;
	readonly message: string;
	readonly hint?: string;
}

const meanings = {
	key: {
		kind: "setup",
		message: "refused the key",
		hint: "check the provider's API key and what it may be used for",
	},
	permission: {
		kind: "setup",
		message: "does not permit this to the key",
		hint: "check with the provider what the key, its project and this address may use",
	},
	region: {
		kind: "setup",
		message: "does not serve this region",
		hint: "check where the provider may be used, and the route to it",
	},
	redirect: {
		kind: "setup",
		message: "redirects to another address, which is not followed",
		hint: "set EMBEDDING__BASE_URL to the address it redirects to; look for https and the path",
	},
	proxy: {
		kind: "setup",
		message: "is behind a proxy that wants authentication",
		hint: "give the proxy what it wants, or reach the provider without it (HTTPS_PROXY, NO_PROXY)",
	},
	model: {
		kind: "setup",
		message: "does not offer this model at this address",
		hint: "check EMBEDDING__MODEL and EMBEDDING__BASE_URL",
	},
	spent: {
		kind: "busy",
		message: "has no credit left for this account",
		hint: "check plan and billing with the provider",
	},
	busy: {
		kind: "busy",
		message: "limits the rate of our calls",
		hint: "try again later, or set requestsPerMinute and tokensPerMinute to what the account allows",
	},
	down: {
		kind: "down",
		message: "answered with an error",
		hint: "try again later",
	},
	text: { kind: "text", message: "refused the text" },
	unknown: { kind: "broken", message: "answered with an error" },
} as const satisfies Record<string, Meaning>;

// 424 is what text-embeddings-inference returns when its backend failed, 498 what
// Cohere returns for a text with a token it does not allow, 499 what nginx returns for a
// call that ended too early.
const downStatuses = new Set([408, 409, 424, 425, 499]);
const textStatuses = new Set([400, 413, 422, 498]);
const modelStatuses = new Set([404, 405, 410]);

function meaningOf(
	status: number,
	reason: Reason | undefined,
): keyof typeof meanings {
	if (isSpent(status, reason)) return "spent";
	if (status === 429 || status === 420 || reason === "rate_limit_exceeded")
		return "busy";
	if (status === 407) return "proxy";
	if (status === 401 || reason === "invalid_api_key") return "key";
	if (reason === "unsupported_country_region_territory" || status === 451)
		return "region";
	if (reason === "model_not_found" || modelStatuses.has(status)) return "model";
	if (status === 403 || reason === "permission_denied") return "permission";
	if (status >= 500 || downStatuses.has(status)) return "down";
	if (textStatuses.has(status)) return "text";
	// Not followed: the texts would go to another address.
	return status < 400 ? "redirect" : "unknown";
}

/** Waiting does not bring the credit back. */
function isSpent(status: number, reason: Reason | undefined): boolean {
	return (
		status === 402 ||
		reason === "insufficient_quota" ||
		reason === "billing_hard_limit_reached"
	);
}
