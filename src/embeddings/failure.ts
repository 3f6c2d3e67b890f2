import { type ErrorCode, type Issue, RemError } from "../errors.ts";

/**
 * What is between a text and its vector:
 * - `setup`: the key, the address or the model is not accepted
 * - `busy`: too many calls (429), or the account's credit is used up
 * - `down`: not reached, an error of the server (5xx), no answer in time
 * - `broken`: refuses even a plain word, or makes other vectors than expected
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

/** Whether it is the provider's, so that other texts would meet it as well. */
export function isProviders(kind: FailureKind): boolean {
	return kind !== "text" && kind !== "answer";
}

export interface FailureDetails {
	readonly hint?: string | undefined;
	/** How long the provider asks to wait; Infinity: waiting does not help. */
	readonly retryAfterMs?: number | undefined;
	/** The HTTP status, if that is what failed. */
	readonly status?: number;
	/** The maximum of texts per call, as the answer suggests. */
	readonly maxTexts?: number | undefined;
	/** Whether length is what is refused, of a text or of all of a call. */
	readonly isLength?: boolean;
	/**
	 * Whether it may be about these texts although it reads like a verdict on key,
	 * address or account: a firewall's page, for example. A plain word decides.
	 */
	readonly isDoubtful?: boolean;
	/** Whether the answer names `encoding_format`, or a field that it does not know. */
	readonly isAboutEncoding?: boolean;
	/** Whether it is a vector of another length than expected, which asking again does not change. */
	readonly isOtherLength?: boolean;
}

/**
 * A call to a provider that gave no vectors. Its message continues the words
 * `embedding provider "…"` and is made of our own words, numbers and names we
 * know: the words of the provider may quote the key or a text.
 */
export class CallFailure extends Error {
	override readonly name = "CallFailure";
	readonly kind: FailureKind;
	readonly hint: string | undefined;
	readonly retryAfterMs: number | undefined;
	readonly status: number | undefined;
	readonly maxTexts: number | undefined;
	readonly isLength: boolean;
	readonly isDoubtful: boolean;
	readonly isAboutEncoding: boolean;
	readonly isOtherLength: boolean;

	constructor(
		kind: FailureKind,
		message: string,
		{
			hint,
			retryAfterMs,
			status,
			maxTexts,
			isLength = false,
			isDoubtful = false,
			isAboutEncoding = false,
			isOtherLength = false,
		}: FailureDetails = {},
	) {
		super(message);
		this.kind = kind;
		this.hint = hint;
		this.retryAfterMs = retryAfterMs;
		this.status = status;
		this.maxTexts = maxTexts;
		this.isLength = isLength;
		this.isDoubtful = isDoubtful;
		this.isAboutEncoding = isAboutEncoding;
		this.isOtherLength = isOtherLength;
	}
}

/**
 * An answer that does not fit its texts. Halves of them will show whether one
 * of the texts is behind it: some servers leave out what they cannot embed.
 */
export function mismatch(
	texts: readonly string[],
	message: string,
	hint?: string,
): CallFailure {
	return new CallFailure(texts.length > 1 ? "text" : "answer", message, {
		hint,
	});
}

/** An answer without anything to read vectors from. */
export function unreadable(what: string): CallFailure {
	return new CallFailure("answer", `answered with ${what}`, {
		hint: "check the provider's address (EMBEDDING__BASE_URL)",
	});
}

const codes: Readonly<Record<FailureKind, ErrorCode>> = {
	setup: "PROVIDER_NOT_CONFIGURED",
	busy: "PROVIDER_RATE_LIMITED",
	down: "PROVIDER_FAILED",
	broken: "PROVIDER_FAILED",
	answer: "PROVIDER_FAILED",
	text: "PROVIDER_FAILED",
};

/** The failure as users see it. It has no cause: that would contain the words of the provider. */
export function providerError(
	provider: { readonly name: string },
	{ kind, message, hint }: CallFailure,
	{
		suffix = "",
		issues = [],
	}: { readonly suffix?: string; readonly issues?: readonly Issue[] } = {},
): RemError {
	return new RemError(
		codes[kind],
		`embedding provider "${provider.name}" ${message}${suffix}`,
		{ ...(hint === undefined ? {} : { hint }), issues },
	);
}
