import type pg from "pg";
import { RemError } from "../errors.ts";
import { empty, join, literal, raw, type Sql, sql, toText } from "../sql.ts";
import { internalsOf } from "./driver.ts";
import { toRemError } from "./sql-state.ts";

/**
 * The settings that change what a statement of ours returns, stores or means,
 * with the value that our SQL is written for. A database or a role can have any
 * other (ALTER DATABASE … SET, ALTER ROLE … SET, postgresql.conf): so each
 * connection sets those that differ before its first statement.
 */
export const pinnedSettings: Readonly<Record<string, string>> = {
	// `pg` reads ISO dates only; the order is that of dates which the dialect casts.
	DateStyle: "ISO, MDY",
	IntervalStyle: "postgres",
	TimeZone: "UTC",
	timezone_abbreviations: "Default",
	// At 0 and below, 0.1 + 0.2 reads as 0.3 and is never equal to the stored row.
	extra_float_digits: "1",
	bytea_output: "hex",
	standard_conforming_strings: "on",
	backslash_quote: "safe_encoding",
	// Off, NULL in an array is the text "NULL".
	array_nulls: "on",
	transform_null_equals: "off",
	// It changes how the catalogue writes definitions, which `diff` compares.
	quote_all_identifiers: "off",
	default_transaction_isolation: "read committed",
	default_transaction_deferrable: "off",
	// Off, a read that a policy would filter is an error.
	row_security: "on",
	// Above 0, a GIN index returns a random part of what it finds.
	exit_on_error: "off",
	gin_fuzzy_search_limit: "0",
	// Set to `view`, the sources of kv_store cannot be read.
	restrict_nonsystem_relation_kind: "",
	// Else no foreign key removes the vectors of a row; only a superuser sets it, either way.
	session_replication_role: "origin",
};

/** What a session of its own sets besides: its work takes as long as it takes. */
const maintenanceSettings: Readonly<Record<string, string>> = {
	statement_timeout: "0",
	transaction_timeout: "0",
	idle_in_transaction_session_timeout: "0",
	idle_session_timeout: "0",
};

/** The extensions whose types, operators and functions our statements name. */
export const extensionNames = ["vector", "pg_trgm", "btree_gin"] as const;

/**
 * Poolers in transaction mode carry these from one connection of the server to
 * the next; every other setting has to be made inside each transaction.
 */
const carriedByPoolers = new Set([
	"DateStyle",
	"IntervalStyle",
	"TimeZone",
	"standard_conforming_strings",
]);

export interface PinOptions {
	/**
	 * The connection is the server process itself: it has no pooler in front.
	 * Where that is not known, the process ids are compared. @default false
	 */
	readonly isDirect?: boolean;
	/** Also {@link maintenanceSettings}. @default false */
	readonly isMaintenance?: boolean;
	/** Longest wait for the answer. @default none */
	readonly timeoutMs?: number | undefined;
}

/**
 * Sets on a new connection what differs from the values that our SQL is written
 * for, in one round trip. Behind a pooler in transaction mode a connection has
 * no session to set them in: what the pooler does not carry is set in each
 * transaction, by {@link localSettings}.
 */
export async function pinSettings(
	client: pg.ClientBase,
	options: PinOptions = {},
): Promise<void> {
	const { processID } = internalsOf(client);
	const text = pinText(options, processID ?? 0);
	const config = { text, query_timeout: options.timeoutMs };
	const answer = await client.query<Pin>(config).catch((error: unknown) => {
		throw toRemError(error);
	});
	// A text of several statements has a result for each.
	const pins = [answer].flat().flatMap(({ rows }) => rows);
	if (pins.some(({ state }) => state === "refused")) throw replicationRole();
	if (pins.some(({ state }) => state === "frozen")) frozen.add(client);
	if (pins.some(({ state }) => state === "pooled")) pooled.add(client);
	const local = pins.filter(({ state }) => state === "local");
	if (local.length > 0) unpinned.set(client, [localText(local)]);
}

/** The statements that follow BEGIN on a connection that does not retain settings; else none. */
export function localSettings(client: pg.ClientBase): readonly string[] {
	return unpinned.get(client) ?? [];
}

const unpinned = new WeakMap<pg.ClientBase, readonly string[]>();

/**
 * Whether the role or the database makes every transaction read-only by default.
 * It is how a database is closed to writers, for a switchover for instance: so
 * it is reported, and not reset.
 */
export function isReadOnlyByDefault(client: pg.ClientBase): boolean {
	return frozen.has(client);
}

const frozen = new WeakSet<pg.ClientBase>();

/** Whether a pooler answers in the server's place, which may send each transaction to another connection. */
export function isPooled(client: pg.ClientBase): boolean {
	return pooled.has(client);
}

const pooled = new WeakSet<pg.ClientBase>();

function localText(pins: readonly Pin[]): string {
	const set = pins.map(
		({ name, value }) =>
			sql`pg_catalog.set_config(${literal(name)}, ${literal(value)}, TRUE)`,
	);
	return toText(sql`SELECT ${join(set)}`);
}

/**
 * For a session in which SQL of the user's ran, which can have changed settings:
 * a dump, for one, begins with an empty search_path.
 *
 * @param processId the session's; `undefined` on the embedded database
 */
export function repinText(processId: number | undefined): string {
	const isDirect = processId === undefined;
	const options = { isDirect, isMaintenance: !isDirect };
	return `RESET search_path; ${pinText(options, processId ?? 0)}`;
}

interface Pin {
	readonly name: string;
	readonly value: string;
	/** `local`: to be set in each transaction; `refused`: this role may not set it; `frozen`: it is not ours to set; `pooled`: a pooler answers, and nothing is set. */
	readonly state: "session" | "local" | "refused" | "frozen" | "pooled";
}

function pinText(
	{ isDirect = false, isMaintenance = false }: PinOptions,
	processId: number,
): string {
	const hasSession = isDirect
		? raw("TRUE")
		: sql`(pg_catalog.pg_backend_pid() = ${raw(String(processId))})`;
	const rows = Object.entries(pinnedSettings).map(([name, value]) =>
		row(name, value, raw(String(carriedByPoolers.has(name)))),
	);
	const maintenance = Object.entries(maintenanceSettings).map(([name, value]) =>
		row(name, value, raw("FALSE")),
	);
	const ofSession = isMaintenance
		? sql`
  UNION ALL SELECT m.* FROM (VALUES ${join(maintenance)}) AS m (name, value, is_carried) WHERE ${hasSession}`
		: empty;
	// The isolation is named: on a standby, with `serializable` as the default, every read fails.
	return toText(sql`BEGIN ISOLATION LEVEL READ COMMITTED;
SELECT p.name, p.value, CASE
  WHEN p.name = 'session_replication_role' AND NOT pg_catalog.has_parameter_privilege(p.name, 'SET') THEN 'refused'
  WHEN p.name = 'default_transaction_read_only' THEN 'frozen'
  WHEN NOT (p.is_carried OR ${hasSession}) THEN 'local'
  WHEN pg_catalog.set_config(p.name, p.value, FALSE) IS NOT NULL THEN 'session' END AS state
FROM (
  SELECT v.* FROM (VALUES ${join(rows)}) AS v (name, value, is_carried)${ofSession}
  UNION ALL SELECT 'search_path', s.path, FALSE FROM (${searchPath}) AS s
  UNION ALL SELECT 'default_transaction_read_only', 'off', FALSE WHERE NOT pg_catalog.pg_is_in_recovery()
) AS p
WHERE pg_catalog.current_setting(p.name) <> p.value
UNION ALL SELECT '', '', 'pooled' WHERE NOT ${hasSession};
COMMIT`);
}

function row(name: string, value: string, isCarried: Sql): Sql {
	return sql`(${literal(name)}, ${literal(value)}, ${isCarried})`;
}

function replicationRole(): RemError {
	return new RemError(
		"SERVER_UNSUPPORTED",
		"session_replication_role is not `origin` for this role or database: foreign keys would not be enforced",
		{
			hint: "as a superuser: ALTER ROLE … RESET session_replication_role, or ALTER DATABASE … RESET it",
		},
	);
}

const needed = sql`(VALUES ${join(extensionNames.map((name) => sql`(${literal(name)})`))}) AS needed (name)`;

/** What is used of the extensions, by its name alone. */
const extensionObjects = {
	functions: [
		"similarity",
		"word_similarity",
		"strict_word_similarity",
		"show_trgm",
		"vector_dims",
		"vector_norm",
		"cosine_distance",
		"binary_quantize",
		"l2_normalize",
		"hamming_distance",
	],
	types: ["vector", "halfvec", "sparsevec"],
	operators: ["%", "<%", "%>", "<<%", "<->", "<=>", "<#>", "<~>"],
} as const;

/** Whether a schema of the path that the extensions are not in has something of these names. */
const isShadowed = sql`EXISTS (
    SELECT FROM pg_catalog.pg_namespace AS o
    WHERE o.nspname = ANY (pg_catalog.current_schemas(FALSE)) AND o.nspname <> 'pg_catalog'
      AND o.oid NOT IN (SELECT x.extnamespace FROM pg_catalog.pg_extension AS x WHERE x.extname IN (SELECT needed.name FROM ${needed}))
      AND (EXISTS (SELECT FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = o.oid AND p.proname IN (${names(extensionObjects.functions)}))
        OR EXISTS (SELECT FROM pg_catalog.pg_type AS t WHERE t.typnamespace = o.oid AND t.typname IN (${names(extensionObjects.types)}))
        OR EXISTS (SELECT FROM pg_catalog.pg_operator AS t WHERE t.oprnamespace = o.oid AND t.oprname IN (${names(extensionObjects.operators)}))))`;

function names(list: readonly string[]): Sql {
	return join(list.map(literal));
}

/**
 * The path with the schemas of the extensions behind it, or before it where a
 * schema of the path shadows them; before there are any, with `public`, where they
 * are going to be. A path that puts pg_catalog behind another schema could replace
 * any function: there pg_catalog goes first again. With OFFSET 0 the planner plans what
 * is read twice once, which takes half the time.
 */
const searchPath = sql`SELECT pg_catalog.concat_ws(', ', CASE WHEN s.is_shadowed THEN m.schemas END, nullif(b.path, ''),
    CASE WHEN NOT s.is_shadowed THEN m.missing END) AS path
  FROM (SELECT CASE WHEN pg_catalog.array_position(pg_catalog.current_schemas(FALSE)::text[], 'pg_catalog') > 1
      THEN (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(u.name), ', ' ORDER BY u.place)
        FROM unnest(pg_catalog.current_schemas(FALSE)::text[]) WITH ORDINALITY AS u (name, place) WHERE u.name <> 'pg_catalog')
      ELSE pg_catalog.current_setting('search_path') END AS path) AS b,
    (SELECT ${isShadowed} AS is_shadowed OFFSET 0) AS s,
    (SELECT pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(e.name), ', ') AS schemas,
        pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(e.name), ', ')
          FILTER (WHERE e.name <> ALL (pg_catalog.current_schemas(TRUE)::text[])) AS missing
      FROM (SELECT coalesce(n.nspname::text, 'public') AS name
        FROM ${needed}
        LEFT JOIN pg_catalog.pg_extension AS x ON x.extname = needed.name
        LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = x.extnamespace) AS e) AS m`;
