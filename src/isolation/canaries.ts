import { randomBytes, randomUUID } from "node:crypto";
import type { Handle } from "../db/database.ts";
import { embeddingQueueRef } from "../db/embedding-queue.ts";
import { encodeVector } from "../db/encode.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import { RemError } from "../errors.ts";
import { definitionOf, isArrayType } from "../models/column-types.ts";
import type { Field } from "../models/field.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { tenantSetting } from "../schema/row-security.ts";
import { ident, join, raw, type Sql, sql } from "../sql.ts";
import type { ForeignRow } from "../verbs/verb.ts";

/** Where a canary goes, and of which model its vector is, if it gets one. */
export interface CanaryPlace {
	readonly table: EntityTable;
	readonly space?: VectorSpace | undefined;
}

/** A row of a made-up tenant, gone with its transaction. */
export interface Canary extends ForeignRow {
	readonly space: VectorSpace | undefined;
}

export interface CanaryTenants {
	readonly own: string;
	readonly foreign: string;
}

export function canaryTenants(): CanaryTenants {
	const mark = randomBytes(6).toString("hex");
	return { own: `rem-canary-a-${mark}`, foreign: `rem-canary-b-${mark}` };
}

/** From here on, to its end, the transaction is about that tenant. */
export async function setTenant(tx: Handle, tenantId: string): Promise<void> {
	await tx.query(sql`SELECT set_config(${tenantSetting}, ${tenantId}, TRUE)`);
}

const named = "rem canary";

/** In the columns that every table has, so that a read by any of them finds the row. */
const systemValues: readonly (readonly [column: string, value: Sql])[] = [
	["metadata", sql`${`{"${named}": true}`}::jsonb`],
	["tags", sql`ARRAY[${named}]::text[]`],
	[
		"graph_edges",
		sql`${`[{"dst": "${named} target", "rel_type": "${named}"}]`}::jsonb`,
	],
];

/** A row with values in the columns of every table, and otherwise as few as its own takes. */
export async function insertCanary(
	tx: Handle,
	{ table, space }: CanaryPlace,
	tenantId: string,
	userId: string | null = null,
): Promise<Canary> {
	const { entity } = table;
	const id = randomUUID();
	const key = `${named} ${randomBytes(6).toString("hex")}`;
	const filled = entity.fields.filter(
		(field) =>
			entity.keyFields?.includes(field) ||
			!(field.nullable || field.defaultValue !== undefined),
	);
	const columns = [
		"id",
		"tenant_id",
		"user_id",
		...systemValues.map(([column]) => column),
		...filled.map(({ column }) => column),
	];
	const values = [
		sql`${id}::uuid`,
		sql`${tenantId}`,
		sql`${userId}::text`,
		...systemValues.map(([, value]) => value),
		...filled.map(filling),
	];
	await tx.query(sql`INSERT INTO ${tableRef(table)} (${join(columns.map((name) => ident(name)))})
VALUES (${join(values)})`);
	const [field] = entity.embedFields;
	if (space !== undefined && field !== undefined) {
		const { provider, model, dimensions } = space;
		await tx.query(sql`INSERT INTO ${embeddingsRef(table)}
  (entity_id, tenant_id, user_id, field_name, provider, model, dimensions, content_hash, embedding)
VALUES (${id}::uuid, ${tenantId}, ${userId}::text, ${field.name}, ${provider}, ${model}, ${dimensions}, ${Buffer.alloc(32)}, ${encodeVector(canaryVector(dimensions))}::vector)`);
	}
	const isNamed = entity.createKvTrigger && entity.keyFields?.length === 1;
	return {
		table,
		space,
		vector:
			space === undefined || field === undefined
				? undefined
				: canaryVector(space.dimensions),
		id,
		key: isNamed && entity.keyFields?.[0]?.type === "text" ? key : undefined,
	};

	function filling(field: Field): Sql {
		return field.type === "text"
			? sql`${key}::text`
			: sql`${isArrayType(field.type) ? "{}" : definitionOf(field.type).empty.text}::${raw(field.type)}`;
	}
}

function canaryVector(dimensions: number): Float32Array {
	return new Float32Array(dimensions).fill(1);
}

/** What SQL without any condition on the tenant can do to the row, as another tenant. */
export async function trySql(
	tx: Handle,
	{ table, id, space }: Canary,
	foreign: string,
): Promise<readonly string[]> {
	const name = table.entity.tableName;
	const ref = tableRef(table);
	const touched = async (what: string, statement: Sql) => {
		const { rowCount } = await tx.query(statement);
		return rowCount > 0
			? [`SQL can ${what} another tenant's row of ${name}`]
			: [];
	};
	return [
		...(await touched("read", sql`SELECT FROM ${ref} WHERE id = ${id}::uuid`)),
		...(await touched(
			"read the cache's",
			sql`SELECT FROM ${ident(table.schema, "kv_store")} WHERE entity_id = ${id}::uuid`,
		)),
		...(table.entity.createEmbeddings
			? [
					...(await touched(
						"read vectors of",
						sql`SELECT FROM ${embeddingsRef(table)} WHERE tenant_id = ${foreign}`,
					)),
					...(await tryVectors(tx, { table, id, space })),
				]
			: []),
		...(await touched(
			"change",
			sql`UPDATE ${ref} SET tags = tags WHERE id = ${id}::uuid`,
		)),
		...(await touched(
			"delete",
			sql`DELETE FROM ${ref} WHERE id = ${id}::uuid`,
		)),
		...(await tryInsert(tx, { table, space }, foreign)),
	];
}

/** A vector of one's own tenant for another tenant's row, and its texts in the queue. */
async function tryVectors(
	tx: Handle,
	{ table, id, space }: Pick<Canary, "table" | "id" | "space">,
): Promise<string[]> {
	const name = table.entity.tableName;
	const field = table.entity.embedFields[0]?.name ?? "content";
	const { provider, model, dimensions } = space ?? {
		provider: "canary",
		model: "canary",
		dimensions: 1,
	};
	const queue = embeddingQueueRef(table.schema);
	const attempts: readonly (readonly [string, Sql])[] = [
		[
			`insert a vector for another tenant's row of ${name}`,
			sql`INSERT INTO ${embeddingsRef(table)} (entity_id, tenant_id, field_name, provider, model, dimensions, content_hash, chunk, embedding)
VALUES (${id}::uuid, current_setting(${tenantSetting}), ${field}, ${provider}, ${model}, ${dimensions}, ${Buffer.alloc(32)}, 1, ${encodeVector(canaryVector(dimensions))}::vector)`,
		],
		[
			`queue texts of another tenant's row of ${name}`,
			sql`INSERT INTO ${queue} (entity_type, entity_id, field_name, provider, model, dimensions)
VALUES (${name}, ${id}::uuid, ${field}, 'canary', ${model}, ${dimensions})`,
		],
		[
			`read queued texts of another tenant's row of ${name}`,
			sql`SELECT FROM ${queue} WHERE entity_type = ${name} AND entity_id = ${id}::uuid`,
		],
		[
			`delete queued texts of another tenant's row of ${name}`,
			sql`DELETE FROM ${queue} WHERE entity_type = ${name} AND entity_id = ${id}::uuid`,
		],
	];
	const found: string[] = [];
	for (const [what, statement] of attempts)
		if (await changesRows(tx, statement)) found.push(`SQL can ${what}`);
	return found;
}

/** Whether the statement is allowed and touches any row. */
async function changesRows(tx: Handle, statement: Sql): Promise<boolean> {
	try {
		return await tx.transaction(
			async (inner) => (await inner.query(statement)).rowCount > 0,
		);
	} catch (error) {
		if (error instanceof RemError && error.sqlState === "42501") return false;
		throw error;
	}
}

async function tryInsert(
	tx: Handle,
	place: CanaryPlace,
	foreign: string,
): Promise<readonly string[]> {
	try {
		await tx.transaction((inner) => insertCanary(inner, place, foreign));
		return [
			`SQL can insert a row of another tenant into ${place.table.entity.tableName}`,
		];
	} catch (error) {
		if (error instanceof RemError && error.sqlState === "42501") return [];
		throw error;
	}
}
