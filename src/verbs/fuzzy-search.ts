import { options } from "../calls/arguments.ts";
import { async, rows, traced } from "../calls/public-methods.ts";
import { anyText, numberOf, oneOf } from "../models/checks.ts";
import { type OptionChecks, required } from "../models/options.ts";
import { type FuzzyHits, fuzzySearch as searchNames } from "../query/fuzzy.ts";
import { type FuzzyMode, fuzzyModes } from "../query/fuzzy-score.ts";
import {
	type ReadOptions,
	readHandle,
	readOptions,
	resultRows,
} from "./call-options.ts";
import { verb } from "./verb.ts";

export interface FuzzySearchOptions extends ReadOptions {
	/** Nearly a name, at most 256 characters. */
	readonly query: string;
	/** Minimum similarity, 0 to 1. @default 0.3 */
	readonly threshold?: number;
	/** Compare with the whole key, with the words of it most like the query, or with the content summary. @default "key" */
	readonly mode?: FuzzyMode;
	/** @default 10 */
	readonly limit?: number;
	readonly entityType?: string;
}

export interface FuzzySearch {
	/**
	 * Entities whose names (or summaries) are like the query, best first; `score`
	 * is pg_trgm's. In a tenant of more than 2,000 names not all of them may have
	 * been compared: then the array's property `bounded` states how far it goes.
	 */
	fuzzySearch(options: FuzzySearchOptions): Promise<FuzzyHits>;
}

const checks: OptionChecks<FuzzySearchOptions> = {
	...readOptions,
	query: required(anyText),
	threshold: numberOf("a number from 0 to 1"),
	mode: oneOf(...fuzzyModes),
	limit: resultRows,
	entityType: anyText,
};

/** @internal */
export const fuzzySearch = verb({
	name: "fuzzySearch",
	method: traced(async(options(checks)), {
		operation: "fuzzySearch",
		found: rows,
	}),
	scopeAt: 0,
	buckets: "tenant",
	run: async ({ core }, options: FuzzySearchOptions): Promise<FuzzyHits> => {
		const { tenantId, entityType } = options;
		if (entityType !== undefined) core.registry.get(entityType);
		const { schema, rowLevelSecurity } = core.settings;
		return searchNames(
			{
				db: readHandle(core, options),
				schema,
				hasRowSecurity: rowLevelSecurity,
				fallback: core.cacheFallback,
				named: core.db.capabilities.namedStatements,
			},
			core.vectorStatistics.names,
			{ ...options, tenantId: core.tenant(tenantId) },
		);
	},
	probe: {
		does: "finds",
		reaches: async (call, { key }, scope) =>
			key !== undefined &&
			(await call({ ...scope, query: key, threshold: 0.9 })).length > 0,
	},
});
