import { type ChaosCase, mergeResults } from "../support/case.ts";
import { killEmbeddedWorkers } from "./embeddings-embedded.ts";
import { killWorkers } from "./embeddings-kills.ts";

/** The vectors: every text has that of its present content, whoever dies. */
export const embeddings: ChaosCase = {
	name: "embeddings",
	run: async (options) => {
		const results = [];
		for (const part of [killWorkers, killEmbeddedWorkers])
			results.push(await part(options));
		return mergeResults(results);
	},
};
