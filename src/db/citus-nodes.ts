import type { Logger } from "../logger.ts";
import { type Sql, type Statement, sql } from "../sql.ts";
import type {
	Database,
	Handle,
	QueryOptions,
	Result,
	TransactionOptions,
} from "./database.ts";
import {
	outsideTransactions,
	refuseInsideTransaction,
} from "./open-transaction.ts";
import { isConnectionLost, isTransient, toRemError } from "./sql-state.ts";

// A node that failed is left to the coordinator for so long.
const restMs = 2000;
// A bucket that another process has moved is looked for again after so long; until
// then its old node passes the statements on.
const knownMs = 10_000;

interface Place {
	readonly schema: string;
	/** `host:port`, as Citus names it. */
	readonly node: string;
}

export interface CitusNodesOptions {
	/** Opens a pool to a node with at most so many connections; `undefined` where the node is not to be used directly. */
	readonly open: (node: string, connections: number) => Database | undefined;
	/** Of all pools together. */
	readonly maxConnections: number;
	readonly logger: Logger;
}

/**
 * The nodes of a Citus cluster, for calls that concern one schema. Every node
 * takes every statement and routes it by its own copy of the cluster's metadata:
 * what is sent to a node that a schema has left arrives, only later. So the
 * placement that is cached here decides where a statement is fast, not whether
 * its result is right.
 */
export class CitusNodes {
	readonly #coordinator: Database;
	readonly #options: CitusNodesOptions;
	#places = new Map<string, string>();
	#readAt = Number.NEGATIVE_INFINITY;
	#reading: Promise<void> | undefined;
	readonly #pools = new Map<string, Database>();
	/** Names of the nodes that the pools were opened for. */
	#names = "";
	readonly #restUntil = new Map<string, number>();
	readonly #closing = new Set<Promise<void>>();
	#isClosed = false;

	constructor(coordinator: Database, options: CitusNodesOptions) {
		this.#coordinator = coordinator;
		this.#options = options;
	}

	/** What sends statements about a schema to its node, and to the coordinator where that is not possible. */
	of(schema: string): Handle {
		return new NodeHandle(this, schema, this.#coordinator);
	}

	/** @internal The pool of the node that has the schema, with the node's name. */
	nodeOf(schema: string): { name: string; db: Database } | undefined {
		const now = performance.now();
		if (now > this.#readAt + knownMs) this.forget();
		const name = this.#places.get(schema);
		if (name === undefined || this.#isClosed) return undefined;
		const db = this.#pools.get(name);
		if (db === undefined || now < (this.#restUntil.get(name) ?? 0))
			return undefined;
		return { name, db };
	}

	/** @internal Leaves the node to the coordinator for a while, and reads the placement again. */
	noteFailure(name: string, error: unknown): void {
		this.#restUntil.set(name, performance.now() + restMs);
		const { code, message, sqlState } = toRemError(error);
		this.#options.logger.warn(
			{ node: name, code, sqlState },
			`node ${name} did not answer, the coordinator does: ${message}`,
		);
		this.forget();
	}

	/** Has the placement read again: a schema was moved, or a node failed. */
	forget(): void {
		this.#readAt = Number.NEGATIVE_INFINITY;
		if (this.#reading !== undefined || this.#isClosed) return;
		const started = performance.now();
		this.#reading = outsideTransactions(() => readPlaces(this.#coordinator))
			.then(
				(places) => this.#place(places, started),
				// The coordinator answers the calls, or reports why not.
				() => this.#place([], started),
			)
			.finally(() => {
				this.#reading = undefined;
			});
	}

	async close(): Promise<void> {
		this.#isClosed = true;
		await this.#reading;
		this.#closePools();
		await Promise.all(this.#closing);
	}

	#place(places: readonly Place[], at: number): void {
		this.#readAt = at;
		this.#places = new Map(places.map(({ schema, node }) => [schema, node]));
		const nodes = [...new Set(places.map(({ node }) => node))].sort();
		const names = nodes.join();
		if (this.#isClosed || nodes.length === 0 || names === this.#names) return;
		this.#closePools();
		this.#names = names;
		// The rest of more nodes than connections is left to the coordinator.
		const { maxConnections, open } = this.#options;
		const used = nodes.slice(0, maxConnections);
		const share = Math.floor(maxConnections / used.length);
		for (const node of used) {
			const pool = open(node, share);
			if (pool !== undefined) this.#pools.set(node, pool);
		}
	}

	/** Each ends once its calls have ended. */
	#closePools(): void {
		for (const pool of this.#pools.values()) {
			const closing = pool.close().finally(() => this.#closing.delete(closing));
			this.#closing.add(closing);
		}
		this.#pools.clear();
	}
}

/** The node of each distributed schema; not of those on the coordinator itself, nor on nodes whose metadata may be old. */
async function readPlaces(coordinator: Database): Promise<Place[]> {
	const { rows } = await coordinator.query<Place>(
		sql`SELECT DISTINCT n.nspname::text AS schema, d.nodename || ':' || d.nodeport AS node
FROM pg_dist_shard AS s
JOIN pg_class AS c ON c.oid = s.logicalrelid AND c.relname = 'kv_store'
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_dist_placement AS p ON p.shardid = s.shardid
JOIN pg_dist_node AS d ON d.groupid = p.groupid
WHERE d.noderole = 'primary' AND d.isactive AND d.hasmetadata AND d.metadatasynced AND d.groupid <> 0`,
		{ idempotent: true },
	);
	return rows;
}

/** Whether a unit of work may run again on the coordinator, after it failed on a node. */
interface Unit {
	readonly idempotent?: boolean | undefined;
	readonly retries?: number | undefined;
}

class NodeHandle implements Handle {
	readonly #nodes: CitusNodes;
	readonly #schema: string;
	readonly #coordinator: Database;

	constructor(nodes: CitusNodes, schema: string, coordinator: Database) {
		this.#nodes = nodes;
		this.#schema = schema;
		this.#coordinator = coordinator;
	}

	/** Only what may be sent again: whether any other statement was sent is unknown after a failure. */
	query<R>(statement: Sql | Statement, options: QueryOptions = {}) {
		const send = (db: Database): Promise<Result<R>> =>
			db.query<R>(statement, options);
		return options.idempotent === true
			? this.#run(send, () => true)
			: send(this.#coordinator);
	}

	script(text: string): Promise<Result[]> {
		return this.#coordinator.script(text);
	}

	transaction<T>(
		work: (tx: Handle) => Promise<T>,
		options: TransactionOptions = {},
	): Promise<T> {
		let isBegun = false;
		const begin = (tx: Handle) => {
			isBegun = true;
			return work(tx);
		};
		return this.#run(
			(db) => db.transaction(begin, options),
			(error) => !isBegun || mayRepeat(options, error),
		);
	}

	vectorOid(): Promise<number> {
		return this.#coordinator.vectorOid();
	}

	async #run<T>(
		work: (db: Database) => Promise<T>,
		mayRunAgain: (error: unknown) => boolean,
	): Promise<T> {
		refuseInsideTransaction(this.#coordinator);
		const node = this.#nodes.nodeOf(this.#schema);
		if (node === undefined) return work(this.#coordinator);
		try {
			return await work(node.db);
		} catch (error) {
			if (!isOfNode(error)) throw error;
			this.#nodes.noteFailure(node.name, error);
			if (!mayRunAgain(error)) throw error;
			return work(this.#coordinator);
		}
	}
}

/** Whether the coordinator may succeed: the node is away, is full, or left the cluster and with it lost the tables. */
function isOfNode(error: unknown): boolean {
	if (isConnectionLost(error) || isTransient(error)) return true;
	const { code } = toRemError(error);
	return code === "POOL_TIMEOUT" || code === "SCHEMA_DRIFT";
}

/** The rule of transactions on one server: repeated if it certainly left nothing behind, or may be applied twice. */
function mayRepeat({ idempotent, retries = 0 }: Unit, error: unknown): boolean {
	if (idempotent === true) return true;
	return retries > 0 && toRemError(error).code !== "OUTCOME_UNKNOWN";
}
