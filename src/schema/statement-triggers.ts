import { tableRef } from "../db/tables.ts";
import { boundedName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import { ident, raw, type Sql, sql } from "../sql.ts";

/** A trigger for whole statements of one event; transition tables allow no more events. */
export interface StatementTrigger {
	readonly name: string;
	readonly event: string;
	readonly tables: string;
}

/** One trigger for each event that changes rows: `trg_films_kv_store_insert`. */
export function statementTriggers(
	{ entity }: EntityTable,
	purpose: string,
): readonly StatementTrigger[] {
	const trigger = (event: string, tables: string): StatementTrigger => ({
		name: boundedName(`trg_${entity.tableName}_${purpose}_${event}`),
		event: event.toUpperCase(),
		tables,
	});
	return [
		trigger("insert", "REFERENCING NEW TABLE AS new_rows"),
		trigger(
			"update",
			"REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
		),
		trigger("delete", "REFERENCING OLD TABLE AS old_rows"),
		trigger("truncate", ""),
	];
}

/** ALWAYS: also while a dump is restored or rows are replicated to. */
export function createTrigger(
	table: EntityTable,
	{ name, event, tables }: StatementTrigger,
	fn: Sql,
): Sql {
	return sql`CREATE OR REPLACE TRIGGER ${ident(name)} AFTER ${raw(event)} ON ${tableRef(table)}
  ${raw(tables === "" ? "" : `${tables}\n  `)}FOR EACH STATEMENT EXECUTE FUNCTION ${fn}();
ALTER TABLE ${tableRef(table)} ENABLE ALWAYS TRIGGER ${ident(name)};
`;
}
