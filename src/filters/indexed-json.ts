import { holdingRef } from "../db/tables.ts";
import type { Field } from "../models/field.ts";
import type { EntityTable } from "../models/registry.ts";
import { ident, literal, type Sql, sql } from "../sql.ts";

/** JSON columns with an index on what they contain. */
const indexedJson = ["metadata", "graph_edges"];

/**
 * Under row level security `@>` reaches no index: PostgreSQL must look whether a
 * row may be seen before an operator that might reveal it. A function that
 * looks for the tenant's rows only may use it; what it finds is one condition
 * more, which the other one implies.
 */
export function throughIndex(
	{ table, alias }: { readonly table: EntityTable; readonly alias: string },
	{ column }: Field,
	contained: Sql,
): Sql[] {
	const { hasRowSecurity, schema, entity } = table;
	if (!hasRowSecurity || !indexedJson.includes(column)) return [];
	return [
		sql`${ident(alias, "id")} IN (SELECT h.id FROM ${holdingRef(schema, entity.tableName)}(${literal(column)}, ${contained}) AS h (id))`,
	];
}
