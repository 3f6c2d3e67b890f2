import type { Issue, RemError } from "../errors.ts";
import { elementAt, valueAt } from "../util/present.ts";
import { resultsOf } from "./embed-each.ts";
import type { EmbedOptions } from "./embedding-run.ts";
import { CallFailure, type FailureKind, providerError } from "./failure.ts";
import type { EmbeddingProvider } from "./provider.ts";

export type { CallOptions } from "./embedding-run.ts";

export interface GenerateOptions extends EmbedOptions {
	/** What the issues of an error call the text at that place. @default its place: `texts[3]` */
	readonly issueOf?: (place: number) => Pick<Issue, "index" | "field">;
}

/**
 * The vectors of the texts, in their order. Identical texts are asked for once,
 * calls stay within the provider's limits, passing failures are tried again,
 * and what comes back is checked, because a zero or NaN vector would pass every
 * similarity threshold.
 *
 * All or nothing: throws `PROVIDER_NOT_CONFIGURED`, `PROVIDER_RATE_LIMITED` or
 * `PROVIDER_FAILED`, saying how many texts have no vector; `issues` names the
 * first hundred by their place. `embedEach` returns what succeeded.
 */
export async function generateBatch(
	provider: EmbeddingProvider,
	texts: readonly string[],
	options: GenerateOptions,
): Promise<Float32Array[]> {
	const results = await resultsOf(provider, texts, options);
	return allOf(provider, { texts, results }, options);
}

interface TextResults<R> {
	readonly texts: readonly string[];
	readonly results: ReadonlyMap<string, R | CallFailure>;
}

/** The result of every text, in their order; throws if one of them failed. */
export function allOf<R>(
	provider: EmbeddingProvider,
	{ texts, results }: TextResults<R>,
	options: Pick<GenerateOptions, "issueOf">,
): R[] {
	return texts.map((text) => {
		const result = valueAt(results, text);
		if (result instanceof CallFailure)
			throw failed(provider, { texts, results }, options);
		return result;
	});
}

/** The most important failure comes first: a refused key explains more than a bad text. */
const weights: readonly FailureKind[] = [
	"setup",
	"broken",
	"busy",
	"down",
	"answer",
	"text",
];

function failed(
	provider: EmbeddingProvider,
	{ texts, results }: TextResults<unknown>,
	{
		issueOf = (place) => ({ field: `texts[${place}]` }),
	}: Pick<GenerateOptions, "issueOf">,
): RemError {
	const failures = texts.flatMap((text, place) => {
		const result = results.get(text);
		return result instanceof CallFailure ? [{ place, failure: result }] : [];
	});
	const byWeight = failures
		.map(({ failure }) => failure)
		.sort((a, b) => weights.indexOf(a.kind) - weights.indexOf(b.kind));
	const suffix =
		texts.length === 1
			? ""
			: `; ${failures.length} of ${texts.length} texts have no vector`;
	const issues = failures.slice(0, 100).map(
		({ place, failure }): Issue => ({
			...issueOf(place),
			message: failure.message,
		}),
	);
	return providerError(provider, elementAt(byWeight, 0), { suffix, issues });
}
