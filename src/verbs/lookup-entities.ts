import { options } from "../calls/arguments.ts";
import { async, rows, traced } from "../calls/public-methods.ts";
import { anyText, listOf } from "../models/checks.ts";
import { type OptionChecks, required } from "../models/options.ts";
import type { LookupHit } from "../query/lookup.ts";
import type { Models } from "./call-options.ts";
import {
	type Found,
	findByKeys,
	type LookupOptions,
	lookupOptions,
} from "./lookup.ts";
import { verb } from "./verb.ts";

export interface LookupEntities<M extends Models> {
	/** Every entity of every name, in one statement, in the order of the names, best match first. */
	lookupEntities<T extends string = string, Hydrate extends boolean = false>(
		options: LookupOptions<T, Hydrate> & {
			readonly entityKeys: readonly string[];
		},
	): Promise<Found<M, T, Hydrate>[]>;
}

interface Options extends LookupOptions {
	/** Each in any case. */
	readonly entityKeys: readonly string[];
}

const checks: OptionChecks<Options> = {
	...lookupOptions,
	entityKeys: required(listOf(anyText)),
};

/** @internal */
export const lookupEntities = verb({
	name: "lookupEntities",
	method: traced(async(options(checks)), {
		operation: "lookupEntities",
		found: rows,
	}),
	scopeAt: 0,
	buckets: "tenant",
	run: ({ core }, { entityKeys, ...options }: Options): Promise<LookupHit[]> =>
		findByKeys(core, entityKeys, options),
	probe: {
		does: "finds",
		reaches: async (call, { key }, scope) =>
			key !== undefined &&
			(await call({ ...scope, entityKeys: [key] })).length > 0,
	},
});
