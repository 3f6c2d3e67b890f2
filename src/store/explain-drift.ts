import { readIndexColumns } from "../db/catalogue/indexes.ts";
import type { Handle } from "../db/database.ts";
import { encodeArray } from "../db/encode.ts";
import { tableRef } from "../db/tables.ts";
import { RemError } from "../errors.ts";
import { systemFields } from "../models/entity.ts";
import type { Field } from "../models/field.ts";
import type { EntityTable } from "../models/registry.ts";
import { columnType, keyColumns, keyIndexName } from "../schema/entity-ddl.ts";
import { sql, toText } from "../sql.ts";

/**
 * The error of a statement on the table, as `SCHEMA_DRIFT` that names what
 * differs from the model where something does: what the database itself reports
 * of it depends on the statement, and often names neither table nor column. The
 * table is looked at only after an error that a difference may cause.
 */
export async function explainDrift(
	db: Handle,
	table: EntityTable,
	error: unknown,
): Promise<unknown> {
	if (!(error instanceof RemError) || !mayBeDrift(error)) return error;
	const name = `table "${table.entity.tableName}"`;
	if (error.message.startsWith(name)) return error;
	// A transaction that has failed cannot look: then the database's words remain.
	const found = await readDifferences(db, table).catch(() => undefined);
	// A value is refused for the type of its column, not for a key or another column.
	const isValue = error.sqlState?.startsWith("22") === true;
	const differences =
		found && (isValue ? found.columns : [...found.columns, ...found.others]);
	if (differences?.length === 0) return error;
	if (differences === undefined && error.code !== "SCHEMA_DRIFT") return error;
	const { cause, sqlState, committed } = error;
	return new RemError(
		"SCHEMA_DRIFT",
		`${name} differs from its model: ${differences?.join("; ") ?? error.message}`,
		{
			hint: "run `rem schema diff`, which prints the statements that bring the table to the model, or `rem migrate` (service.migrate()), which takes those that are safe",
			cause,
			...(sqlState === undefined ? {} : { sqlState }),
			...(committed === undefined ? {} : { committed }),
		},
	);
}

/**
 * Names, types and operators (42), values that another type refuses (22), and a
 * column that the model does not know (23502); not a missing privilege.
 */
function mayBeDrift({ code, sqlState }: RemError): boolean {
	if (sqlState === undefined) return code === "SCHEMA_DRIFT";
	return sqlState !== "42501" && /^(22|42|23502)/.test(sqlState);
}

interface Differences {
	/** Columns that are missing, or of another type. */
	readonly columns: readonly string[];
	readonly others: readonly string[];
}

interface FoundColumn {
	readonly name: string;
	readonly type: string | null;
	readonly expected: string;
	readonly isRight: boolean | null;
}

/** `undefined`: there is no such table. */
async function readDifferences(
	db: Handle,
	table: EntityTable,
): Promise<Differences | undefined> {
	const relation = toText(tableRef(table));
	const fields = fieldsOf(table);
	const names = encodeArray(
		"text",
		fields.map(({ column }) => column),
	);
	const types = encodeArray("text", fields.map(columnType));
	const { rows } = await db.query<FoundColumn>(sql`
SELECT m.name, format_type(a.atttypid, a.atttypmod) AS type, format_type(to_regtype(m.type), NULL) AS expected, a.atttypid = to_regtype(m.type)::oid AS "isRight"
FROM unnest(${names}::text[], ${types}::text[]) WITH ORDINALITY AS m (name, type, place)
LEFT JOIN pg_attribute AS a ON a.attrelid = to_regclass(${relation}) AND a.attname = m.name AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY m.place`);
	// The database's words name the table with its schema.
	if (rows.every(({ type }) => type === null)) return undefined;
	const columns = rows.flatMap(({ name, type, expected, isRight }) => {
		if (type === null) return [`column "${name}" is missing`];
		return isRight === true
			? []
			: [`column "${name}" is ${type}, expected ${expected}`];
	});
	const others = [
		...(await unknownRequired(db, table)),
		...(await keyDifference(db, table)),
	];
	return { columns, others };
}

/** Also those that every model has. */
function fieldsOf({
	entity,
}: EntityTable): Pick<Field, "column" | "name" | "type">[] {
	const system = systemFields.filter(
		({ name }) => name !== "tenantId" || entity.tenantScoped,
	);
	return [...system, ...entity.fields];
}

/** Columns of which the model knows nothing, and that every row must have. */
async function unknownRequired(
	db: Handle,
	table: EntityTable,
): Promise<string[]> {
	const known = encodeArray(
		"text",
		fieldsOf(table).map(({ column }) => column),
	);
	const { rows } = await db.query<{ name: string }>(sql`
SELECT a.attname::text AS name FROM pg_attribute AS a
WHERE a.attrelid = to_regclass(${toText(tableRef(table))}) AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attname::text <> ALL (${known}::text[])`);
	return rows.map(
		({ name }) => `column "${name}" must not be null, and is not in the model`,
	);
}

async function keyDifference(
	db: Handle,
	table: EntityTable,
): Promise<string[]> {
	const expected = table.entity.keyFields === null ? [] : keyColumns(table);
	const columns = await readIndexColumns(
		db,
		toText(tableRef(table)),
		keyIndexName(table),
	);
	if (columns.join() === expected.join()) return [];
	const shown = (names: readonly string[]) =>
		names.length === 0 ? "none" : `(${names.join(", ")})`;
	return [`its natural key is ${shown(columns)}, expected ${shown(expected)}`];
}
