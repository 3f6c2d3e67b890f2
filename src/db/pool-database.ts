import type pg from "pg";
import { RemError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { compile, type Sql, type Statement } from "../sql.ts";
import { count } from "../telemetry/metrics.ts";
import { ConnectGate } from "./connect-gate.ts";
import {
	type Connection,
	cannotConnect,
	type ObservedDatabase,
	prepareClient,
	vectorOid,
	withName,
} from "./connection.ts";
import type {
	Capabilities,
	Database,
	DatabaseActivity,
	Handle,
	QueryOptions,
	Result,
	Session,
	SessionOptions,
	TransactionOptions,
} from "./database.ts";
import { internalsOf } from "./driver.ts";
import { refuseInsideTransaction } from "./open-transaction.ts";
import { PoolConnection } from "./pool-connection.ts";
import { type RetryUnit, retryUnit } from "./retry.ts";
import { send, sendScript } from "./send.ts";
import { SlowStatements } from "./slow-statements.ts";
import {
	isConnectionLost,
	isReadOnlyServer,
	isStalePlan,
	isStatementLost,
	isTransient,
	toRemError,
} from "./sql-state.ts";
import {
	endOpenTransaction,
	isLimited,
	isTransactionOpen,
	outcomeUnknown,
	rollBackIfOpen,
	runTransaction,
} from "./transaction.ts";

export interface PoolDatabaseOptions {
	readonly capabilities: Capabilities;
	readonly logger: Logger;
	/** The server's address, for messages: `localhost:5432`. */
	readonly address: string;
	/** How long work that may be retried is retried while the server is away. */
	readonly retryTimeoutMs: number;
	/** Longest time of a statement that is idempotent or limited, also in such a transaction; then it is cancelled. @default none */
	readonly queryTimeoutMs?: number;
	/** Opens a connection of its own; without it, a session shares the pool. */
	readonly openSession?: (
		options: SessionOptions,
		observed: ObservedDatabase,
	) => Promise<Session>;
	/** What to close after the pool. */
	readonly onClose?: () => Promise<void>;
}

/** A database behind a pool of `pg`: a server's, or the embedded one's single connection. */
export class PoolDatabase implements Database {
	#capabilities: Capabilities;
	readonly #pool: pg.Pool;
	readonly #options: PoolDatabaseOptions;
	readonly #observed: ObservedDatabase;
	readonly #slow = new SlowStatements();
	/** Calls in progress, or waiting for a connection. */
	readonly #running = new Set<Promise<unknown>>();
	readonly #gate = new ConnectGate(async () => {
		(await this.#take()).release();
	});
	/** The generation of each connection; one of an earlier generation than this is discarded. */
	readonly #generations = new WeakMap<pg.PoolClient, number>();
	#generation = 0;
	/** Of connections that nothing was sent on yet: the settings that are made first. */
	readonly #prepared = new WeakMap<pg.PoolClient, Promise<void>>();
	/** Whether it was ever reached: a wrong address fails at once. */
	#isProven = false;
	#closing: Promise<void> | undefined;
	#writes = 0;

	constructor(pool: pg.Pool, options: PoolDatabaseOptions) {
		this.#capabilities = options.capabilities;
		this.#pool = pool;
		this.#options = options;
		this.#observed = {
			losesNames: !options.capabilities.namedStatements,
			slow: this.#slow,
		};
		// Without these listeners a restart of the server ends the process.
		pool.on("error", (error) => this.#warn(error));
		pool.on("connect", (client) => {
			client.on("error", (error) => this.#warn(error));
			const isDirect = options.capabilities.kind === "embedded";
			const timeoutMs = pool.options.connectionTimeoutMillis;
			const prepared = prepareClient(client, { isDirect, timeoutMs });
			prepared.catch(() => {
				// Thrown to the caller that takes the connection.
			});
			this.#prepared.set(client, prepared);
		});
	}

	get capabilities(): Capabilities {
		return this.#capabilities;
	}

	/**
	 * Sets the capabilities of the coordinator of a Citus cluster: notifications of its
	 * nodes do not arrive, and a transaction that notifies cannot be committed on
	 * several nodes.
	 */
	actAsCitus(): void {
		this.#capabilities = { ...this.#capabilities, citus: true, listen: false };
		this.#observed.isCitus = true;
	}

	get writes(): number {
		return this.#writes;
	}

	get activity(): DatabaseActivity {
		const {
			totalCount: open,
			idleCount: idle,
			waitingCount: waiting,
		} = this.#pool;
		const { maxConnections: max } = this.capabilities;
		return {
			connections: { max, open, idle, waiting },
			slowest: this.#slow.list(),
		};
	}

	async query<R>(statement: Sql | Statement, options: QueryOptions = {}) {
		refuseInsideTransaction(this);
		return this.#track(
			options.idempotent === true,
			this.#retry(options, (client) =>
				this.#send<R>(client, statement, options),
			),
		);
	}

	#send<R>(
		client: pg.PoolClient,
		statement: Sql | Statement,
		options: QueryOptions,
	): Promise<Result<R>> {
		const timed = () =>
			this.#slow.time(statement, () =>
				send<R>(client, statement, this.#limits(options)),
			);
		return options.idempotent === true
			? timed()
			: orUnknown(textOf(statement), timed);
	}

	async script(text: string): Promise<Result[]> {
		refuseInsideTransaction(this);
		return this.#track(
			false,
			this.#withClient((client) =>
				orUnknown(text, () => sendScript(client, text)),
			),
		);
	}

	async transaction<T>(
		work: (tx: Handle) => Promise<T>,
		options: TransactionOptions = {},
	): Promise<T> {
		refuseInsideTransaction(this);
		return this.#track(
			options.readOnly === true,
			this.#retry(options, (client) =>
				runTransaction(this.#connectionOf(client), work, options),
			),
		);
	}

	/** Runs reads on one connection, without a transaction of their own and only once. */
	withConnection<T>(
		work: (connection: PoolConnection) => Promise<T>,
	): Promise<T> {
		const limits = (options: QueryOptions) => this.#limits(options);
		return this.#track(
			true,
			this.#withClient((client) =>
				work(new PoolConnection({ client, observed: this.#observed }, limits)),
			),
		);
	}

	vectorOid(): Promise<number> {
		return vectorOid(this, this.#observed);
	}

	async openSession(options: SessionOptions = {}): Promise<Session> {
		this.#refuseClosed();
		refuseInsideTransaction(this);
		const onClosed = () => {
			this.#writes++;
			options.onClosed?.();
		};
		return (
			this.#options.openSession?.({ ...options, onClosed }, this.#observed) ??
			sharedSession(this)
		);
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

	async #track<T>(isRead: boolean, work: Promise<T>): Promise<T> {
		this.#running.add(work);
		try {
			return await work;
		} finally {
			this.#running.delete(work);
			if (!isRead) this.#writes++;
		}
	}

	#retry<T>(
		unit: RetryUnit,
		work: (client: pg.PoolClient) => Promise<T>,
	): Promise<T> {
		return retryUnit(
			{
				retries: unit.retries,
				idempotent: unit.idempotent,
				deadlineMs: this.#options.retryTimeoutMs,
				onRetry: (error, attempt) => this.#logRetry(error, attempt),
			},
			() => this.#withClient(work),
		);
	}

	#connectionOf(client: pg.PoolClient): Connection {
		const { queryTimeoutMs } = this.#options;
		return { client, observed: this.#observed, queryTimeoutMs };
	}

	#logRetry(error: unknown, attempt: number): void {
		const { code, sqlState } = toRemError(error);
		this.#options.logger.debug(
			{ code, sqlState, attempt },
			`retried after ${[code, sqlState].filter(Boolean).join(" ")}`,
		);
	}

	#limits(options: QueryOptions): QueryOptions {
		const { queryTimeoutMs } = this.#options;
		const limited =
			isLimited(options) && queryTimeoutMs !== undefined
				? { timeoutMs: queryTimeoutMs, ...options }
				: options;
		return withName(limited, this.#observed);
	}

	async #withClient<T>(work: (client: pg.PoolClient) => Promise<T>) {
		const client = await this.#connect();
		let lost = false;
		try {
			const result = await work(client);
			if (isTransactionOpen(client)) await endOpenTransaction(client);
			return result;
		} catch (error) {
			lost = this.#judge(error, client) || !(await rollBackIfOpen(client));
			throw error;
		} finally {
			// Only a broken connection is thrown away: `pool.query` would drop one
			// for every failing statement.
			client.release(lost);
		}
	}

	/** Returns whether the connection that the error came from must be discarded. */
	#judge(error: unknown, client: pg.PoolClient): boolean {
		if (isReadOnlyServer(error)) this.#evict(client);
		if (isStatementLost(error)) this.#observed.losesNames = true;
		const isLost = isConnectionLost(error);
		if (isLost) this.#gate.suspect();
		return isLost || isReadOnlyServer(error) || isStalePlan(error);
	}

	/** After a failover the pool's other connections lead to the old primary as well. */
	#evict(client: pg.PoolClient): void {
		// One of an earlier generation does not describe those made since.
		if (this.#generations.get(client) !== this.#generation) return;
		this.#generation++;
		count("remdb.connections.evicted", {});
		this.#options.logger.warn(
			{ sqlState: "25006" },
			`${this.#options.address} refuses writes: all connections are replaced`,
		);
	}

	/** A connection; while the server is away it is waited for. */
	async #connect(): Promise<pg.PoolClient> {
		const deadline = performance.now() + this.#options.retryTimeoutMs;
		for (;;) {
			this.#refuseClosed();
			try {
				if (!this.#gate.isOpen) await this.#gate.pass();
				return await this.#take();
			} catch (error) {
				if (!isTransient(error)) throw error;
				this.#gate.suspect();
				if (!this.#isProven || performance.now() > deadline) throw error;
			}
		}
	}

	async #take(): Promise<pg.PoolClient> {
		const full = this.#pool.totalCount >= this.capabilities.maxConnections;
		try {
			for (;;) {
				const client = await this.#pool.connect();
				const prepared = this.#prepared.get(client);
				if (prepared !== undefined) await this.#prepare(client, prepared);
				this.#isProven = true;
				const generation = this.#generations.get(client) ?? this.#generation;
				this.#generations.set(client, generation);
				if (generation === this.#generation) {
					// Calls keep the process alive, not their connections: see keepAlive().
					internalsOf(client).unref();
					return client;
				}
				client.release(true);
			}
		} catch (error) {
			const failure = toRemError(error);
			const { cause } = failure;
			// The pool's own time-out has no code: the full pool distinguishes it.
			if (
				full &&
				failure.sqlState === undefined &&
				!(error instanceof RemError)
			)
				throw new RemError(
					"POOL_TIMEOUT",
					`all ${this.capabilities.maxConnections} connections are busy`,
					{
						hint: "raise poolSize, or find what uses them: a transaction uses its connection until its work returns",
						cause,
					},
				);
			throw cannotConnect(this.#options.address, failure);
		}
	}

	async #prepare(client: pg.PoolClient, prepared: Promise<void>) {
		try {
			await prepared;
			this.#prepared.delete(client);
		} catch (error) {
			client.release(true);
			throw error;
		}
	}

	#refuseClosed(): void {
		if (this.#closing === undefined) return;
		throw new RemError("CONNECTION_FAILED", "the database is closed", {
			hint: "connect again with PostgresService.connect()",
		});
	}

	#warn(error: unknown): void {
		const { code, message, sqlState } = toRemError(error);
		this.#options.logger.warn(
			{ code, sqlState },
			`idle connection: ${message}`,
		);
	}
}

function textOf(statement: Sql | Statement): string {
	return ("text" in statement ? statement : compile(statement)).text;
}

/** When a connection is lost during a statement outside of transactions, its outcome is unknown. */
async function orUnknown<T>(text: string, work: () => Promise<T>): Promise<T> {
	try {
		return await work();
	} catch (error) {
		if (!isConnectionLost(error) || isPlainRead(text)) throw error;
		throw outcomeUnknown("the statement", error);
	}
}

function isPlainRead(text: string): boolean {
	return /^\s*(SELECT|SHOW|TABLE|VALUES|EXPLAIN)\b/i.test(text);
}

/** Where there is one connection: a session takes it for each statement, and releases it in between. */
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
