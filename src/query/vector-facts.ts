import { isUsable, readIndexRows } from "../db/catalogue/indexes.ts";
import type { Handle } from "../db/database.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import { type EntityTable, embedFieldOf } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import type { IndexDeclaration } from "../schema/index-types/definition.ts";
import { vectorForms } from "../schema/index-types.ts";
import { join, type Sql, sql } from "../sql.ts";
import { ExpiringCache } from "../util/expiring-cache.ts";
import type { ReadScope } from "./scope.ts";
import {
	exactUpTo,
	type FieldFacts,
	type IndexFacts,
	type PlanOptions,
} from "./vector-plan.ts";
import { eligibleRows, type UserRange, vectorScope } from "./vector-scope.ts";

/** Whose vectors a search is about. */
export interface VectorScope extends ReadScope {
	readonly fields: readonly string[];
	readonly where?: Readonly<Record<string, unknown>> | undefined;
	readonly quantized?: boolean | undefined;
}

const maxAgeMs = 30_000;
const limits = { maxAgeMs, maxEntries: 1000, maxKeyLength: 4000 };

/**
 * What searches know of the data before they plan, kept for half a minute. Facts
 * that are out of date, or were never right, cost time and never a row.
 */
export class VectorFacts {
	readonly #facts = new ExpiringCache<readonly FieldFacts[]>(limits);
	readonly #usable = new ExpiringCache<boolean>({ maxAgeMs });

	read(
		db: Handle,
		table: EntityTable,
		space: VectorSpace,
		scope: VectorScope,
		options: PlanOptions,
	): Promise<readonly FieldFacts[]> {
		const key = keyOf(table, space, scope, options);
		return this.#facts.getOrRead(key, () =>
			readFacts(db, table, space, scope, options),
		);
	}

	/** Keeps what a search has found out, so that the next one of its kind need not. */
	learn(
		table: EntityTable,
		space: VectorSpace,
		scope: VectorScope,
		options: PlanOptions,
		facts: readonly FieldFacts[],
	): void {
		this.#facts.set(keyOf(table, space, scope, options), facts);
	}

	/** Whether an index is there and whole; one that is not would be no help. */
	isUsable(
		db: Handle,
		schema: string,
		index: Pick<IndexDeclaration, "name">,
	): Promise<boolean> {
		return this.#usable.getOrRead(index.name, async () => {
			const { rows } = await db.query<{ usable: boolean }>(
				sql`SELECT ${isUsable(schema, index)} AS usable`,
				{ idempotent: true },
			);
			return rows[0]?.usable === true;
		});
	}

	/** After an index was built or dropped. */
	forget(): void {
		this.#facts.clear();
		this.#usable.clear();
	}
}

function keyOf(
	{ entity }: EntityTable,
	{ provider, model, dimensions }: VectorSpace,
	{ tenantId, userId, fields, where, quantized }: VectorScope,
	{ limit, efSearch }: PlanOptions,
): string {
	return JSON.stringify(
		[
			[entity.tableName, provider, model, dimensions],
			[tenantId, userId ?? null, userId === undefined, fields, quantized],
			[limit, efSearch, where],
		],
		(_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value),
	);
}

async function readFacts(
	db: Handle,
	table: EntityTable,
	space: VectorSpace,
	scope: VectorScope,
	options: PlanOptions,
): Promise<FieldFacts[]> {
	const indexes = await readIndexes(db, table, space, scope);
	const indexed = [...indexes].map(([field, index]) => ({
		field,
		index,
		most: exactUpTo(index, options) + 1,
	}));
	const counts = await countUpTo(db, table, space, scope, indexed);
	const facts: FieldFacts[] = [];
	for (const field of scope.fields) {
		const at = indexed.findIndex((entry) => entry.field === field);
		const { index, most = 0 } = indexed[at] ?? {};
		const count = counts[at] ?? 0;
		const vectors =
			count < most
				? count
				: Math.max(
						// So many were counted, also where statistics do not know the tenant.
						scope.where === undefined ? count : 0,
						await estimate(db, table, space, { ...scope, fields: [field] }),
					);
		facts.push({ field, vectors, index, perEntity: 1 });
	}
	return facts;
}

/** The index of each field that can be searched now. */
async function readIndexes(
	db: Handle,
	table: EntityTable,
	space: VectorSpace,
	{ fields, quantized }: VectorScope,
): Promise<Map<string, IndexFacts>> {
	const kinds = kindsFor(quantized);
	const declared = fields.flatMap((field) =>
		kinds.map((kind) => ({
			field,
			kind,
			name: nameOf(table, space, field, kind),
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
function kindsFor(quantized: boolean | undefined): IndexFacts["kind"][] {
	if (quantized === false) return ["hnsw"];
	return quantized === true ? ["quantized", "hnsw"] : ["hnsw", "quantized"];
}

function nameOf(
	table: EntityTable,
	space: VectorSpace,
	fieldName: string,
	kind: IndexFacts["kind"],
): string {
	const field = embedFieldOf(table.entity, fieldName);
	return vectorForms[kind].indexName(table, field, space);
}

/** The number of each field's vectors, counted as far as it matters: a range of the scope's index. */
async function countUpTo(
	db: Handle,
	table: EntityTable,
	space: VectorSpace,
	scope: VectorScope,
	fields: readonly { readonly field: string; readonly most: number }[],
): Promise<readonly number[]> {
	if (fields.length === 0) return [];
	const counts = fields.map(({ field, most }) => {
		const ranges = userRanges(scope).map(
			(range) =>
				// In the index's order: otherwise PostgreSQL may look for the first of them in the whole table.
				sql`(SELECT FROM ${embeddingsRef(table)} AS e WHERE ${vectorScope(table, space, range, [field])} ORDER BY e.user_id LIMIT ${most})`,
		);
		return sql`(SELECT count(*) FROM (${join(ranges, " UNION ALL ")}) AS v)`;
	});
	const { rows } = await db.query<{ counts: number[] }>(
		sql`SELECT ARRAY[${join(counts)}] AS counts`,
		{ idempotent: true },
	);
	return rows[0]?.counts ?? [];
}

/** A user's rows and shared ones are two ranges; as one condition they would be no range at all. */
function userRanges(scope: VectorScope): UserRange[] {
	const { tenantId, userId } = scope;
	if (userId === undefined) return [{ tenantId }];
	const shared = { tenantId, userId: null };
	return userId === null
		? [shared]
		: [shared, { tenantId, onlyUserId: userId }];
}

/** What PostgreSQL's statistics say: of the scope, or of the rows that fulfil the filter. */
async function estimate(
	db: Handle,
	table: EntityTable,
	space: VectorSpace,
	scope: VectorScope,
): Promise<number> {
	const vectors = await estimateRows(
		db,
		sql`SELECT FROM ${embeddingsRef(table)} AS e WHERE ${vectorScope(table, space, scope, scope.fields)}`,
	);
	if (scope.where === undefined) return vectors;
	const rows = await estimateRows(
		db,
		sql`SELECT FROM ${tableRef(table)} AS r WHERE ${eligibleRows(table, scope)}`,
	);
	return Math.min(vectors, rows);
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
