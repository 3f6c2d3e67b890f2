import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { type Sql, sql } from "../sql.ts";
import { kvFilenode, kvState } from "./tables.ts";

const signOfLifeEveryMs = 2000;
const preparedTimeoutMs = 5000;

/** The cache was emptied: what was copied may be gone. */
export class Fenced extends Error {}

interface StartedFence {
	readonly kind: string;
	readonly begun: string;
	readonly signal: AbortSignal | undefined;
}

interface FenceOptions {
	readonly signal?: AbortSignal | undefined;
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
	/** When it began, by the server's clock. */
	readonly #begun: string;
	#lastSign = performance.now();

	private constructor(
		db: Handle,
		schema: string,
		{ kind, begun, signal }: StartedFence,
	) {
		this.#db = db;
		this.#schema = schema;
		this.#kind = kind;
		this.#begun = begun;
		this.#signal = signal;
	}

	/** `undefined`: another process gave a sign of life, and it is left to that one. */
	static async begin(
		db: Handle,
		schema: string,
		{ unlessUnderWay = false, signal }: FenceOptions,
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
WITH begun AS MATERIALIZED (SELECT ${kind}::text, ${token}::uuid, ${kvFilenode(schema)} ${leave})
INSERT INTO ${kvState(schema)} (kind, token, filenode) SELECT * FROM begun
RETURNING at::text AS begun`);
		const [row] = rows;
		return row && new Fence(db, schema, { kind, begun: row.begun, signal });
	}

	/** Between two steps: whether to continue at all. Other processes see that it is in progress. */
	async check(): Promise<void> {
		if (this.#signal?.aborted)
			throw new RemError("CANCELLED", "the rebuild was stopped");
		if (performance.now() - this.#lastSign < signOfLifeEveryMs) return;
		this.#lastSign = performance.now();
		const { rowCount } = await this.#db.query(
			sql`UPDATE ${kvState(this.#schema)} SET at = statement_timestamp() WHERE ${this.#isMine}`,
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
		for (;;) {
			await this.check();
			const { rowCount } = await this.#db.query(sql`
SELECT FROM pg_prepared_xacts
WHERE database = current_database() AND prepared <= ${this.#begun}::timestamptz`);
			if (rowCount === 0) return;
			if (performance.now() > lastTry)
				throw new RemError(
					"DATABASE",
					`kv_store cannot be marked ready: prepared transactions are in doubt (${rowCount})`,
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
WITH mine AS (DELETE FROM ${kvState(this.#schema)} WHERE ${this.#isMine} RETURNING token, filenode)
INSERT INTO ${kvState(this.#schema)} (kind, token, filenode)
SELECT 'ready', token, filenode FROM mine
ON CONFLICT (kind) DO UPDATE SET token = excluded.token, filenode = excluded.filenode, at = excluded.at`);
		if (rowCount === 0) await this.leave();
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
		return sql`kind = ${this.#kind} AND filenode = ${kvFilenode(this.#schema)}`;
	}
}
