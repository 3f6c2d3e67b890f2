import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { hasMarkEntry, markType, readyKey } from "../schema/kv-trigger.ts";
import { type Sql, sql } from "../sql.ts";
import { kvFilenode, kvState, kvStore } from "./tables.ts";

const signOfLifeEveryMs = 2000;
const preparedTimeoutMs = 5000;
/** On Citus the file of the cache is on a node, and no statement can read its number. */
const noFile = sql`0::oid`;

/** The cache was emptied: what was copied may be gone. */
export class Fenced extends Error {}

interface StartedFence {
	readonly kind: string;
	readonly begun: string;
	readonly signal: AbortSignal | undefined;
	readonly citus: boolean;
}

interface FenceOptions {
	readonly signal?: AbortSignal | undefined;
	/** As of the database's capabilities. @default false */
	readonly citus?: boolean | undefined;
	/** Begins nothing while another process gives signs of life. */
	readonly unlessUnderWay?: boolean;
}

/**
 * The token is stored UNLOGGED with the file that the rebuild began
 * with: a crash between begin and finish takes it away, a TRUNCATE makes the
 * file another.
 */
export class Fence {
	readonly #db: Handle;
	readonly #schema: string;
	readonly #kind: string;
	readonly #signal: AbortSignal | undefined;
	readonly #citus: boolean;
	/** When it began, by the server's clock. */
	readonly #begun: string;
	#lastSign = performance.now();

	private constructor(
		db: Handle,
		schema: string,
		{ kind, begun, signal, citus }: StartedFence,
	) {
		this.#db = db;
		this.#schema = schema;
		this.#kind = kind;
		this.#begun = begun;
		this.#signal = signal;
		this.#citus = citus;
	}

	/** `undefined`: another process gave a sign of life, and it is left to that one. */
	static async begin(
		db: Handle,
		schema: string,
		{ unlessUnderWay = false, signal, citus = false }: FenceOptions,
	): Promise<Fence | undefined> {
		const token = randomUUID();
		const kind = `rebuild:${token}`;
		const others = sql`SELECT FROM ${kvState(schema)} WHERE starts_with(kind, 'rebuild:')`;
		const leave = unlessUnderWay
			? sql`WHERE NOT EXISTS (${others} AND at > statement_timestamp() - INTERVAL '10 s')`
			: sql``;
		// Rebuilders that died leave their tokens behind.
		await db.query(
			sql`DELETE FROM ${kvState(schema)} WHERE starts_with(kind, 'rebuild:') AND at < statement_timestamp() - INTERVAL '1 h'`,
		);
		const { rows } = await db.query<{ begun: string }>(sql`
WITH begun AS MATERIALIZED (SELECT ${kind}::text, ${token}::uuid, ${citus ? noFile : kvFilenode(schema)} ${leave})
INSERT INTO ${kvState(schema)} (kind, token, filenode) SELECT * FROM begun
RETURNING at::text AS begun`);
		const [row] = rows;
		if (row === undefined) return undefined;
		if (citus) await addMarkEntry(db, schema, kind);
		return new Fence(db, schema, { kind, begun: row.begun, signal, citus });
	}

	/** Between two steps: whether to continue at all. Other processes see that it is in progress. */
	async check(): Promise<void> {
		if (this.#signal?.aborted)
			throw new RemError("CANCELLED", "the rebuild was stopped");
		if (performance.now() - this.#lastSign < signOfLifeEveryMs) return;
		this.#lastSign = performance.now();
		const { rowCount } = await this.#db.query(
			sql`UPDATE ${kvState(this.#schema)} AS s SET at = statement_timestamp() WHERE ${this.#isMine}`,
		);
		if (rowCount === 0) throw new Fenced();
	}

	/**
	 * A prepared transaction survives a crash, what it wrote to the cache does
	 * not, and its rows are invisible until it is committed: while one is older
	 * than this rebuild, it is unknown whether the cache is complete.
	 */
	async awaitPrepared(): Promise<void> {
		const lastTry = performance.now() + preparedTimeoutMs;
		let left = await this.#readPrepared();
		for (;;) {
			await this.check();
			if (left.size === 0) return;
			const now = await this.#readPrepared();
			left = new Set([...left].filter((gid) => now.has(gid)));
			if (left.size === 0) return;
			if (performance.now() > lastTry)
				throw new RemError(
					"DATABASE",
					`kv_store cannot be marked ready: prepared transactions are in doubt (${left.size})`,
					{
						hint: "COMMIT PREPARED or ROLLBACK PREPARED what pg_prepared_xacts shows; LOOKUP answers from the primary tables until then",
					},
				);
			await sleep(100, undefined, { ref: false });
		}
	}

	/** Marks the cache ready if it is the one that was begun with: same token, same file. */
	async finish(): Promise<boolean> {
		const { rowCount } = await this.#db.query(sql`
WITH mine AS (DELETE FROM ${kvState(this.#schema)} AS s WHERE ${this.#isMine} RETURNING s.token, s.filenode)
INSERT INTO ${kvState(this.#schema)} (kind, token, filenode)
SELECT 'ready', token, filenode FROM mine
ON CONFLICT (kind) DO UPDATE SET token = excluded.token, filenode = excluded.filenode, at = excluded.at`);
		if (rowCount === 0) await this.leave();
		else if (this.#citus) {
			await removeMarkEntries(this.#db, this.#schema);
			await markEntryReady(this.#db, this.#schema);
		}
		return rowCount === 1;
	}

	/** Takes the token away, so that others need not wait for this rebuild. */
	async leave(): Promise<void> {
		const gone = this.#db.query(
			sql`DELETE FROM ${kvState(this.#schema)} WHERE kind = ${this.#kind}`,
		);
		await gone.catch(() => {
			// It ends with an error already, and the token ages.
		});
	}

	get #isMine(): Sql {
		const isSame = this.#citus
			? hasMarkEntry(this.#schema, "s")
			: sql`s.filenode = ${kvFilenode(this.#schema)}`;
		return sql`s.kind = ${this.#kind} AND ${isSame}`;
	}

	/**
	 * Prepared transactions that may be older than the rebuild. On Citus every
	 * transaction that writes on a node is prepared for a moment, and the clocks of
	 * nodes differ: the rebuild waits once for those of all nodes.
	 */
	async #readPrepared(): Promise<Set<string>> {
		const { rows } = await this.#db.query<{ gid: string }>(
			this.#citus
				? sql`
SELECT p.nodeid || ' ' || gid AS gid
FROM run_command_on_all_nodes($$SELECT json_agg(gid) FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()$$) AS p
CROSS JOIN LATERAL json_array_elements_text(CASE WHEN p.success THEN coalesce(nullif(p.result, ''), '[]')::json ELSE '["node cannot be asked"]' END) AS gid`
				: sql`
SELECT gid FROM pg_prepared_xacts
WHERE database = current_database() AND prepared <= ${this.#begun}::timestamptz`,
		);
		return new Set(rows.map(({ gid }) => gid));
	}
}

/** On Citus, adds the entry that proves the cache was not emptied since. */
async function addMarkEntry(
	db: Handle,
	schema: string,
	kind: string,
): Promise<void> {
	await db.query(sql`
WITH mark AS MATERIALIZED (
  SELECT '', ${markType}, token, '', '' FROM ${kvState(schema)} WHERE kind = ${kind}
)
INSERT INTO ${kvStore(schema)} (entity_key, entity_type, entity_id, tenant_id, normalized_key) SELECT * FROM mark`);
}

/** Has the entry prove alone that the cache is whole. Whoever deletes the marker deletes the entry with it. */
async function markEntryReady(db: Handle, schema: string): Promise<void> {
	await db.query(sql`
UPDATE ${kvStore(schema)} SET entity_key = ${readyKey}
WHERE entity_type = ${markType} AND entity_id IN (SELECT token FROM ${kvState(schema)} WHERE kind = 'ready')`);
}

/** Removes the entries of markers that were replaced and of rebuilds that ended. */
async function removeMarkEntries(db: Handle, schema: string): Promise<void> {
	await db.query(sql`
DELETE FROM ${kvStore(schema)} WHERE entity_type = ${markType} AND entity_id NOT IN (SELECT token FROM ${kvState(schema)})`);
}
