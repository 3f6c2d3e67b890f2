import { statementName } from "../db/named-query.ts";
import { tableRef } from "../db/tables.ts";
import { toRow } from "../models/rows.ts";
import { compile, type Sql, sql } from "../sql.ts";
import { findNearest, reachedBy, type WithReached } from "./find-nearest.ts";
import {
	branchSql,
	hitColumns,
	indexSettings,
	nearestCtes,
	reachedSql,
} from "./nearest-sql.ts";
import type { NearestSearch, SearchContext } from "./search-context.ts";
import { resetSettings, settingsCte } from "./settings-sql.ts";
import type { Branch, Reached } from "./vector-plan.ts";
import { isVisible } from "./vector-scope.ts";

/** What made a row a hit. */
export type Match = {
	/** Cosine similarity, -1 to 1. */
	readonly similarity: number;
	/** The field whose vector was nearest. */
	readonly matchedField: string;
	/** Of a text that was embedded in passages, the nearest of them. */
	readonly matchedText?: string;
};

/** A row of the table with what made it a hit. */
export type SearchHit = Record<string, unknown> & Match;

/** The entities of the scope nearest to a vector, nearest first: min(limit, eligible) rows. */
export async function vectorSearch(
	search: NearestSearch,
): Promise<SearchHit[]> {
	const { db, table } = search;
	const rows = await findNearest<HitRecord>(search, async (branches) => {
		const statement = searchSql(search, branches);
		const compiled = compile(statement);
		const { rows } = await db.query<HitRecord & WithReached>(compiled, {
			idempotent: true,
			name: isFrequent(search)
				? statementName("search", compiled.text)
				: undefined,
		});
		const reached = isPlain(search, branches)
			? [reachedVectors(rows)]
			: reachedBy(rows, branches);
		return { rows, reached, statement: () => statement };
	});
	return nearestRows(rows, search).map((record) => ({
		...toRow(table.entity, record),
		...matchOf(record),
	}));
}

export interface HitRecord extends Record<string, unknown> {
	/** `null` in the one row that may come when there is no hit. */
	readonly rem_distance: number | null;
	readonly rem_field: string;
	readonly rem_text: string | null;
}

export function matchOf(record: HitRecord): Match {
	return {
		similarity: 1 - (record.rem_distance as number),
		matchedField: record.rem_field,
		...(record.rem_text === null ? {} : { matchedText: record.rem_text }),
	};
}

/** Each entity once, by its nearest vector, if that is near enough. */
function nearestRows(
	rows: readonly HitRecord[],
	{ minSimilarity, limit }: SearchContext,
): HitRecord[] {
	// NaN, of a vector of zeros that another program has stored, is never near.
	const isNear = ({ rem_distance: distance }: HitRecord) =>
		distance !== null &&
		(minSimilarity === undefined
			? Number.isFinite(distance)
			: distance <= 1 - minSimilarity);
	const byId = new Map<unknown, HitRecord>();
	for (const row of rows.filter(isNear))
		if (!byId.has(row.id)) byId.set(row.id, row);
	return [...byId.values()].slice(0, limit);
}

/**
 * Only the nearest are joined to their rows. Usually each is another entity's,
 * and there is nothing to sort out; else one row comes even without a hit: it
 * states what was read.
 */
export function searchSql(
	search: NearestSearch,
	branches: readonly Branch[],
): Sql {
	const { table } = search;
	const rows = sql`JOIN ${tableRef(table)} AS r ON r.id = h.entity_id AND ${isVisible(search)}`;
	const [only] = branches;
	if (only !== undefined && isPlain(search, branches))
		return sql`SELECT ${hitColumns(table, "h")}
FROM ${branchSql(search, only)} AS h
${rows}
ORDER BY h.distance, h.entity_id, h.chunk`;
	const settings = indexSettings(branches);
	return sql`WITH ${settingsCte(settings)}${nearestCtes(search, branches)}
SELECT ${hitColumns(table, "h")}, ${reachedSql} AS rem_reached${resetSettings(settings, "near")}
FROM (SELECT) AS always
LEFT JOIN (best AS h ${rows}) ON TRUE
ORDER BY h.distance, h.entity_id`;
}

// More rows take so long that parsing the statement again adds next to nothing.
const frequentLimit = 100;

/**
 * Whether there are few statements of its form, so that a connection may store
 * them: to read and plan one takes a third of a short search. Filters differ
 * without end.
 */
export function isFrequent({ where, limit }: SearchContext): boolean {
	return where === undefined && limit <= frequentLimit;
}

/** One field, scanned for no more vectors than there shall be rows. */
function isPlain(
	{ limit }: SearchContext,
	branches: readonly Branch[],
): boolean {
	const [branch, ...more] = branches;
	return (
		more.length === 0 &&
		branch?.how === "exact" &&
		branch.fields.length === 1 &&
		branch.take === limit
	);
}

/** Without a column for it: every row is a vector. */
function reachedVectors(rows: readonly HitRecord[]): Reached {
	const ids = new Set(rows.map(({ id }) => id));
	return { vectors: rows.length, entities: ids.size };
}
