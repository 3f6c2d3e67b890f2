import { embedTexts, generateForTexts } from "../embeddings/embed-texts.ts";
import type { CallOptions } from "../embeddings/embedding-run.ts";
import { isProviders } from "../embeddings/failure.ts";
import type { EmbeddingProvider } from "../embeddings/provider.ts";
import type { Issue } from "../errors.ts";
import type { PassageVector } from "../models/passage-vector.ts";

export interface EmbedMissingOptions {
	/** `undefined`: there is none to ask. */
	readonly provider: EmbeddingProvider | undefined;
	readonly embeddingCalls: CallOptions;
	/** Texts without a vector are left out, instead of failing the call. */
	readonly queuesFailures: boolean;
	readonly signal?: AbortSignal | undefined;
}

/** Providers that gave up on a batch: its later chunks need not wait for the same. */
const silent = new WeakSet<EmbedMissingOptions>();

/** The vectors of texts, both by the texts' hashes. */
export async function embedMissing(
	missing: ReadonlyMap<string, string>,
	options: EmbedMissingOptions,
	ownerOf: (hash: string) => Pick<Issue, "index" | "field">,
): Promise<Map<string, readonly PassageVector[]>> {
	const { provider, embeddingCalls, queuesFailures, signal } = options;
	const made = new Map<string, readonly PassageVector[]>();
	if (provider === undefined || missing.size === 0 || silent.has(options))
		return made;
	const hashes = [...missing.keys()];
	const texts = [...missing.values()];
	const calls = { ...embeddingCalls, purpose: "document", signal } as const;
	if (!queuesFailures) {
		const vectors = await generateForTexts(provider, texts, {
			...calls,
			issueOf: (place) => ownerOf(hashes[place] as string),
		});
		hashes.forEach((hash, index) => {
			made.set(hash, vectors[index] as readonly PassageVector[]);
		});
		return made;
	}
	const outcomes = await embedTexts(provider, texts, calls);
	outcomes.forEach((outcome, index) => {
		if ("passages" in outcome)
			made.set(hashes[index] as string, outcome.passages);
		else if (isProviders(outcome.kind)) silent.add(options);
	});
	return made;
}
