import type { Entity } from "../models/entity.ts";
import { ident, join, raw, type Sql, sql } from "../sql.ts";

/**
 * The natural key as kv_store stores it: the column, or several as
 * `uri#ordinal`. NULL where a part is NULL. `alias` is that of the table.
 */
export function keyExpression(entity: Entity, alias?: string): Sql {
	const parts = (entity.keyFields ?? []).map((field) => {
		const column =
			alias === undefined ? ident(field.column) : ident(alias, field.column);
		return field.type === "text" ? column : sql`${column}::text`;
	});
	return join(parts, " || '#' || ");
}

/** Rows that have a key and are not deleted: the predicate of the key's unique index. */
export function liveKeyed(entity: Entity, alias?: string): Sql {
	const column = (name: string) =>
		alias === undefined ? ident(name) : ident(alias, name);
	const nullable = (entity.keyFields ?? []).filter((field) => field.nullable);
	return join(
		[
			sql`${column("deleted_at")} IS NULL`,
			...nullable.map((field) => sql`${column(field.column)} IS NOT NULL`),
		],
		" AND ",
	);
}

/** The row's tenant; rows without one are stored under `*`, which every tenant reads. */
export function tenantExpression(entity: Entity, alias: string): Sql {
	return entity.tenantScoped
		? ident(alias, "tenant_id")
		: raw("'*'::varchar(100)");
}

// What describes an entity best in a line or two comes first.
const summaryFields = [
	"summary",
	"description",
	"content",
	"text",
	"body",
	"message",
	"notes",
];

/** The first 500 characters of the first text there is, for FUZZY and for display. */
export function summaryExpression(entity: Entity, alias: string): Sql {
	const fields = summaryFields.flatMap((name) => {
		const field = entity.fieldsByName.get(name);
		return field?.type === "text" ? [field] : [];
	});
	if (fields.length === 0) return raw("NULL::text");
	const texts = fields.map(
		(field) => sql`nullif(${ident(alias, field.column)}, '')`,
	);
	return sql`left(coalesce(${join(texts)}), 500)`;
}
