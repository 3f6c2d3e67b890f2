import { type ChaosCase, mergeResults } from "../support/case.ts";
import { crashUnderLoad } from "./kv-crashes.ts";
import { failOverUnderLoad } from "./kv-failovers.ts";
import { killEmbedded } from "./kv-kills.ts";

/** The cache of names: LOOKUP and FUZZY answer as the tables would, whatever dies. */
export const kv: ChaosCase = {
	name: "kv",
	run: async (options) => {
		const results = [];
		for (const part of [crashUnderLoad, failOverUnderLoad, killEmbedded])
			results.push(await part(options));
		return mergeResults(results);
	},
};
