import type pg from "pg";
import { RemError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Sql, Statement } from "../sql.ts";
import {
	cannotConnect,
	prepareClient,
	refuseOpenTransaction,
	retryTransaction,
	rollBackIfOpen,
	runTransaction,
	send,
	sendScript,
	type TypeOids,
	vectorOid,
} from "./connection.ts";
import type {
	Capabilities,
	Database,
	Handle,
	QueryOptions,
	Result,
	Session,
	SessionOptions,
	TransactionOptions,
} from "./database.ts";
import { isConnectionLost, toRemError } from "./sql-state.ts";

export interface PoolDatabaseOptions {
	readonly capabilities: Capabilities;
	readonly logger: Logger;
	/** Says where the server is, for messages: `localhost:5432`. */
	readonly address: string;
	/** Opens a connection of its own; without it, a session shares the pool. */
	readonly openSession?: (options: SessionOptions) => Promise<Session>;
	/** What to close after the pool. */
	readonly onClose?: () => Promise<void>;
}

/** A database behind a pool of `pg`: a server's, or the embedded one's single connection. */
export class PoolDatabase implements Database {
	readonly capabilities: Capabilities;
	readonly #pool: pg.Pool;
	readonly #options: PoolDatabaseOptions;
	readonly #oids: TypeOids = {};
	/** What is under way, or waits for a connection. */
	readonly #running = new Set<Promise<unknown>>();
	#closing: Promise<void> | undefined;

	constructor(pool: pg.Pool, options: PoolDatabaseOptions) {
		this.capabilities = options.capabilities;
		this.#pool = pool;
		this.#options = options;
		// Without these listeners a restart of the server ends the process.
		pool.on("error", (error) => this.#warn(error));
		pool.on("connect", (client) => {
			client.on("error", (error) => this.#warn(error));
			prepareClient(client);
		});
	}

	query<R>(statement: Sql | Statement, options?: QueryOptions) {
		return this.#track(
			this.#withClient((client) => send<R>(client, statement, options)),
		);
	}

	script(text: string): Promise<Result[]> {
		return this.#track(this.#withClient((client) => sendScript(client, text)));
	}

	transaction<T>(
		work: (tx: Handle) => Promise<T>,
		options: TransactionOptions = {},
	): Promise<T> {
		return this.#track(
			retryTransaction(options, () =>
				this.#withClient((client) =>
					runTransaction(client, this.#oids, work, options),
				),
			),
		);
	}

	vectorOid(): Promise<number> {
		return vectorOid(this, this.#oids);
	}

	async openSession(options: SessionOptions = {}): Promise<Session> {
		this.#refuseClosed();
		return this.#options.openSession?.(options) ?? sharedSession(this);
	}

	close(): Promise<void> {
		this.#closing ??= this.#finish();
		return this.#closing;
	}

	/** The pool would end without serving those who wait for a connection. */
	async #finish(): Promise<void> {
		while (this.#running.size > 0) await Promise.allSettled(this.#running);
		await this.#pool.end();
		await this.#options.onClose?.();
	}

	async #track<T>(work: Promise<T>): Promise<T> {
		this.#running.add(work);
		try {
			return await work;
		} finally {
			this.#running.delete(work);
		}
	}

	async #withClient<T>(work: (client: pg.PoolClient) => Promise<T>) {
		const client = await this.#connect();
		let lost = false;
		try {
			const result = await work(client);
			await refuseOpenTransaction(client);
			return result;
		} catch (error) {
			lost = isConnectionLost(error) || !(await rollBackIfOpen(client));
			throw error;
		} finally {
			// Only a broken connection is thrown away: `pool.query` would drop one
			// for every failing statement.
			client.release(lost);
		}
	}

	async #connect(): Promise<pg.PoolClient> {
		this.#refuseClosed();
		const full = this.#pool.totalCount >= this.capabilities.maxConnections;
		try {
			return await this.#pool.connect();
		} catch (error) {
			const failure = toRemError(error);
			const { cause } = failure;
			// The pool's own time-out has no code: it is told by the pool being full.
			if (full && failure.sqlState === undefined)
				throw new RemError(
					"POOL_TIMEOUT",
					`all ${this.capabilities.maxConnections} connections are busy`,
					{
						hint: "raise poolSize, or find what holds them: inside a transaction, pass its handle to every call",
						cause,
					},
				);
			throw cannotConnect(this.#options.address, failure);
		}
	}

	#refuseClosed(): void {
		if (this.#closing === undefined) return;
		throw new RemError("CONNECTION_FAILED", "the database is closed", {
			hint: "connect again with PostgresService.connect()",
		});
	}

	#warn(error: unknown): void {
		this.#options.logger.warn(`idle connection: ${toRemError(error).message}`);
	}
}

/** Where there is one connection: a session takes it for each statement, and lets others in between. */
function sharedSession(db: Handle): Session {
	return {
		processId: undefined,
		query: (statement, options) => db.query(statement, options),
		script: (text) => db.script(text),
		transaction: (work, options) => db.transaction(work, options),
		vectorOid: () => db.vectorOid(),
		listen: async () => {
			throw new RemError("DATABASE", "this database has no LISTEN", {
				hint: "ask `capabilities.listen` first",
			});
		},
		unref: () => {},
		close: async () => {},
	};
}
