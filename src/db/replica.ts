import { setTimeout as sleep } from "node:timers/promises";
import { RemError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Sql, Statement } from "../sql.ts";
import { count } from "../telemetry/metrics.ts";
import { membersOf } from "../util/present.ts";
import type {
	Database,
	Handle,
	QueryOptions,
	Result,
	TransactionOptions,
} from "./database.ts";
import type { PoolConnection } from "./pool-connection.ts";
import type { PoolDatabase } from "./pool-database.ts";
import { isConnectionLost, isRolledBack, isTransient } from "./sql-state.ts";
import { isFollowing } from "./standby.ts";
import {
	readCluster,
	readServerState,
	readWritten,
	type ServerState,
} from "./wal-position.ts";

export interface ReplicaOptions {
	/** The replica's address, for messages: `localhost:5433`. */
	readonly address: string;
	/** Longest wait for the replica to have what was written here. */
	readonly waitMs: number;
	readonly logger: Logger;
}

// Reads go to the primary so long before the replica is asked again.
const restMs = 2000;
const maxPauseMs = 25;
// For this long the primary is assumed to be the same server.
const primaryKnownMs = 1000;
// For this long a standby is assumed to follow the same server.
const standbyKnownMs = 5000;

/** The server of the read host has a log of its own: its rows are not the primary's. */
class Forked extends Error {}

/**
 * Reads on a replica, as a handle like any other. What was written through the
 * primary's pool before is included: the replica is waited for, briefly, and
 * then the primary asked instead. The same when the replica is away, or cancels
 * a read because of what it replays.
 */
export class Replica implements Handle {
	readonly #primary: Database;
	readonly #pool: PoolDatabase;
	readonly #options: ReplicaOptions;
	/** Where the primary's log stood after that many of its writes. */
	#position: { writes: number; lsn: Promise<bigint | undefined> };
	/** What the server behind each connection last reported, and when. */
	readonly #states = new WeakMap<object, Reported>();
	/** Connections that lead to a pooler, which gives each transaction another server. */
	readonly #pooled = new WeakSet<object>();
	#cluster: Promise<string | undefined> | undefined;
	#primaryState:
		| { readonly at: number; state: Promise<ServerState> }
		| undefined;
	#fork: string | undefined;
	#isChecked = false;
	#restUntil = 0;
	#isOut = false;

	constructor(primary: Database, pool: PoolDatabase, options: ReplicaOptions) {
		this.#primary = primary;
		// What came before was only to connect.
		this.#position = {
			writes: primary.writes,
			lsn: Promise.resolve(undefined),
		};
		this.#pool = pool;
		this.#options = options;
	}

	/** Why the server of the read host is not used: it no longer follows the primary. */
	get fork(): string | undefined {
		return this.#fork;
	}

	query<R>(statement: Sql | Statement, options?: QueryOptions) {
		const read = { ...options, idempotent: true };
		return this.#read<Result<R>>((db) => db.query<R>(statement, read));
	}

	script(text: string): Promise<Result[]> {
		return this.#read((db) => db.script(text));
	}

	transaction<T>(
		work: (tx: Handle) => Promise<T>,
		options: TransactionOptions = {},
	): Promise<T> {
		const read = { ...options, readOnly: true, idempotent: true };
		return this.#read((db) => db.transaction(work, read));
	}

	vectorOid(): Promise<number> {
		return this.#primary.vectorOid();
	}

	close(): Promise<void> {
		return this.#pool.close();
	}

	async #read<T>(read: (db: Handle) => Promise<T>): Promise<T> {
		if (performance.now() < this.#restUntil) return this.#askPrimary(read);
		const cluster = await this.#ownCluster();
		const position = await this.#writtenHere();
		const answer = await this.#answer({ cluster, position }, read);
		return answer === undefined ? this.#askPrimary(read) : answer.value;
	}

	#askPrimary<T>(read: (db: Handle) => Promise<T>): Promise<T> {
		count("remdb.replica.fallbacks", {});
		return read(this.#primary);
	}

	/** The replica's answer, or nothing: then it is the primary's to give. */
	async #answer<T>(
		{ cluster, position }: Wanted,
		read: (db: Handle) => Promise<T>,
	): Promise<{ value: T } | undefined> {
		// Until this one is back, no other tries a replica that was of no use.
		const isTrial = this.#isOut;
		if (isTrial) this.#restUntil = Number.POSITIVE_INFINITY;
		try {
			await this.#checkCluster(cluster);
			const waitMs = isTrial ? 0 : this.#options.waitMs;
			const answer = await this.#whenReplayed(position, waitMs, read);
			if (answer === undefined) this.#rest("is behind what was written here");
			else {
				this.#fork = undefined;
				if (isTrial) this.#back();
			}
			return answer;
		} catch (error) {
			if (error instanceof Forked) {
				this.#fork = error.message;
				this.#rest(error.message);
				return undefined;
			}
			const message = error instanceof Error ? error.message : String(error);
			if (isConnectionLost(error)) this.#rest(message);
			else if (isTrial) this.#back();
			if (!isOfReplica(error)) throw error;
			if (isRolledBack(error)) this.#warn(`cancelled a read: ${message}`);
			return undefined;
		}
	}

	/** How far a replica must be to have what was written here; `undefined`: nothing was. */
	#writtenHere(): Promise<bigint | undefined> {
		const { writes } = this.#primary;
		if (writes > this.#position.writes) {
			const lsn = readWritten(this.#primary);
			this.#position = { writes, lsn };
			// The caller gets the error; the next one asks again.
			lsn.catch(() => this.#forgetPosition());
		}
		return this.#position.lsn;
	}

	#forgetPosition(): void {
		this.#position = { ...this.#position, writes: -1 };
	}

	/** Nothing, when the replica has not come so far in time. */
	async #whenReplayed<T>(
		position: bigint | undefined,
		waitMs: number,
		read: (db: Handle) => Promise<T>,
	): Promise<{ value: T } | undefined> {
		const deadline = performance.now() + waitMs;
		for (let pauseMs = 1; ; pauseMs = Math.min(2 * pauseMs, maxPauseMs)) {
			const answer = await this.#pool.withConnection((connection) =>
				this.#readIfReplayed(connection, position ?? 0n, read),
			);
			if (answer !== undefined) return answer;
			if (performance.now() + pauseMs > deadline) return undefined;
			await sleep(pauseMs);
		}
	}

	async #readIfReplayed<T>(
		connection: PoolConnection,
		position: bigint,
		read: (db: Handle) => Promise<T>,
	): Promise<{ value: T } | undefined> {
		const { identity } = connection;
		if (this.#pooled.has(identity))
			return this.#readWithin(connection, position, read);
		let reported = this.#states.get(identity);
		if (!this.#isCurrent(reported, identity, position)) {
			const state = await readServerState(connection);
			if (state.processId !== connection.processId) {
				this.#pooled.add(identity);
				return this.#readWithin(connection, position, read);
			}
			reported = { at: performance.now(), state };
			this.#states.set(identity, reported);
		}
		await this.#refuseFork(reported.state);
		if (reported.state.replayed < position) return undefined;
		const value = await read(connection);
		// It was promoted before it answered: what it answered may be its own.
		if (reported.state.isStandby && !isFollowing(identity))
			await this.#refuseFork(await readServerState(connection));
		return { value };
	}

	#isCurrent(
		reported: Reported | undefined,
		identity: object,
		position: bigint,
	): reported is Reported {
		if (reported === undefined) return false;
		const { at, state } = reported;
		if (state.replayed < position) return false;
		if (state.isStandby !== isFollowing(identity)) return false;
		return !state.isStandby || performance.now() < at + standbyKnownMs;
	}

	/** Only within a transaction is it one server that reports how far it is, and answers. */
	#readWithin<T>(
		connection: PoolConnection,
		position: bigint,
		read: (db: Handle) => Promise<T>,
	): Promise<{ value: T } | undefined> {
		return connection.transaction(
			async (tx) => {
				const state = await readServerState(tx);
				await this.#refuseFork(state);
				if (state.replayed < position) return undefined;
				return { value: await read(tx) };
			},
			// The rows of the moment in which it reported what it is.
			{ readOnly: true, isolation: "repeatable read" },
		);
	}

	/**
	 * A server that takes writes itself has the primary's rows only if it is the
	 * primary; one that follows another server, only if that one is. A promotion
	 * begins a new timeline, so that its followers are ahead of the primary's.
	 */
	async #refuseFork(state: ServerState): Promise<void> {
		const isForked = async (maxAgeMs: number) => {
			const primary = await this.#askPrimaryState(maxAgeMs);
			return state.isStandby
				? isAhead(state, primary)
				: state.started !== primary.started;
		};
		// A failover may have made another server the primary since it was asked.
		const knownMs = state.isStandby ? Number.POSITIVE_INFINITY : primaryKnownMs;
		if (!(await isForked(knownMs)) || !(await isForked(0))) return;
		throw new Forked(
			state.isStandby
				? "it follows a server that was promoted, and its rows are no longer the primary's"
				: "it is neither a standby nor the primary: it was promoted, and its rows are no longer the primary's",
		);
	}

	#askPrimaryState(maxAgeMs: number): Promise<ServerState> {
		const known = this.#primaryState;
		if (known !== undefined && performance.now() < known.at + maxAgeMs)
			return known.state;
		const state = readServerState(this.#primary);
		this.#primaryState = { at: performance.now(), state };
		state.catch(() => {
			// The caller gets the error; the next one asks again.
			this.#primaryState = undefined;
		});
		return state;
	}

	#ownCluster(): Promise<string | undefined> {
		this.#cluster ??= readCluster(this.#primary).catch((error) => {
			this.#cluster = undefined;
			throw error;
		});
		return this.#cluster;
	}

	/** Another cluster's rows would be answers to other questions. */
	async #checkCluster(own: string | undefined): Promise<void> {
		if (this.#isChecked) return;
		if ((await readCluster(this.#pool)) !== own)
			throw new RemError(
				"CONFIG_INVALID",
				`${this.#options.address} is not a replica of this database`,
				{ hint: "let POSTGRES__READ_HOST lead to a standby of POSTGRES__HOST" },
			);
		this.#isChecked = true;
	}

	#rest(reason: string): void {
		this.#restUntil = performance.now() + restMs;
		// It may have been another primary's log, before a failover.
		this.#forgetPosition();
		this.#primaryState = undefined;
		this.#isChecked = false;
		if (!this.#isOut) this.#warn(`${reason}; reads go to the primary`);
		this.#isOut = true;
	}

	#back(): void {
		this.#isOut = false;
		this.#restUntil = 0;
		const { address, logger } = this.#options;
		logger.info({ address }, `replica ${address} answers again`);
	}

	#warn(problem: string): void {
		const { address, logger } = this.#options;
		logger.warn({ address }, `replica ${address}: ${problem}`);
	}
}

interface Reported {
	readonly at: number;
	readonly state: ServerState;
}

function isAhead(state: ServerState, primary: ServerState): boolean {
	return (
		state.timeline !== null &&
		primary.timeline !== null &&
		state.timeline > primary.timeline
	);
}

/** What a replica must have, and be a copy of. */
interface Wanted {
	readonly cluster: string | undefined;
	readonly position: bigint | undefined;
}

/** Whether the primary may answer what the replica could not. */
function isOfReplica(error: unknown): boolean {
	return (
		isConnectionLost(error) ||
		isTransient(error) ||
		isRolledBack(error) ||
		// All of its connections are busy; or a migration has not reached it yet.
		codesOfReplica.has(membersOf(error).code)
	);
}

const codesOfReplica: ReadonlySet<unknown> = new Set([
	"POOL_TIMEOUT",
	"SCHEMA_DRIFT",
]);
