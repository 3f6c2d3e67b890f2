import { tableRef } from "../db/tables.ts";
import { boundedName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import { ident, join, raw, type Sql, sql } from "../sql.ts";
import { isPlain } from "./citus.ts";

/** A trigger that runs after rows of a table were changed. */
export interface TableTrigger {
	readonly name: string;
	/** `INSERT`, or several with OR; transition tables allow one. */
	readonly event: string;
	/** The transition tables, or none; `undefined`: it runs for each row. */
	readonly tables: string | undefined;
	/** ALWAYS: also while a dump is restored; REPLICA: only there and in the apply worker of a subscription. */
	readonly enabled: "ALWAYS" | "REPLICA";
}

/** One trigger for each event that changes rows: `trg_films_kv_store_insert`. */
export function statementTriggers(
	tableName: string,
	purpose: string,
): readonly TableTrigger[] {
	const trigger = (event: string, tables: string): TableTrigger => ({
		name: boundedName(`trg_${tableName}_${purpose}_${event}`),
		event: event.toUpperCase(),
		tables,
		enabled: "ALWAYS",
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

/** A subscription's apply worker runs the triggers of rows, and none of statements but TRUNCATE. */
export function replicaTrigger(
	tableName: string,
	purpose: string,
): TableTrigger {
	return {
		name: boundedName(`trg_${tableName}_${purpose}_replica`),
		event: "INSERT OR UPDATE OR DELETE",
		tables: undefined,
		enabled: "REPLICA",
	};
}

/**
 * What a trigger's function runs with, whatever the writer's session has set: it
 * finds no tables but ours, may read our views, and reads a few rows by an index
 * even with a plan that is older than the other rows.
 */
export function functionSettings(schema: string): Sql {
	return sql`SET search_path = pg_catalog, ${ident(schema)}, pg_temp
SET restrict_nonsystem_relation_kind = ''
SET enable_seqscan = off
`;
}

/** The triggers that call a function. */
export function createTriggers(
	table: EntityTable,
	triggers: readonly TableTrigger[],
	fn: Sql,
): Sql {
	const created = triggers.map((trigger) => createTrigger(table, trigger, fn));
	return sql`${join(created, "")}${enableTriggers(table, triggers)}`;
}

/**
 * Which triggers fire is one statement where it can be: after each, PostgreSQL reads all
 * that the catalogue has of the table again. Citus takes them one by one.
 */
function enableTriggers(
	table: EntityTable,
	triggers: readonly TableTrigger[],
): Sql {
	const enabled = triggers.map(
		({ name, enabled }) => sql`ENABLE ${raw(enabled)} TRIGGER ${ident(name)}`,
	);
	const each = enabled.map(
		(change) => sql`ALTER TABLE ${tableRef(table)} ${change};`,
	);
	if (each.length === 1) return sql`${join(each, "")}\n`;
	return sql`DO $do$ BEGIN
  IF ${isPlain} THEN
    ALTER TABLE ${tableRef(table)} ${join(enabled, ", ")};
  ELSE
    ${join(each, "\n    ")}
  END IF;
END $do$;
`;
}

function createTrigger(
	table: EntityTable,
	{ name, event, tables }: TableTrigger,
	fn: Sql,
): Sql {
	const level =
		tables === undefined ? "FOR EACH ROW" : `${tables} FOR EACH STATEMENT`;
	return sql`CREATE OR REPLACE TRIGGER ${ident(name)} AFTER ${raw(event)} ON ${tableRef(table)}
  ${raw(level.trim())} EXECUTE FUNCTION ${fn}();
`;
}
