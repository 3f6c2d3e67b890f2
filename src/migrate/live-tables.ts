import type { Handle } from "../db/database.ts";
import { arrayLiteral } from "../db/encode.ts";
import { RemError } from "../errors.ts";
import type { EntityTable } from "../models/registry.ts";
import { keyIndexName } from "../schema/entity-ddl.ts";
import { ownershipMark } from "../schema/ownership.ts";
import { ident, join, sql, toText } from "../sql.ts";

/** A table as the database has it. */
export interface LiveTable {
	readonly columns: ReadonlyMap<string, LiveColumn>;
	/** Columns of the index that is the arbiter of upserts; `null`: there is none. */
	readonly keyColumns: readonly string[] | null;
	/** Names of the indexes that are there and whole. */
	readonly indexes: ReadonlySet<string>;
	readonly hasRows: boolean;
}

export interface LiveColumn {
	/** As `format_type` writes it: `timestamp with time zone`. */
	readonly type: string;
	readonly notNull: boolean;
	readonly hasDefault: boolean;
}

interface LiveRow {
	name: string;
	relkind: string;
	comment: string | null;
	columns: {
		name: string;
		type: string;
		notNull: boolean;
		hasDefault: boolean;
	}[];
	unique: Record<string, string[]> | null;
	indexes: string[];
}

/** Reads the tables of the models; a stranger's table of such a name is a `TABLE_CONFLICT`. */
export async function readLiveTables(
	tx: Handle,
	schema: string,
	tables: readonly EntityTable[],
): Promise<Map<string, LiveTable>> {
	const names = tables.flatMap(({ entity }) => [
		entity.tableName,
		...(entity.createEmbeddings ? [entity.embeddingsTableName] : []),
	]);
	const { rows } = await tx.query<LiveRow>(sql`
SELECT c.relname AS name, c.relkind::text AS relkind, obj_description(c.oid, 'pg_class') AS comment,
  (SELECT jsonb_agg(jsonb_build_object(
      'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
      'notNull', a.attnotnull, 'hasDefault', a.atthasdef))
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  (SELECT jsonb_object_agg(i.relname, (SELECT jsonb_agg(a.attname ORDER BY k.place)
      FROM unnest(x.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum))
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = c.oid AND x.indisunique) AS "unique",
  ARRAY(SELECT i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = c.oid AND x.indisvalid) AS indexes
FROM pg_class c
WHERE c.relnamespace = ${schema}::regnamespace AND c.relname = ANY (${arrayLiteral(names)}::text[])`);
	for (const row of rows) checkOwnership(row);
	const withRows = await readWhichHaveRows(tx, schema, rows);
	const live = new Map<string, LiveTable>();
	for (const table of tables) {
		const row = rows.find(({ name }) => name === table.entity.tableName);
		if (row !== undefined)
			live.set(row.name, toLiveTable(table, row, withRows));
	}
	return live;
}

/** Our own tables' places may be taken as well; nothing is made around a stranger. */
export async function checkInternalTables(
	tx: Handle,
	schema: string,
): Promise<void> {
	const names = [
		"rem_migrations",
		"kv_store",
		"kv_state",
		"rem_embedding_models",
		"rem_embedding_queue",
		"rem_index_builds",
	];
	const { rows } = await tx.query<LiveRow>(sql`
SELECT c.relname AS name, c.relkind::text AS relkind, obj_description(c.oid, 'pg_class') AS comment
FROM pg_class c
WHERE c.relnamespace = to_regnamespace(${toText(ident(schema))}) AND c.relname = ANY (${arrayLiteral(names)}::text[])`);
	rows.forEach(checkOwnership);
}

function checkOwnership({ name, relkind, comment }: LiveRow): void {
	if (relkind === "r" && comment?.startsWith(ownershipMark)) return;
	throw new RemError(
		"TABLE_CONFLICT",
		`there is already a ${relkind === "v" ? "view" : "table"} "${name}" that remdb did not make`,
		{
			hint: "give the entity another table name, set POSTGRES__SCHEMA to a schema of its own, or move the other away",
		},
	);
}

async function readWhichHaveRows(
	tx: Handle,
	schema: string,
	rows: readonly LiveRow[],
): Promise<Set<string>> {
	if (rows.length === 0) return new Set();
	const checks = rows.map(
		({ name }) =>
			sql`SELECT ${name}::text AS name WHERE EXISTS (SELECT FROM ${ident(schema, name)})`,
	);
	const found = await tx.query<{ name: string }>(join(checks, " UNION ALL "));
	return new Set(found.rows.map(({ name }) => name));
}

function toLiveTable(
	table: EntityTable,
	row: LiveRow,
	withRows: ReadonlySet<string>,
): LiveTable {
	return {
		columns: new Map(row.columns.map(({ name, ...column }) => [name, column])),
		keyColumns: row.unique?.[keyIndexName(table)] ?? null,
		indexes: new Set(row.indexes),
		hasRows: withRows.has(row.name),
	};
}
