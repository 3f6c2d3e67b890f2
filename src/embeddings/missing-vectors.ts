import { NoVector } from "./decode-vector.ts";
import { CallFailure } from "./failure.ts";
import { estimateTokens } from "./pack.ts";
import type { EmbeddingLimits } from "./provider.ts";
import { vectorProblem } from "./vector-problem.ts";

/**
 * Whether the provider may be fine but for these texts: it fails, and asks for no
 * patience. An answer that cannot be read is a single text's own.
 */
export function mayBeTexts({ texts, failure, isSettled }: Missing): boolean {
	const { kind, retryAfterMs } = failure;
	if (kind === "answer") return texts.length > 1 && !isSettled;
	return kind === "down" && retryAfterMs === undefined;
}

/**
 * A failure of the provider that only these texts meet. A refusal and an error
 * 500 are believed; what may pass with time, a limited rate, a lost
 * connection or an answer that did not come, only when it happens again and again.
 */
export function ofTexts({
	kind,
	message,
	status,
	hint,
	maxTexts,
	isLength,
	isOtherLength,
}: CallFailure): CallFailure {
	const isRefusal = kind !== "down" && kind !== "answer" && kind !== "busy";
	const isSure =
		isRefusal ||
		isOtherLength ||
		status === 402 ||
		status === 500 ||
		status === 501;
	// The verdict on key, model or account was none.
	const isVerdict = isRefusal || kind === "busy";
	return new CallFailure(
		isSure ? "text" : "answer",
		`${isVerdict && status !== undefined ? `refused the text (status ${status})` : message}, and gives other texts their vectors`,
		{
			...(status === undefined ? { hint } : { status }),
			maxTexts,
			isLength,
		},
	);
}

export function aboutTexts(missing: Missing): Missing {
	return {
		...missing,
		failure: ofTexts(missing.failure),
		isSettled: false,
		isAboutTexts: true,
	};
}

/** The texts a call left without a vector, and why. */
export interface Missing {
	readonly texts: readonly string[];
	readonly failure: CallFailure;
	/** Whether each has a failure of its own, that of its vector. */
	readonly isSettled: boolean;
	/** Whether that is known already. */
	readonly isAboutTexts?: boolean;
	/** Whether a plain word was asked for and failed as well. */
	readonly failsAlike?: boolean;
}

export const lengthHint = "check that model and dimensions are right";

export function isUnread(vector: Float32Array): boolean {
	return vector instanceof NoVector && vector.failure.kind === "answer";
}

export function failureIn(
	vector: Float32Array,
	dimensions: number,
): CallFailure | undefined {
	if (vector instanceof NoVector) return vector.failure;
	const problem = vectorProblem(vector, dimensions);
	if (problem === undefined) return undefined;
	return new CallFailure(
		"answer",
		`answered with a vector of ${problem.message}`,
		{ hint: lengthHint, isOtherLength: vector.length !== dimensions },
	);
}

/** A refused text that is probably too long is reported as that; its words are not repeated. */
export function withLength(
	failure: CallFailure,
	text: string,
	{ maxTokensPerText = Number.POSITIVE_INFINITY }: EmbeddingLimits,
): CallFailure {
	const tokens = estimateTokens(text);
	if (failure.kind !== "text" || tokens <= maxTokensPerText) return failure;
	return new CallFailure("text", failure.message, {
		hint: `the text has about ${tokens} tokens, the model takes ${maxTokensPerText}: shorten it`,
	});
}
