import type { Handle } from "../db/database.ts";
import { statementName } from "../db/statement-name.ts";
import { tableRef } from "../db/tables.ts";
import { vectorProblem } from "../embeddings/vector-problem.ts";
import { RemError } from "../errors.ts";
import { whereSql } from "../filters/where.ts";
import {
	type EntityTable,
	embedFieldOf,
	fieldNotEmbedded,
} from "../models/registry.ts";
import { toRow } from "../models/rows.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { compile, type Sql, sql } from "../sql.ts";
import {
	findNearest,
	found,
	type SearchContext,
	type WithSeen,
} from "./find-nearest.ts";
import {
	branchSql,
	hitColumns,
	indexSettings,
	nearestCtes,
	seenSql,
} from "./nearest-sql.ts";
import { checkLimit, checkScope, type ReadScope } from "./scope.ts";
import { putBack, settingsCte } from "./settings-sql.ts";
import {
	type Branch,
	type SearchMode,
	type Seen,
	searchModes,
} from "./vector-plan.ts";
import { isVisible } from "./vector-scope.ts";

export interface SearchRequest extends ReadScope {
	readonly queryEmbedding: Float32Array;
	/** One field; omitted: the best field of each entity. */
	readonly fieldName?: string | undefined;
	/** @default 10 */
	readonly limit?: number | undefined;
	/** Least cosine similarity, -1 to 1; omitted: the nearest, however far. */
	readonly minSimilarity?: number | undefined;
	readonly where?: Readonly<Record<string, unknown>> | undefined;
	/** @default "auto" */
	readonly mode?: SearchMode | undefined;
	/** Candidates of an index scan, 1 to 1,000. */
	readonly efSearch?: number | undefined;
	/** Search the index of one bit a dimension, and rank what it finds anew. @default false */
	readonly quantized?: boolean | undefined;
}

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
	db: Handle,
	table: EntityTable,
	space: VectorSpace,
	request: SearchRequest,
	context: SearchContext,
): Promise<SearchHit[]> {
	checkSearch(table, space, request);
	const statement = (branches: readonly Branch[]) =>
		searchSql(table, space, request, branches);
	const rows = await findNearest<HitRecord>(db, table, space, request, {
		...context,
		statement,
		run: async (branches) => {
			const compiled = compile(statement(branches));
			const { rows } = await db.query<HitRecord & WithSeen>(compiled, {
				idempotent: true,
				name: isFrequent(request)
					? statementName("search", compiled.text)
					: undefined,
			});
			return isPlain(request, branches)
				? { rows, seen: [seenOf(rows)] }
				: found(rows, branches);
		},
	});
	return nearestRows(rows, request).map((record) => ({
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
	{ minSimilarity, limit = 10 }: SearchRequest,
): HitRecord[] {
	// NaN, of a vector of zeros that somebody else has stored, is never near.
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

/** Everything that can be said without a vector, so that no provider is asked for nothing. */
export function checkSearch(
	table: EntityTable,
	space: VectorSpace,
	request: Omit<SearchRequest, "queryEmbedding"> & {
		readonly queryEmbedding?: Float32Array | undefined;
	},
): void {
	const { entity } = table;
	checkScope(request);
	checkLimit(request.limit ?? 10);
	if (request.fieldName !== undefined) embedFieldOf(entity, request.fieldName);
	if (entity.embedFields.length === 0)
		throw fieldNotEmbedded(entity, `"${entity.tableName}"`);
	if (request.where !== undefined) whereSql(table, request.where, "r");
	checkHow(request);
	const { queryEmbedding } = request;
	if (queryEmbedding === undefined) return;
	if (!(queryEmbedding instanceof Float32Array))
		throw new RemError("VALIDATION", "queryEmbedding is no Float32Array", {
			hint: "Float32Array.from(numbers)",
		});
	const problem = vectorProblem(queryEmbedding, space.dimensions);
	if (problem !== undefined)
		throw new RemError(
			problem.code,
			`the query's vector has ${problem.message} (model ${space.model})`,
		);
}

function checkHow({
	minSimilarity,
	mode = "auto",
	efSearch,
}: Pick<SearchRequest, "minSimilarity" | "mode" | "efSearch">): void {
	if (minSimilarity !== undefined && !(Math.abs(minSimilarity) <= 1))
		throw new RemError(
			"VALIDATION",
			`minSimilarity is ${minSimilarity}, expected a number from -1 to 1`,
		);
	if (!searchModes.includes(mode))
		throw new RemError(
			"VALIDATION",
			`mode is none of ${searchModes.join(", ")}`,
		);
	const isEf =
		efSearch === undefined ||
		(Number.isInteger(efSearch) && efSearch >= 1 && efSearch <= 1000);
	if (!isEf)
		throw new RemError(
			"INPUT_LIMIT",
			`efSearch is ${efSearch}, expected a whole number from 1 to 1000`,
		);
}

/**
 * Only the nearest are joined to their rows. Usually each is another entity's,
 * and there is nothing to sort out; else one row comes even without a hit: it
 * says what was seen.
 */
export function searchSql(
	table: EntityTable,
	space: VectorSpace,
	request: SearchRequest,
	branches: readonly Branch[],
): Sql {
	const nearest = { ...request, limit: request.limit ?? 10 };
	const rows = sql`JOIN ${tableRef(table)} AS r ON r.id = h.entity_id AND ${isVisible(table, request)}`;
	if (isPlain(request, branches))
		return sql`SELECT ${hitColumns(table, "h")}
FROM ${branchSql(table, space, nearest, branches[0] as Branch)} AS h
${rows}
ORDER BY h.distance, h.entity_id, h.chunk`;
	const settings = indexSettings(branches);
	return sql`WITH ${settingsCte(settings)}${nearestCtes(table, space, nearest, branches)}
SELECT ${hitColumns(table, "h")}, ${seenSql} AS rem_seen${putBack(settings, "near")}
FROM (SELECT) AS always
LEFT JOIN (best AS h ${rows}) ON TRUE
ORDER BY h.distance, h.entity_id`;
}

// More rows take so long that reading the statement anew is nothing to it.
const frequentLimit = 100;

/**
 * Whether there are few statements of its form, so that a connection may keep
 * them: to read and plan one takes a third of a short search. Filters differ
 * without end.
 */
function isFrequent({ where, limit = 10 }: SearchRequest): boolean {
	return where === undefined && limit <= frequentLimit;
}

/** One field, scanned for no more vectors than there shall be rows. */
function isPlain(
	{ limit = 10 }: SearchRequest,
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
function seenOf(rows: readonly HitRecord[]): Seen {
	const ids = new Set(rows.map(({ id }) => id));
	return { vectors: rows.length, entities: ids.size };
}
