import { type ChaosCase, mergeResults } from "../support/case.ts";
import { crashUnderLoad } from "./kv-crashes.ts";

/** The cache of names: LOOKUP and FUZZY answer as the tables would, whatever dies. */
export const kv: ChaosCase = {
	name: "kv",
	run: async (options) => mergeResults([await crashUnderLoad(options)]),
};
