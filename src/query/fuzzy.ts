import { readCached } from "./cached-read.ts";
import {
	type FoundEntries,
	type FuzzyReader,
	findContents,
} from "./fuzzy-content.ts";
import { type Bound, hasBest, type Match, matchOf } from "./fuzzy-match.ts";
import {
	checkFuzzy,
	defaultLimit,
	type FuzzyRequest,
	queryOf,
} from "./fuzzy-request.ts";
import type { FuzzySamples } from "./fuzzy-sample.ts";
import { columnOf } from "./fuzzy-score.ts";
import { type FuzzyRow, fuzzySql, securedFuzzySql } from "./fuzzy-sql.ts";
import { splitQuery } from "./unspaced-text.ts";

/** An entity whose key, or summary, is like the query. */
export interface FuzzyHit {
	readonly entityKey: string;
	readonly entityType: string;
	readonly entityId: string;
	/** pg_trgm's `similarity()`, or `word_similarity()` in the other modes, 0 to 1. */
	readonly score: number;
	readonly metadata: Record<string, unknown>;
	readonly contentSummary: string | null;
}

/** What FUZZY found, best first. */
export interface FuzzyHits extends Array<FuzzyHit> {
	/** Only where entries were left out that may be among the best: those of a large tenant that have too little, or something too common, in common with the query. */
	bounded?: FuzzyBound;
}

/** How far a bounded result goes. */
export interface FuzzyBound {
	/** No hit with this score or a better one is missing; absent: any may be. */
	readonly completeFrom?: number;
}

/** Entities of the scope that are most like the query, best first. */
export async function fuzzySearch(
	reader: FuzzyReader,
	samples: FuzzySamples,
	request: FuzzyRequest,
): Promise<FuzzyHits> {
	checkFuzzy(request);
	const { tenantId, mode = "key" } = request;
	const { db, schema, hasRowSecurity } = reader;
	const names = { schema, tenantId, column: columnOf(mode) };
	const find = async () => {
		const named = reader.named === true && (await samples.isUsual(db, names));
		const sample = await samples.read(db, names);
		const isIndexed =
			mode !== "content" ||
			sample === undefined ||
			(await samples.hasContentIndex(db, schema));
		const match = matchOf(queryOf(request), {
			schema,
			sample,
			isIndexed,
			hasRowSecurity,
		});
		return match.compares === undefined
			? findBest({ ...reader, named }, request, match)
			: findContents({ ...reader, named }, request, match);
	};
	let found = await find();
	if (found.isCut === true) {
		samples.forget(names);
		found = await find();
	}
	const hits: FuzzyHits = found.rows.map(toHit);
	const { bound, isCut } = found;
	if (bound !== undefined || isCut === true)
		hits.bounded =
			bound?.completeFrom === undefined
				? {}
				: { completeFrom: bound.completeFrom };
	return hits;
}

/** In two statements where the first cannot find all. */
async function findBest(
	reader: FuzzyReader,
	request: FuzzyRequest,
	match: Match,
): Promise<FoundEntries> {
	const { limit = defaultLimit } = request;
	const { rows, bound } = await findRows(reader, request, match);
	if (hasBest(rows, bound, limit)) return { rows };
	const more =
		bound?.more === undefined
			? []
			: (await findRows(reader, request, bound.more)).rows;
	return { rows: merged(rows, more).slice(0, limit), bound };
}

/** The best matches, best first, and whether others may be missing. */
async function findRows(
	reader: FuzzyReader,
	request: FuzzyRequest,
	match: Match,
): Promise<{ rows: FuzzyRow[]; bound: Bound | undefined }> {
	const { schema, hasRowSecurity } = reader;
	let { bound } = match;
	const rows = await readCached<FuzzyRow>(
		reader,
		({ from, isFallback }) => {
			if (!isFallback)
				return hasRowSecurity
					? securedFuzzySql(schema, request, match)
					: fuzzySql(from, request, match);
			// The tables have no index of their names: all of them are compared.
			bound = undefined;
			const all = matchOf(queryOf(request), { schema, sample: undefined });
			return fuzzySql(from, request, all);
		},
		{ name: nameOf(request), plan: "generic" },
	);
	return { rows, bound };
}

/** The number of a query's pairs is part of its statement: of those there is no end. */
function nameOf({ query }: FuzzyRequest): string | undefined {
	return splitQuery(query).pairs.length === 0 ? "fuzzy" : undefined;
}

/** Each entity once, in the order in which a statement returns them. */
function merged(
	some: readonly FuzzyRow[],
	more: readonly FuzzyRow[],
): FuzzyRow[] {
	const ids = new Set(some.map(({ entity_id: id }) => id));
	const others = more.filter(({ entity_id: id }) => !ids.has(id));
	return [...some, ...others].sort(
		(a, b) =>
			b.score - a.score ||
			b.tie - a.tie ||
			(a.entity_key < b.entity_key
				? -1
				: a.entity_key > b.entity_key
					? 1
					: 0) ||
			(a.entity_id < b.entity_id ? -1 : 1),
	);
}

function toHit(row: FuzzyRow): FuzzyHit {
	return {
		entityKey: row.entity_key,
		entityType: row.entity_type,
		entityId: row.entity_id,
		score: row.score,
		metadata: row.metadata,
		contentSummary: row.content_summary,
	};
}
