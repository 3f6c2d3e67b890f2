import { CallFailure, type FailureKind } from "./failure.ts";
import { type HeaderReader, retryAfterMs } from "./retry-after.ts";

/**
 * The failure that an HTTP status stands for. `reason` is the error code in the
 * provider's answer; only a known one is repeated.
 */
export function statusFailure(
	status: number,
	headers: HeaderReader,
	reason?: unknown,
): CallFailure {
	const known = knownReasons.find((name) => name === reason);
	const said = `(status ${status}${known === undefined ? "" : `, ${known}`})`;
	const meaning: Meaning = meanings[meaningOf(status, known)];
	const { kind, message, hint } = meaning;
	return new CallFailure(kind, `${message} ${said}`, {
		hint,
		status,
		retryAfterMs: isSpent(status, known)
			? Number.POSITIVE_INFINITY
			: retryAfterMs(headers),
	});
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
		hint: "try again later; nothing was stored for these texts",
	},
	text: { kind: "text", message: "refused the text" },
	unreadable: { kind: "answer", message: "answered with no vectors" },
	unknown: { kind: "broken", message: "answered with an error" },
} as const satisfies Record<string, Meaning>;

// 424 is what text-embeddings-inference says when its backend failed, 498 what
// Cohere says of a text with a token it does not allow.
const downStatuses = new Set([408, 409, 424, 425]);
const textStatuses = new Set([400, 413, 422, 498]);
const modelStatuses = new Set([404, 405, 410]);

function meaningOf(
	status: number,
	reason: Reason | undefined,
): keyof typeof meanings {
	if (isSpent(status, reason)) return "spent";
	if (status === 401 || status === 403 || reason === "invalid_api_key")
		return "key";
	if (reason === "model_not_found" || modelStatuses.has(status)) return "model";
	if (status === 429) return "busy";
	if (status >= 500 || downStatuses.has(status)) return "down";
	if (textStatuses.has(status)) return "text";
	if (status < 300) return "unreadable";
	// A redirect is not followed: the texts would go to another address.
	return status < 400 ? "model" : "unknown";
}

/** Waiting does not bring the credit back. */
function isSpent(status: number, reason: Reason | undefined): boolean {
	return (
		status === 402 ||
		reason === "insufficient_quota" ||
		reason === "billing_hard_limit_reached"
	);
}
