import { decoderOf } from "../db/decode.ts";
import { tableRef } from "../db/tables.ts";
import type { Entity } from "../models/entity.ts";
import type { EntityTable } from "../models/registry.ts";
import { fromColumn } from "../models/rows.ts";
import { empty, ident, join, literal, type Sql, sql } from "../sql.ts";

/** The values of a row as their texts, in the order of the model's fields; `null`: there is no such row. */
export type RecordTexts = readonly (string | null)[] | null;

export interface RecordOptions {
	/** Only rows that were written at that time or later. */
	readonly since?: Date | undefined;
}

/**
 * The row itself of a cache entry `k`, as one column: a list of its values as
 * texts. Looked up by id, and only if it is still the tenant's and not deleted.
 * Columns side by side would be as many as all tables have together.
 */
export function recordSql(
	tables: readonly EntityTable[],
	{ since }: RecordOptions = {},
): Sql {
	if (tables.length === 0) return sql`NULL::json`;
	const cases = tables.map(
		(table) =>
			sql` WHEN ${literal(table.entity.tableName)} THEN (${rowSql(table, since)})`,
	);
	return sql`CASE k.entity_type${join(cases, "")} END`;
}

function rowSql(table: EntityTable, since: Date | undefined): Sql {
	const { entity } = table;
	const texts = [...entity.fieldsByName.values()].map(
		({ column }) => sql`${ident("r", column)}::text`,
	);
	const isOwn = entity.tenantScoped
		? sql` AND r.tenant_id = k.tenant_id`
		: empty;
	const isUpdated =
		since === undefined ? empty : sql` AND r.updated_at >= ${since}`;
	return sql`SELECT to_json(ARRAY[${join(texts)}]) FROM ${tableRef(table)} AS r
    WHERE r.id = k.entity_id${isOwn} AND r.user_id IS NOT DISTINCT FROM k.user_id AND r.deleted_at IS NULL${isUpdated}`;
}

/** The row as `find` would return it. */
export function readRecord(
	{ entity }: EntityTable,
	texts: NonNullable<RecordTexts>,
): Record<string, unknown> {
	let readers = known.get(entity);
	if (readers === undefined) {
		readers = [...entity.fieldsByName.values()].map((field) => {
			const decode = decoderOf(field.type);
			return {
				name: field.name,
				read: field.bigint ? (text) => fromColumn(field, decode(text)) : decode,
			};
		});
		known.set(entity, readers);
	}
	const row: Record<string, unknown> = {};
	let at = 0;
	for (const { name, read } of readers) {
		const text = texts[at++] ?? null;
		row[name] = text === null ? null : read(text);
	}
	return row;
}

/** Reads the text of a field's value. */
interface FieldReader {
	readonly name: string;
	readonly read: (text: string) => unknown;
}

// Made once for each entity: to look for each value's decoder took longer than to decode it.
const known = new WeakMap<Entity, readonly FieldReader[]>();
