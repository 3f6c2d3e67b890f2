import type { Sql, Statement } from "../sql.ts";
import { type Connection, vectorOid } from "./connection.ts";
import type {
	Handle,
	QueryOptions,
	Result,
	TransactionOptions,
} from "./database.ts";
import { internalsOf } from "./driver.ts";
import { send, sendScript } from "./send.ts";
import { runTransaction } from "./transaction.ts";

/** One connection of a pool while it is checked out; nothing is run again on another. */
export class PoolConnection implements Handle {
	readonly #connection: Connection;
	readonly #limits: (options: QueryOptions) => QueryOptions;

	constructor(
		connection: Connection,
		limits: (options: QueryOptions) => QueryOptions,
	) {
		this.#connection = connection;
		this.#limits = limits;
	}

	/** The same object each time the connection is checked out. */
	get identity(): object {
		return this.#connection.client;
	}

	/** The process that the other end names: the server's, unless a pooler is in between. */
	get processId(): number | undefined {
		return internalsOf(this.#connection.client).processID;
	}

	query<R>(statement: Sql | Statement, options: QueryOptions = {}) {
		return send<R>(this.#connection.client, statement, this.#limits(options));
	}

	script(text: string): Promise<Result[]> {
		return sendScript(this.#connection.client, text);
	}

	transaction<T>(
		work: (tx: Handle) => Promise<T>,
		options: TransactionOptions = {},
	): Promise<T> {
		return runTransaction(this.#connection, work, options);
	}

	vectorOid(): Promise<number> {
		return vectorOid(this, this.#connection.observed);
	}
}
