import type pg from "pg";
import type { Sql, Statement } from "../sql.ts";
import {
	type DatabaseFacts,
	runTransaction,
	send,
	sendScript,
	vectorOid,
} from "./connection.ts";
import type {
	Handle,
	QueryOptions,
	Result,
	TransactionOptions,
} from "./database.ts";

/** One connection of a pool while it is checked out; nothing is run again on another. */
export class PoolConnection implements Handle {
	readonly #client: pg.PoolClient;
	readonly #facts: DatabaseFacts;
	readonly #limits: (options: QueryOptions) => QueryOptions;

	constructor(
		client: pg.PoolClient,
		facts: DatabaseFacts,
		limits: (options: QueryOptions) => QueryOptions,
	) {
		this.#client = client;
		this.#facts = facts;
		this.#limits = limits;
	}

	/** The same object each time the connection is checked out. */
	get identity(): object {
		return this.#client;
	}

	/** What the other end says its process is: the server's, unless a pooler is in between. */
	get processId(): number | undefined {
		return (this.#client as unknown as { processID?: number }).processID;
	}

	query<R>(statement: Sql | Statement, options: QueryOptions = {}) {
		return send<R>(this.#client, statement, this.#limits(options));
	}

	script(text: string): Promise<Result[]> {
		return sendScript(this.#client, text);
	}

	transaction<T>(
		work: (tx: Handle) => Promise<T>,
		options: TransactionOptions = {},
	): Promise<T> {
		return runTransaction(this.#client, this.#facts, work, options);
	}

	vectorOid(): Promise<number> {
		return vectorOid(this, this.#facts);
	}
}
