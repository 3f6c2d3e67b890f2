import { characters, sharedTenant } from "../models/limits.ts";
import { type Budget, requiredParts } from "./fuzzy-plan.ts";
import { asReal, usualThreshold } from "./fuzzy-score.ts";
import type { SearchContext } from "./search-context.ts";
import { trigramsOf } from "./trigram-thresholds.ts";

/** The condition of the list of names of a hybrid search. */
export interface NameList {
	readonly query: string;
	/** Min. similarity of a name, above 0, at most 1. */
	readonly threshold: number;
}

/** A longer query is not a name: its words find the row, and the time grows with its trigrams. */
const maxNameCharacters = 64;

export function mayBeName(query: string): boolean {
	return characters(query) <= maxNameCharacters;
}

/**
 * An entry of the index takes a microsecond: among 1,000,000 names a question of
 * eight words took 140 ms of processor time at the usual threshold, and found none.
 */
const budget: Budget = { entries: 1000, postings: 10_000, some: 1000 };

/**
 * A query that has more than this in common with a thousand names is a question,
 * or a part of many names. Words of names are among those that texts are found by.
 */
const maxShare = 0.7;

/**
 * The threshold of the names for a query. In a large tenant it grows with the number
 * of names that have trigrams in common with the query. `undefined`: the query is not
 * a name, or too many names have most of its trigrams.
 */
export async function nameList(
	{ db, table, tenantId, statistics }: SearchContext,
	query: string,
): Promise<NameList | undefined> {
	if (!mayBeName(query)) return undefined;
	const { entity, schema } = table;
	const usual = { query, threshold: usualThreshold };
	if (!entity.createKvTrigger) return usual;
	const sample = await statistics.names.read(db, {
		schema,
		tenantId: entity.tenantScoped ? tenantId : sharedTenant,
		column: "entity_key",
	});
	if (sample === undefined) return usual;
	const parts = trigramsOf(query);
	const wanted = Math.ceil(usualThreshold * parts.length);
	const required = requiredParts(parts, wanted, {
		budget,
		scale: sample.scale,
		having: (part) => sample.withTrigram(part),
	});
	const { count } = required ?? { count: Number.POSITIVE_INFINITY };
	if (count > Math.max(wanted, maxShare * parts.length)) return undefined;
	return count > wanted
		? { query, threshold: asReal(count / parts.length) }
		: usual;
}
