import type pg from "pg";
import { RemError } from "../errors.ts";
import { ident, type Sql, type Statement, sql, toText } from "../sql.ts";
import {
	type Connection,
	cannotConnect,
	prepareClient,
	vectorOid,
} from "./connection.ts";
import type {
	Handle,
	QueryOptions,
	Result,
	Session,
	SessionOptions,
	TransactionOptions,
} from "./database.ts";
import { internalsOf } from "./driver.ts";
import { retryUnit } from "./retry.ts";
import { send, sendScript } from "./send.ts";
import { toRemError } from "./sql-state.ts";
import {
	endOpenTransaction,
	isTransactionOpen,
	rollBackIfOpen,
	runTransaction,
} from "./transaction.ts";

interface ServerSessionOptions extends SessionOptions {
	/** Longest wait for the connection. @default none */
	readonly timeoutMs?: number;
	/** As of {@link ObservedDatabase}. @default false */
	readonly isCitus?: boolean | undefined;
}

/** A single connection to a server, one statement at a time. */
export class ServerSession implements Session {
	readonly #client: pg.Client;
	readonly #connection: Connection;
	readonly #listeners = new Map<string, (payload: string) => void>();
	#last: Promise<unknown> = Promise.resolve();
	#closing: Promise<void> | undefined;

	readonly #onClosed: (() => void) | undefined;

	private constructor(
		client: pg.Client,
		{ onLost, onClosed, isCitus = false }: ServerSessionOptions,
	) {
		this.#client = client;
		this.#connection = { client, observed: { isCitus } };
		this.#onClosed = onClosed;
		let isReported = false;
		const lose = (error: unknown) => {
			if (isReported || this.#closing !== undefined) return;
			isReported = true;
			onLost?.(toRemError(error));
		};
		client.on("error", lose);
		client.on("end", () => lose(new Error("the server ended the connection")));
		client.on("notification", ({ channel, payload = "" }) =>
			this.#listeners.get(channel)?.(payload),
		);
	}

	/** Connects; `address` represents the server in messages. */
	static async open(
		client: pg.Client,
		address: string,
		options: ServerSessionOptions,
	): Promise<ServerSession> {
		const session = new ServerSession(client, options);
		try {
			await client.connect();
			const { timeoutMs } = options;
			await prepareClient(client, { isMaintenance: true, timeoutMs });
		} catch (error) {
			await session.close();
			throw cannotConnect(address, toRemError(error));
		}
		if (options.isBackground === true) session.unref();
		return session;
	}

	get processId(): number | undefined {
		return internalsOf(this.#client).processID;
	}

	query<R>(statement: Sql | Statement, options?: QueryOptions) {
		return this.#inOrder(() => send<R>(this.#client, statement, options));
	}

	script(text: string): Promise<Result[]> {
		return this.#inOrder(() => sendScript(this.#client, text));
	}

	transaction<T>(
		work: (tx: Handle) => Promise<T>,
		options: TransactionOptions = {},
	): Promise<T> {
		const { retries } = options;
		return this.#inOrder(() =>
			// Once it is lost, a session has no other connection to run it on.
			retryUnit({ retries, deadlineMs: 0 }, () =>
				runTransaction(this.#connection, work, options),
			),
		);
	}

	vectorOid(): Promise<number> {
		return vectorOid(this, this.#connection.observed);
	}

	async listen(
		channel: string,
		onMessage: (payload: string) => void,
	): Promise<void> {
		this.#listeners.set(channel, onMessage);
		await this.script(toText(sql`LISTEN ${ident(channel)}`));
	}

	unref(): void {
		internalsOf(this.#client).unref();
	}

	close(): Promise<void> {
		this.#closing ??= this.#client
			.end()
			.catch(() => {
				// It was lost already.
			})
			.then(this.#onClosed);
		return this.#closing;
	}

	/** A transaction's statements must not have others between them. */
	#inOrder<T>(work: () => Promise<T>): Promise<T> {
		const done = this.#last.then(async () => {
			if (this.#closing !== undefined)
				throw new RemError("CONNECTION_FAILED", "the session is closed");
			try {
				const result = await work();
				if (isTransactionOpen(this.#client))
					await endOpenTransaction(this.#client);
				return result;
			} catch (error) {
				await rollBackIfOpen(this.#client);
				throw error;
			}
		});
		this.#last = done.catch(() => {
			// Its caller handles the failure.
		});
		return done;
	}
}
