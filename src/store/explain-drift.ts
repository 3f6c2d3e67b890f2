import { readIndexColumns } from "../db/catalogue/indexes.ts";
import type { Handle } from "../db/database.ts";
import { encodeArray } from "../db/encode.ts";
import { tableRef } from "../db/tables.ts";
import { isCallersOwn, RemError } from "../errors.ts";
import { systemFields } from "../models/entity.ts";
import type { Field } from "../models/field.ts";
import type { EntityTable } from "../models/registry.ts";
import { columnType, keyColumns, keyIndexName } from "../schema/entity-ddl.ts";
import { triggerFunctions } from "../schema/trigger-functions.ts";
import { sql, toText } from "../sql.ts";
import { elementAt } from "../util/present.ts";

/**
 * The error of statements on these tables, as `SCHEMA_DRIFT` that names what
 * differs from the models where something does: what the database itself reports
 * of it depends on the statement, and often names neither table nor column; it is
 * the error's cause. The tables are looked at only after an error that a
 * difference may cause. Of tables of several buckets the first bucket with a
 * difference is named.
 */
export async function explainDrift(
	db: Handle,
	tables: readonly EntityTable[],
	error: unknown,
): Promise<unknown> {
	if (!(error instanceof RemError) || !mayBeDrift(error)) return error;
	// A verb may be made of others, which have looked.
	if (isCallersOwn(error) || examined.has(error)) return error;
	examined.add(error);
	if (tables.some((table) => error.message.startsWith(titleOf(table))))
		return error;
	const schemas = new Set(tables.map(({ schema }) => schema));
	for (const schema of schemas) {
		const own = tables.filter((table) => table.schema === schema);
		const drift = await driftOf(db, own, error);
		if (drift === undefined) continue;
		const place = schemas.size > 1 ? `bucket ${schema}: ` : "";
		return asDrift(error, `${place}${drift}`);
	}
	return error;
}

/** What differs in the tables of one schema and may cause the error. */
async function driftOf(
	db: Handle,
	tables: readonly EntityTable[],
	error: RemError,
): Promise<string | undefined> {
	// A value is refused for the type of its column, not for a key or another column.
	const isValue = error.sqlState?.startsWith("22") === true;
	const only = tables.length === 1 ? tables[0] : undefined;
	if (only === undefined && /^2/.test(error.sqlState ?? "")) return undefined;
	// A transaction that has failed cannot look: then the database's words remain.
	const found = await readDrift(db, tables, {
		isValue,
		// Of many tables the one that is missing, or else it is one of remdb's own.
		isRelation: only === undefined && error.sqlState === undefinedTable,
	}).catch(() => undefined);
	if (found !== undefined) {
		const shown = found.slice(0, shownTables);
		const more = found.length - shown.length;
		return found.length === 0
			? undefined
			: `${shown.join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
	}
	return only === undefined || error.code !== "SCHEMA_DRIFT"
		? undefined
		: `${titleOf(only)} differs from its model: ${error.message}`;
}

const shownTables = 3;
const undefinedTable = "42P01";

const examined = new WeakSet<RemError>();

function titleOf({ entity }: EntityTable): string {
	return `table "${entity.tableName}"`;
}

function asDrift(
	{ cause, sqlState, committed }: RemError,
	message: string,
): RemError {
	return new RemError("SCHEMA_DRIFT", message, {
		hint: "run `rem schema diff`, which prints the statements that bring the table to the model, or `rem migrate` (service.migrate()), which takes those that are safe",
		cause,
		...(sqlState === undefined ? {} : { sqlState }),
		...(committed === undefined ? {} : { committed }),
	});
}

/**
 * Names, types and operators (42), values that another type refuses (22), and a
 * column that the model does not know (23502); not a missing privilege, nor what is
 * known to be a fault of the call.
 */
function mayBeDrift({ code, sqlState }: RemError): boolean {
	if (code !== "DATABASE" && code !== "SCHEMA_DRIFT") return false;
	if (sqlState === undefined) return code === "SCHEMA_DRIFT";
	return sqlState !== "42501" && /^(22|42|23502)/.test(sqlState);
}

/** A sentence for each table that differs from its model. */
async function readDrift(
	db: Handle,
	tables: readonly EntityTable[],
	{ isValue, isRelation }: { isValue: boolean; isRelation: boolean },
): Promise<string[]> {
	const columns = await readColumns(db, tables);
	// Without any of them the database was not migrated: that is what is reported.
	if (tables.length > 1 && tables.every((table) => !columns.has(table)))
		return [];
	const functions = isValue ? undefined : await readFunctions(db, tables);
	const [only] = tables;
	const others =
		isValue || tables.length !== 1 || only === undefined
			? []
			: [
					...(await unknownRequired(db, only)),
					...(await keyDifference(db, only)),
				];
	return tables.flatMap((table) => {
		const title = titleOf(table);
		const own = columns.get(table);
		if (own === undefined)
			return `${title} differs from its model: relation "${table.schema}.${table.entity.tableName}" does not exist`;
		if (isRelation) return [];
		const found = [...own, ...others];
		if (found.length > 0)
			return `${title} differs from its model: ${found.join("; ")}`;
		const former = functions?.get(table) ?? [];
		return former.length === 0
			? []
			: `${title} has triggers of another version of its model: ${former.join(", ")}`;
	});
}

interface FoundColumn {
	readonly at: number;
	readonly name: string;
	readonly type: string | null;
	readonly expected: string;
	readonly isRight: boolean | null;
}

/** Of each table, columns that are missing or of another type; nothing of one that does not exist. */
async function readColumns(
	db: Handle,
	tables: readonly EntityTable[],
): Promise<Map<EntityTable, string[]>> {
	const fields = tables.flatMap((table, at) =>
		fieldsOf(table).map((field) => ({
			at,
			relation: toText(tableRef(table)),
			name: field.column,
			type: columnType(field),
		})),
	);
	const texts = (part: "relation" | "name" | "type") =>
		encodeArray(
			"text",
			fields.map((field) => field[part]),
		);
	const places = encodeArray(
		"integer",
		fields.map(({ at }) => at),
	);
	const { rows } = await db.query<FoundColumn>(sql`
SELECT m.at, m.name, format_type(a.atttypid, a.atttypmod) AS type, format_type(to_regtype(m.type), NULL) AS expected, a.atttypid = to_regtype(m.type)::oid AS "isRight"
FROM unnest(${places}::integer[], ${texts("relation")}::text[], ${texts("name")}::text[], ${texts("type")}::text[]) WITH ORDINALITY AS m (at, relation, name, type, place)
JOIN pg_class AS c ON c.oid = to_regclass(m.relation)
LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = m.name AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY m.place`);
	const found = new Map<EntityTable, string[]>();
	for (const { at, name, type, expected, isRight } of rows) {
		const table = elementAt(tables, at);
		const own = found.get(table) ?? [];
		found.set(table, own);
		if (type === null) own.push(`column "${name}" is missing`);
		else if (isRight !== true)
			own.push(`column "${name}" is ${type}, expected ${expected}`);
	}
	return found;
}

/** Of each table, trigger functions that are not the model's: they name columns that a table had before. */
async function readFunctions(
	db: Handle,
	tables: readonly EntityTable[],
): Promise<Map<EntityTable, string[]>> {
	const functions = tables.flatMap((table) =>
		triggerFunctions(table).map((one) => ({ ...one, table })),
	);
	const schema = tables[0]?.schema ?? "";
	const names = encodeArray(
		"text",
		functions.map(({ name }) => name),
	);
	const { rows } = await db.query<{ name: string; body: string }>(sql`
SELECT p.proname::text AS name, p.prosrc AS body FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = ${schema} AND p.proname::text = ANY (${names}::text[])`);
	const live = new Map(rows.map(({ name, body }) => [name, body]));
	const found = new Map<EntityTable, string[]>();
	for (const { table, name, body } of functions) {
		if (live.get(name)?.trim() === body.trim()) continue;
		found.set(table, [...(found.get(table) ?? []), name]);
	}
	return found;
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
