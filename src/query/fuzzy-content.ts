import { type CacheReader, readCached } from "./cached-read.ts";
import { type Bound, hasBest, type Match, matchOf } from "./fuzzy-match.ts";
import { defaultLimit, type FuzzyRequest, queryOf } from "./fuzzy-request.ts";
import { minOf } from "./fuzzy-score.ts";
import {
	type ContentRow,
	contentsSql,
	type FuzzyRow,
	fuzzySql,
	scoredSql,
} from "./fuzzy-sql.ts";
import { type Likeness, mostLike } from "./likeness.ts";

/** What reads the cache, and whether row level security applies to it. */
export interface FuzzyReader extends CacheReader {
	readonly hasRowSecurity: boolean;
}

/** The best entries, best first. */
export interface FoundEntries {
	readonly rows: readonly FuzzyRow[];
	/** Where entries were left out that may be among the best. */
	readonly bound?: Bound | undefined;
	/** The tenant has far more entries than was known: not all of them were read. */
	readonly isCut?: boolean;
}

/** More than a tenant of a known size has, or an index finds. */
const maxRead = 4000;

/**
 * Summaries most like the query. PostgreSQL takes 60 to 100 µs to compare one with
 * it, for each that an index finds and again for its score. So what is found is
 * compared here, in 5 µs, and PostgreSQL scores what comes first.
 */
export async function findContents(
	reader: FuzzyReader,
	request: FuzzyRequest,
	match: Match,
): Promise<FoundEntries> {
	const { limit = defaultLimit } = request;
	const { bound } = match;
	const found = await readContents(reader, request, match);
	if (found.kind === "scored") return { rows: found.rows };
	let contents =
		match.compares === "all" ? found.contents : eachOnce(found.contents);
	let best = bestOf(contents, request);
	if (bound?.more !== undefined && !hasBest(best, bound, limit)) {
		const more = await readContents(reader, request, bound.more);
		if (more.kind === "scored") return { rows: more.rows };
		contents = eachOnce([...contents, ...more.contents]);
		best = bestOf(contents, request);
	}
	const rows = best.length === 0 ? [] : await score(reader, request, best);
	return {
		rows,
		bound: hasBest(rows, bound, limit) ? undefined : bound,
		isCut:
			match.compares === "all" && contents.length >= (match.reads ?? maxRead),
	};
}

/** Contents of the cache, or, while it is not ready, the best of the tables. */
type ReadContents =
	| { readonly kind: "contents"; readonly contents: readonly ContentRow[] }
	| { readonly kind: "scored"; readonly rows: readonly FuzzyRow[] };

async function readContents(
	reader: FuzzyReader,
	request: FuzzyRequest,
	match: Match,
): Promise<ReadContents> {
	const { schema, hasRowSecurity } = reader;
	const read = { isScored: false };
	const rows = await readCached<ContentRow & FuzzyRow>(
		reader,
		({ from, isFallback }) => {
			if (!isFallback)
				return contentsSql(schema, request, match, {
					hasRowSecurity,
					limit: match.reads ?? maxRead,
				});
			// The tables have no index of their summaries: all of them are compared.
			read.isScored = true;
			const all = matchOf(queryOf(request), { schema, sample: undefined });
			return fuzzySql(from, request, all);
		},
		// The words that an index is asked for are part of the statement: of those there is no end.
		match.compares === "all" ? { name: "contents", plan: "generic" } : {},
	);
	return read.isScored
		? { kind: "scored", rows }
		: { kind: "contents", contents: rows };
}

/** An entry may be found by its words and read in the order of names. */
function eachOnce(contents: readonly ContentRow[]): ContentRow[] {
	return [...new Map(contents.map((row) => [row.entity_id, row])).values()];
}

/** Beyond those that are asked for: what is a letter, and so a score, depends on the database. */
const margin = 6;

function bestOf(
	contents: readonly ContentRow[],
	request: FuzzyRequest,
): (ContentRow & Likeness)[] {
	const { query, limit = defaultLimit } = request;
	return mostLike(contents, {
		query,
		count: limit + margin,
		minScore: minOf(queryOf(request)),
	});
}

function score(
	reader: FuzzyReader,
	request: FuzzyRequest,
	entries: readonly ContentRow[],
): Promise<FuzzyRow[]> {
	const minScore = minOf(queryOf(request));
	return readCached(
		reader,
		({ from }) => scoredSql(from, request, { entries, minScore }),
		{ name: "scored", plan: "generic" },
	);
}
