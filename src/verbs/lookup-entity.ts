import { options } from "../calls/arguments.ts";
import { async, oneOrRows, traced } from "../calls/public-methods.ts";
import { anyText } from "../models/checks.ts";
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

export interface LookupEntity<M extends Models> {
	/**
	 * The entity of that name, whatever its case and table: the best match
	 * where there are several (exact case, the caller's own, shared, latest).
	 */
	lookupEntity<T extends string = string, Hydrate extends boolean = false>(
		options: LookupOptions<T, Hydrate> & { readonly entityKey: string },
	): Promise<Found<M, T, Hydrate> | undefined>;
}

interface Options extends LookupOptions {
	/** In any case. */
	readonly entityKey: string;
}

const checks: OptionChecks<Options> = {
	...lookupOptions,
	entityKey: required(anyText),
};

/** @internal */
export const lookupEntity = verb({
	name: "lookupEntity",
	method: traced(async(options(checks)), {
		operation: "lookupEntity",
		found: oneOrRows,
	}),
	scopeAt: 0,
	buckets: "tenant",
	run: async (
		{ core },
		{ entityKey, ...options }: Options,
	): Promise<LookupHit | undefined> => {
		const [best] = await findByKeys(core, [entityKey], options);
		return best;
	},
});
