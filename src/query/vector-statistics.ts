import { readIndexRows } from "../db/catalogue/indexes.ts";
import type { Handle } from "../db/database.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import { embedFieldOf } from "../models/registry.ts";
import { vectorForms } from "../schema/index-types.ts";
import { join, type Sql, sql } from "../sql.ts";
import { ExpiringCache } from "../util/expiring-cache.ts";
import { FuzzySamples } from "./fuzzy-sample.ts";
import { TextStatistics } from "./text-statistics.ts";
import {
	exactUpTo,
	type FieldStatistics,
	type IndexStatistics,
	type PlanOptions,
} from "./vector-plan.ts";
import { eligibleRows, type VectorRange, vectorScope } from "./vector-scope.ts";

/** The vectors that a search is about, and how it may look at them. */
export interface SearchedVectors extends VectorRange, PlanOptions {
	/** The caller's transaction, the replica or the database. */
	readonly db: Handle;
	readonly where: Readonly<Record<string, unknown>> | undefined;
	/** Search the index of one bit a dimension, and rank what it finds by the vectors. */
	readonly quantized: boolean | undefined;
}

const maxAgeMs = 30_000;
const limits = { maxAgeMs, maxEntries: 1000, maxKeyLength: 4000 };

/**
 * What searches know of the data before they plan, cached for half a minute. Statistics
 * that are out of date, or were never right, cost time and never a row.
 */
export class VectorStatistics {
	readonly #statistics = new ExpiringCache<readonly FieldStatistics[]>(limits);
	/** What searches know of the words. */
	readonly texts = new TextStatistics();
	/** Samples of the names, as in FUZZY. */
	readonly names = new FuzzySamples();

	read(search: SearchedVectors): Promise<readonly FieldStatistics[]> {
		return this.#statistics.getOrRead(keyOf(search), () =>
			readStatistics(search),
		);
	}

	/** Stores what a search has observed, so that the next one of its kind need not. */
	record(
		search: SearchedVectors,
		statistics: readonly FieldStatistics[],
	): void {
		this.#statistics.set(keyOf(search), statistics);
	}

	/** After an index was built, or words were stored. */
	forget(): void {
		this.#statistics.clear();
		this.texts.forget();
		this.names.forgetIndexes();
	}
}

function keyOf({
	table: { entity },
	space: { provider, model, dimensions },
	tenantId,
	userId,
	fields,
	where,
	quantized,
	limit,
	efSearch,
}: SearchedVectors): string {
	return JSON.stringify(
		[
			[entity.tableName, provider, model, dimensions],
			[tenantId, userId ?? null, userId === undefined, fields, quantized],
			[limit, efSearch, where],
		],
		(_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value),
	);
}

async function readStatistics(
	search: SearchedVectors,
): Promise<FieldStatistics[]> {
	const indexes = await readIndexes(search);
	const indexed = [...indexes].map(([field, index]) => ({
		field,
		index,
		most: exactUpTo(index, search) + 1,
	}));
	const counts = await countUpTo(search, indexed);
	const statistics: FieldStatistics[] = [];
	for (const field of search.fields) {
		const at = indexed.findIndex((entry) => entry.field === field);
		const { index, most = 0 } = indexed[at] ?? {};
		const count = counts[at] ?? 0;
		if (count < most) {
			statistics.push({ field, vectors: count, index, perEntity: 1 });
			continue;
		}
		const estimated = await estimate({ ...search, fields: [field] });
		// So many were counted, also where statistics do not know the tenant.
		const scope = Math.max(count, estimated.scope);
		const vectors =
			search.where === undefined ? scope : Math.min(scope, estimated.rows);
		statistics.push({ field, vectors, scope, index, perEntity: 1 });
	}
	return statistics;
}

/** The index of each field that can be searched now. */
async function readIndexes({
	db,
	table,
	space,
	fields,
	quantized,
}: SearchedVectors): Promise<Map<string, IndexStatistics>> {
	const kinds = kindsFor(quantized);
	const declared = fields.flatMap((field) =>
		kinds.map((kind) => ({
			field,
			kind,
			name: vectorForms[kind].indexName(
				table,
				embedFieldOf(table.entity, field),
				space,
			),
		})),
	);
	const rows = await readIndexRows(
		db,
		table.schema,
		declared.map(({ name }) => name),
	);
	const usable = declared.flatMap(({ field, kind }, at) => {
		const vectors = rows.get(at);
		return vectors === undefined ? [] : { field, kind, vectors };
	});
	// Of each field the kind that was asked for, which comes first, is set last.
	return new Map(usable.reverse().map(({ field, ...index }) => [field, index]));
}

/** Without a word, bits are searched where there is nothing else. */
function kindsFor(quantized: boolean | undefined): IndexStatistics["kind"][] {
	if (quantized === false) return ["hnsw"];
	return quantized === true ? ["quantized", "hnsw"] : ["hnsw", "quantized"];
}

/** The number of each field's vectors, counted as far as a plan needs: a range of the scope's index. */
async function countUpTo(
	search: SearchedVectors,
	fields: readonly { readonly field: string; readonly most: number }[],
): Promise<readonly number[]> {
	if (fields.length === 0) return [];
	const counts = fields.map(({ field, most }) => {
		const ranges = userRanges({ ...search, fields: [field] }).map(
			(range) =>
				// In the index's order: otherwise PostgreSQL may look for the first of them in the whole table.
				sql`(SELECT FROM ${embeddingsRef(search.table)} AS e WHERE ${vectorScope(range)} ORDER BY e.user_id LIMIT ${most})`,
		);
		return sql`(SELECT count(*) FROM (${join(ranges, " UNION ALL ")}) AS v)`;
	});
	const { rows } = await search.db.query<{ counts: number[] }>(
		sql`SELECT ARRAY[${join(counts)}] AS counts`,
		{ idempotent: true },
	);
	return rows[0]?.counts ?? [];
}

/** A user's rows and shared ones are two ranges; as one condition they would be no range at all. */
function userRanges(search: SearchedVectors): VectorRange[] {
	const { userId } = search;
	if (userId === undefined) return [search];
	const shared = { ...search, userId: null };
	return userId === null
		? [shared]
		: [shared, { ...search, onlyUserId: userId }];
}

/** PostgreSQL's estimates: of the scope's vectors, and of the rows that fulfil the filter. */
async function estimate(
	search: SearchedVectors,
): Promise<{ scope: number; rows: number }> {
	const { db, table, where } = search;
	const scope = await estimateRows(
		db,
		sql`SELECT FROM ${embeddingsRef(table)} AS e WHERE ${vectorScope(search)}`,
	);
	if (where === undefined) return { scope, rows: scope };
	const rows = await estimateRows(
		db,
		sql`SELECT FROM ${tableRef(table)} AS r WHERE ${eligibleRows(search)}`,
	);
	return { scope, rows };
}

async function estimateRows(db: Handle, statement: Sql): Promise<number> {
	const { rows } = await db.query<{ "QUERY PLAN": [{ Plan: Plan }] }>(
		sql`EXPLAIN (FORMAT JSON) ${statement}`,
		{ idempotent: true },
	);
	return rows[0]?.["QUERY PLAN"][0].Plan["Plan Rows"] ?? 0;
}

interface Plan {
	readonly "Plan Rows": number;
}
