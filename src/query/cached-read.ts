import type { Handle, QueryOptions } from "../db/database.ts";
import { statementName } from "../db/named-query.ts";
import { RemError } from "../errors.ts";
import {
	type KvMarker,
	kvReady,
	markType,
	readyKey,
} from "../schema/kv-trigger.ts";
import {
	compile,
	ident,
	join,
	literal,
	raw,
	type Sql,
	type Statement,
	sql,
} from "../sql.ts";
import { count } from "../telemetry/metrics.ts";
import { note } from "../telemetry/span.ts";

/** What a read does when the cache cannot answer. */
export interface CacheFallback {
	/** The kind of marker by which the cache is known to be complete. */
	readonly marker: KvMarker;
	/** Where the cache comes from, by entity type, as the reader's transaction sees it. */
	sources(db: Handle): Promise<readonly { entityType: string; view: Sql }[]>;
	/** Called once for each read that found the cache empty. */
	onNotReady(): void;
}

/** What reads kv_store, and what it does when the cache cannot answer. */
export interface CacheReader {
	readonly db: Handle;
	/** What statements about kv_store alone are sent to. @default db */
	readonly near?: Handle;
	readonly schema: string;
	readonly fallback: CacheFallback;
	/** Whether the connection stores the plans of named statements. @default false */
	readonly named?: boolean;
}

/** Where entries are read: the cache, or the primary tables in its place. */
export interface Entries {
	readonly from: Sql;
	readonly isFallback: boolean;
}

type Select = (entries: Entries) => Sql;

export interface CachedReadOptions {
	/** The statement over kv_store, where it is made already. */
	readonly statement?: Statement | undefined;
	/** Where plans are stored: plan it once per connection, under a name that begins so. Only where the plan need not follow the tenant's size. */
	readonly name?: string | undefined;
	/** How one with a name is planned. */
	readonly plan?: QueryOptions["plan"];
}

/**
 * Reads kv_store, or the primary tables when it is not ready: `select` builds
 * the same query over whatever it is given as `k`. The check is part of the
 * statement, so that no crash can come between.
 */
export async function readCached<R>(
	reader: CacheReader,
	select: Select,
	options: CachedReadOptions = {},
): Promise<R[]> {
	const { db, fallback } = reader;
	const cached = await readCache<R>(reader, select, options);
	if (cached.rows !== undefined) return cached.rows;
	const reason = cached.isReadable ? "emptied" : "standby";
	count("remdb.kv.fallbacks", { "remdb.reason": reason });
	note("remdb.kv.fallback", reason);
	const sources = await fallback.sources(db);
	if (sources.length === 0) return [];
	const all = sources.map(({ view }) => sql`SELECT * FROM ${view}`);
	const result = await db.query<R & object>(
		select({ from: sql`(${join(all, " UNION ALL ")})`, isFallback: true }),
		{ idempotent: true },
	);
	// The rebuild starts behind the answer: on one connection it would go first.
	if (cached.isReadable) fallback.onNotReady();
	return result.rows;
}

/** The rows, or none when the cache was emptied or, on a standby, cannot be read. */
async function readCache<R>(
	reader: CacheReader,
	select: Select,
	{
		name,
		plan,
		statement = compile(cachedSql(reader, select)),
	}: CachedReadOptions,
): Promise<{ rows?: R[]; isReadable: boolean }> {
	const { db, named = false } = reader;
	try {
		const { rows } = await db.query<
			R & { rem_ready: boolean; rem_hit: true | null }
		>(statement, {
			readsUnlogged: true,
			idempotent: true,
			name:
				named && name !== undefined
					? statementName(name, statement.text)
					: undefined,
			plan,
		});
		if (rows[0]?.rem_ready !== true) return { isReadable: true };
		return {
			rows: rows.filter((row) => row.rem_hit === true),
			isReadable: true,
		};
	} catch (error) {
		if (isUnreadable(error)) return { isReadable: false };
		throw error;
	}
}

/** A standby has no UNLOGGED tables. */
function isUnreadable(error: unknown): boolean {
	return error instanceof RemError && error.sqlState === "0A000";
}

/**
 * On Citus, the entries of a tenant that meet the condition, by a statement of
 * one table without subqueries, and with them the marker's entry. The coordinator
 * does not plan such a statement, and a node that gets it directly stores its
 * plan: 0.3 ms instead of 1.5 of a statement that is planned each time. `undefined`:
 * the cache is not known to be whole, and {@link readCached} answers.
 */
export async function readEntries<R extends EntryRow>(
	{ db, near = db, named = false }: CacheReader,
	name: string,
	statement: Statement,
): Promise<R[] | undefined> {
	try {
		const { rows } = await near.query<R>(statement, {
			readsUnlogged: true,
			idempotent: true,
			name: named ? statementName(name, statement.text) : undefined,
		});
		const entries = rows.filter((row) => row.entity_type !== markType);
		return entries.length < rows.length ? entries : undefined;
	} catch (error) {
		if (isUnreadable(error)) return undefined;
		throw error;
	}
}

/** The entry of a marker that proves by itself that the cache is whole. */
export const isReadyMark = sql`k.tenant_id = '' AND k.normalized_key = ''
  AND k.entity_type = ${literal(markType)} AND k.entity_key = ${literal(readyKey)}`;

export function cachedSql(
	{ schema, fallback }: Pick<CacheReader, "schema" | "fallback">,
	select: Select,
): Sql {
	return sql`SELECT s.rem_ready, k.*
FROM (SELECT ${kvReady(schema, fallback.marker)} AS rem_ready) AS s
LEFT JOIN LATERAL (SELECT TRUE AS rem_hit, m.* FROM (
${select({ from: ident(schema, "kv_store"), isFallback: false })}
) AS m) AS k ON s.rem_ready`;
}

/** What every read returns of an entry. */
export interface EntryRow {
	readonly entity_key: string;
	readonly entity_type: string;
	readonly entity_id: string;
	readonly user_id: string | null;
	readonly metadata: Record<string, unknown>;
	readonly content_summary: string | null;
}

export function toEntry(row: EntryRow) {
	return {
		entityKey: row.entity_key,
		entityType: row.entity_type,
		entityId: row.entity_id,
		userId: row.user_id,
		metadata: row.metadata,
		contentSummary: row.content_summary,
	};
}

export const entryColumns = raw(
	"k.entity_key, k.entity_type, k.entity_id, k.user_id, k.metadata, k.content_summary, k.graph_edges",
);
