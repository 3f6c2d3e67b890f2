import { ident, raw, type Sql, sql, toText } from "../../sql.ts";
import type { Handle } from "../database.ts";
import { arrayLiteral } from "../encode.ts";

/** A table or view as the catalogue describes it. */
export interface Relation {
	readonly name: string;
	/** `r` a table, `v` a view, and what else PostgreSQL has. */
	readonly kind: string;
	/** `p` logged, `u` unlogged. */
	readonly persistence: string;
	readonly comment: string | null;
	/** Storage parameters as `name=value`. */
	readonly options: readonly string[];
	/** What a view selects. */
	readonly definition: string | null;
	readonly columns: readonly Column[];
	readonly constraints: readonly Constraint[];
	readonly indexes: readonly IndexDefinition[];
	readonly triggers: readonly Trigger[];
}

export interface Column {
	readonly name: string;
	/** As `format_type` writes it: `timestamp(3) with time zone`. */
	readonly type: string;
	readonly notNull: boolean;
	readonly defaultValue: string | null;
	/** Statistics target; `null`: the server's. */
	readonly statistics: number | null;
	readonly comment: string | null;
}

export interface Constraint {
	readonly name: string;
	/** As in `pg_constraint.contype`: `c` check, `f` foreign key, `p` primary key, `u` unique. */
	readonly type: string;
	readonly definition: string;
	readonly isValidated: boolean;
}

export interface IndexDefinition {
	readonly name: string;
	readonly definition: string;
	readonly isUnique: boolean;
	readonly isValid: boolean;
	/** Whether a process builds it now. */
	readonly isBuilding: boolean;
	/** Whether a constraint made it: the constraint is compared then. */
	readonly isOfConstraint: boolean;
}

export interface Trigger {
	readonly name: string;
	readonly definition: string;
	/** As in `pg_trigger.tgenabled`: `A` always, `O` as usual, `D` disabled. */
	readonly enabled: string;
	readonly functionName: string;
	readonly functionDefinition: string;
}

export interface Catalogue {
	readonly relations: ReadonlyMap<string, Relation>;
	/** Functions that are not of a trigger, by signature. */
	readonly functions: ReadonlyMap<string, string>;
}

/** What to read of a schema. */
export interface CatalogueNames {
	readonly relations: readonly string[];
	readonly functions: readonly string[];
}

/** Reads the relations and functions of these names in the schema. */
export async function readCatalogue(
	tx: Handle,
	schema: string,
	names: CatalogueNames,
): Promise<Catalogue> {
	const namespace = sql`to_regnamespace(${toText(ident(schema))})`;
	// Without it in the path, names in it would be written with it.
	const path = `pg_catalog, ${toText(ident(schema))}, pg_temp`;
	return withSearchPath(tx, path, async () => ({
		relations: await readRelations(tx, namespace, names.relations),
		functions: await readFunctions(tx, namespace, names.functions),
	}));
}

/** The same of everything temporary, in place of relations of `schema`. */
export async function readTemporaryCatalogue(
	tx: Handle,
	schema: string,
): Promise<Catalogue> {
	const namespace = sql`pg_my_temp_schema()`;
	const path = `pg_catalog, pg_temp, ${toText(ident(schema))}`;
	return withSearchPath(tx, path, async () => ({
		relations: await readRelations(tx, namespace, undefined),
		functions: await readFunctions(tx, namespace, undefined),
	}));
}

async function withSearchPath<T>(
	tx: Handle,
	path: string,
	work: () => Promise<T>,
): Promise<T> {
	const { rows } = await tx.query<{ before: string }>(
		sql`SELECT current_setting('search_path') AS before`,
	);
	const setPath = (value: string) =>
		tx.query(sql`SELECT set_config('search_path', ${value}, true)`);
	await setPath(path);
	const result = await work();
	await setPath(rows[0]?.before ?? "");
	return result;
}

async function readRelations(
	tx: Handle,
	namespace: Sql,
	names: readonly string[] | undefined,
): Promise<Map<string, Relation>> {
	const { rows } = await tx.query<Relation>(sql`
SELECT c.relname AS name, c.relkind::text AS kind, c.relpersistence::text AS persistence,
  obj_description(c.oid, 'pg_class') AS comment,
  ARRAY(SELECT option FROM unnest(c.reloptions) AS option ORDER BY option) AS options,
  CASE c.relkind WHEN 'v' THEN pg_get_viewdef(c.oid) END AS definition,
  ${listOf(sql`
    'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
    'notNull', a.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint n
      WHERE n.conrelid = c.oid AND n.contype = 'n' AND n.conkey = ARRAY[a.attnum] AND NOT n.convalidated),
    'defaultValue', pg_get_expr(d.adbin, d.adrelid), 'statistics', a.attstattarget,
    'comment', col_description(a.attrelid, a.attnum)`)}
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS o) AS columns,
  ${listOf(sql`
    'name', k.conname, 'type', k.contype, 'definition', regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', ''),
    'isValidated', k.convalidated`)}
    FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f', 'p', 'u')) AS o) AS constraints,
  ${listOf(sql`
    'name', i.relname, 'definition', pg_get_indexdef(x.indexrelid), 'isUnique', x.indisunique,
    'isValid', x.indisvalid AND x.indisready,
    'isBuilding', NOT (x.indisvalid AND x.indisready) AND ${isBuilding},
    'isOfConstraint', EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.conrelid = c.oid)`)}
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid) AS o) AS indexes,
  ${listOf(sql`
    'name', t.tgname, 'definition', pg_get_triggerdef(t.oid), 'enabled', t.tgenabled,
    'functionName', p.proname, 'functionDefinition', pg_get_functiondef(p.oid)`)}
    FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AS o) AS triggers
FROM pg_class c
WHERE c.relnamespace = ${namespace} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')${named(sql`c.relname`, names)}`);
	return new Map(rows.map((row) => [row.name, row]));
}

/** Of another role's build only the process and its lock are visible. */
const isBuilding = sql`EXISTS (
      SELECT FROM pg_stat_progress_create_index b
      JOIN pg_locks l ON l.pid = b.pid AND l.locktype = 'relation' AND l.relation = c.oid AND l.granted
        AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock')
      WHERE b.datname = current_database() AND coalesce(b.index_relid, 0) IN (0, x.indexrelid))`;

/** The beginning of a subquery that makes a list of objects; the first member names them. */
function listOf(members: Sql): Sql {
	return sql`(SELECT coalesce(jsonb_agg(o.object ORDER BY o.object ->> 'name'), '[]') FROM (SELECT jsonb_build_object(${members}) AS object`;
}

async function readFunctions(
	tx: Handle,
	namespace: Sql,
	names: readonly string[] | undefined,
): Promise<Map<string, string>> {
	const { rows } = await tx.query<{ signature: string; definition: string }>(
		sql`
SELECT format('%s(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) AS signature,
  pg_get_functiondef(p.oid) AS definition
FROM pg_proc p
WHERE p.pronamespace = ${namespace} AND p.prokind = 'f'
  AND p.prorettype <> 'trigger'::regtype${named(sql`p.proname`, names)}`,
	);
	return new Map(
		rows.map(({ signature, definition }) => [signature, definition]),
	);
}

function named(column: Sql, names: readonly string[] | undefined): Sql {
	return names === undefined
		? raw("")
		: sql` AND ${column} = ANY (${arrayLiteral(names)}::text[])`;
}

/** What identifies the owner of a relation. */
export type RelationHead = Pick<Relation, "name" | "kind" | "comment">;

/** The schema's relations of these names, or with a comment that begins so. */
export async function readRelationHeads(
	db: Handle,
	schema: string,
	filter:
		| { readonly names: readonly string[] }
		| { readonly commentPrefix: string },
): Promise<RelationHead[]> {
	const condition =
		"names" in filter
			? sql`c.relname = ANY (${arrayLiteral(filter.names)}::text[])`
			: sql`starts_with(obj_description(c.oid, 'pg_class'), ${filter.commentPrefix})`;
	const { rows } = await db.query<RelationHead>(
		sql`
SELECT c.relname AS name, c.relkind::text AS kind, obj_description(c.oid, 'pg_class') AS comment
FROM pg_class c
WHERE c.relnamespace = to_regnamespace(${toText(ident(schema))}) AND ${condition}
ORDER BY c.relname`,
		{ idempotent: true },
	);
	return rows;
}

/** A relation, and which rows of the catalogue describe it. */
export interface RelationTrace extends RelationHead {
	/** All but its indexes. */
	readonly rows: string;
	readonly indexes: readonly { readonly name: string; readonly rows: string }[];
}

/**
 * Every change of a column, default, key, check, trigger, its function, view,
 * comment or index replaces a row of the catalogue, and its `xmin` is the
 * transaction that did. So no definition is written out: 10 ms on a server where
 * definitions took 100. Of the tables themselves the columns are read instead:
 * a GRANT replaces their rows, too.
 */
export async function readRelationTraces(
	tx: Handle,
	schema: string,
	names: readonly string[],
): Promise<RelationTrace[]> {
	const { rows } = await tx.query<RelationTrace>(sql`
SELECT c.relname AS name, c.relkind::text AS kind, obj_description(c.oid, 'pg_class') AS comment,
  concat_ws('|', c.oid, c.relkind, c.relpersistence, c.reloptions,
    (SELECT string_agg(a.attnum || ' ' || a.xmin, ',' ORDER BY a.attnum) FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0),
    (SELECT string_agg(d.oid || ' ' || d.xmin, ',' ORDER BY d.oid) FROM pg_attrdef d WHERE d.adrelid = c.oid),
    (SELECT string_agg(k.oid || ' ' || k.xmin, ',' ORDER BY k.oid) FROM pg_constraint k WHERE k.conrelid = c.oid),
    (SELECT string_agg(t.oid || ' ' || t.xmin || ' ' || p.oid || ' ' || p.xmin, ',' ORDER BY t.oid)
      FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = c.oid AND NOT t.tgisinternal),
    (SELECT string_agg(r.oid || ' ' || r.xmin, ',' ORDER BY r.oid) FROM pg_rewrite r WHERE r.ev_class = c.oid),
    obj_description(c.oid, 'pg_class')) AS rows,
  (SELECT coalesce(jsonb_agg(jsonb_build_object('name', i.relname,
      'rows', concat_ws(' ', i.oid, x.xmin, i.reloptions)) ORDER BY i.oid), '[]')
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid) AS indexes
FROM pg_class c
WHERE c.relnamespace = to_regnamespace(${toText(ident(schema))})
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relname = ANY (${arrayLiteral(names)}::text[])`);
	return rows;
}

/** The owner of a table, where the connection's role may not act as it; only owners build and drop indexes. */
export async function readForeignOwner(
	db: Handle,
	schema: string,
	tableName: string,
): Promise<string | null> {
	const { rows } = await db.query<{ owner: string | null }>(
		sql`SELECT ${foreignOwner(schema, sql`${tableName}::text`)} AS owner`,
	);
	return rows[0]?.owner ?? null;
}

/** The same as an expression; NULL also where there is no such table. */
export function foreignOwner(schema: string, tableName: Sql): Sql {
	return sql`(SELECT pg_get_userbyid(c.relowner)::text FROM pg_class AS c
    WHERE c.oid = to_regclass(format('%I.%I', ${schema}::text, ${tableName}))
      AND NOT pg_has_role(c.relowner, 'USAGE'))`;
}
