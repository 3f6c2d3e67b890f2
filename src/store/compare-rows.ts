import { createHash } from "node:crypto";
import type { Handle } from "../db/database.ts";
import { encodeArray } from "../db/encode.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import { RemError } from "../errors.ts";
import { ident, join, sql } from "../sql.ts";
import type { Batch } from "./batches.ts";
import { batchInput } from "./batches.ts";
import type { ImportedRow, ImportedVector } from "./read-export.ts";

/** How a row of an export compares with the stored row of the same id. */
export type RowComparison =
	| { readonly kind: "equal" }
	| { readonly kind: "missing" }
	/** Names of the fields that differ; `vectors`: a vector is missing or differs. */
	| { readonly kind: "differs"; readonly fields: readonly string[] };

/** Whose stored rows an export is compared with: those of others are as if they did not exist. */
export interface ComparedScope {
	/** @default any tenant's */
	readonly tenantId?: string | undefined;
	/** That user's and shared ones; `null`: shared ones. @default any user's */
	readonly userId?: string | null | undefined;
}

interface CompareOptions extends ComparedScope {
	/** Whether vectors of the export are left out of the comparison. */
	readonly skipsVectors: boolean;
}

/**
 * Compares rows of an export with the stored rows of their ids; the results have the
 * order of the rows. The server compares values by their types. Vectors are compared
 * by hashes of their bits, so that none is sent; those that the export lacks are ignored.
 */
export async function compareRows(
	db: Handle,
	batch: Batch,
	{ skipsVectors, ...scope }: CompareOptions,
): Promise<RowComparison[]> {
	const fields = batch[0].table.fields;
	const { rows } = await db.query<{ at: number; differing: number[] }>(
		compareSql(batch, scope),
	);
	const found = new Map(rows.map(({ at, differing }) => [at, differing]));
	const stored = skipsVectors ? undefined : await readHashes(db, batch);
	return batch.map((row, at): RowComparison => {
		const differing = found.get(at + 1);
		if (differing === undefined) return { kind: "missing" };
		const names = differing.map((field) => fields[field]?.name ?? "");
		if (stored !== undefined && !hasVectors(row, stored)) names.push("vectors");
		return names.length === 0
			? { kind: "equal" }
			: { kind: "differs", fields: names };
	});
}

function compareSql(batch: Batch, { tenantId, userId }: ComparedScope) {
	const { table, fields } = batch[0].table;
	const ofTenant =
		tenantId === undefined || !table.entity.tenantScoped
			? sql``
			: sql` AND t.tenant_id = ${tenantId}`;
	const ofUser =
		userId === undefined
			? sql``
			: sql` AND (t.user_id IS NULL OR t.user_id = ${userId})`;
	const { from, values } = batchInput(batch);
	const idAt = fields.findIndex(({ name }) => name === "id");
	const differing = fields.map(
		({ column }, at) =>
			sql`CASE WHEN t.${ident(column)} IS DISTINCT FROM ${values[at] ?? sql`NULL`} THEN ${at}::integer END`,
	);
	return sql`SELECT i.rem_ord::integer AS at, to_jsonb(array_remove(ARRAY[${join(differing)}], NULL)) AS differing
FROM ${from}
JOIN ${tableRef(table)} AS t ON t.id = ${values[idAt] ?? sql`NULL`}${ofTenant}${ofUser}
ORDER BY i.rem_ord`;
}

/** Hashes of the stored vectors, by {@link vectorKey}. */
async function readHashes(
	db: Handle,
	batch: Batch,
): Promise<ReadonlyMap<string, string>> {
	const withVectors = batch.filter(({ vectors }) => vectors.length > 0);
	if (withVectors.length === 0) return new Map();
	const ids = encodeArray(
		"uuid",
		withVectors.map(({ id }) => id),
	);
	const { rows } = await db.query<StoredVector>(sql`
SELECT e.entity_id AS id, e.field_name AS field, e.provider, e.model, e.dimensions, e.chunk,
  concat_ws(' ', encode(e.content_hash, 'hex'), encode(sha256(vector_send(e.embedding)), 'hex')) AS hash
FROM ${embeddingsRef(batch[0].table.table)} AS e
WHERE e.entity_id = ANY (${ids}::uuid[])`);
	return new Map(rows.map((vector) => [vectorKey(vector), vector.hash]));
}

interface StoredVector extends VectorKey {
	readonly hash: string;
}

interface VectorKey {
	readonly id: string;
	readonly field: string;
	readonly provider: string;
	readonly model: string;
	readonly dimensions: number;
	readonly chunk: number;
}

function vectorKey(vector: VectorKey): string {
	const { id, field, provider, model, dimensions, chunk } = vector;
	return JSON.stringify([id, field, provider, model, dimensions, chunk]);
}

function hasVectors(
	{ id, vectors }: ImportedRow,
	stored: ReadonlyMap<string, string>,
): boolean {
	return vectors.every((vector) => {
		const { field, chunk, model } = vector;
		const key = vectorKey({ ...model, id, field, chunk });
		return stored.get(key) === hashOf(vector);
	});
}

/** As the server computes it: `vector_send` writes the dimensions, two empty bytes, and floats in big-endian order. */
function hashOf({ hash, vector }: ImportedVector): string {
	const sent = Buffer.alloc(4 + 4 * vector.length);
	sent.writeUInt16BE(vector.length);
	vector.forEach((value, at) => {
		sent.writeFloatBE(value, 4 + 4 * at);
	});
	const vectorHash = createHash("sha256").update(sent).digest("hex");
	return `${hash.toString("hex")} ${vectorHash}`;
}

/** The rows of the batch whose stored row is equal. */
export async function equalRows(
	tx: Handle,
	batch: Batch,
	options: CompareOptions,
): Promise<ReadonlySet<ImportedRow>> {
	try {
		// In a savepoint: the write reports a value that is not of its type, with its line.
		const compared = await tx.transaction((inner) =>
			compareRows(inner, batch, options),
		);
		return new Set(batch.filter((_, at) => compared[at]?.kind === "equal"));
	} catch (error) {
		if (error instanceof RemError && /^22/.test(error.sqlState ?? ""))
			return new Set();
		throw error;
	}
}
