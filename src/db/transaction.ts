import type pg from "pg";
import { RemError } from "../errors.ts";
import {
	ident,
	literal,
	type Sql,
	type Statement,
	sql,
	toText,
} from "../sql.ts";
import { cancelSettled } from "./cancel-request.ts";
import { type Connection, vectorOid, withName } from "./connection.ts";
import type {
	Handle,
	QueryOptions,
	Result,
	TransactionOptions,
} from "./database.ts";
import { internalsOf } from "./driver.ts";
import { savepointOf } from "./open-transaction.ts";
import {
	describeSettings,
	isolationSql,
	takeQueryOptions,
	takeTransactionOptions,
} from "./options.ts";
import { refuseUnconfirmed, send, sendScript } from "./send.ts";
import { localSettings } from "./session-settings.ts";
import { isConnectionLost, toRemError } from "./sql-state.ts";
import { withTimeLimit } from "./time-limit.ts";

/** The connection was lost while the server worked on the statement. */
export function outcomeUnknown(step: string, lost: unknown): RemError {
	const { cause } = toRemError(lost);
	return new RemError(
		"OUTCOME_UNKNOWN",
		`the connection was lost during ${step}: it may or may not have been applied`,
		{ hint: "run it again if it may be applied twice", cause },
	);
}

/**
 * Runs the work in one transaction of the connection; a limited statement that
 * takes longer than `queryTimeoutMs` ends both.
 */
export async function runTransaction<T>(
	connection: Connection,
	work: (tx: Handle) => Promise<T>,
	options: TransactionOptions,
): Promise<T> {
	const { client } = connection;
	const tx = new TransactionHandle(connection, isLimited(options));
	const isolation = isolationSql(options.isolation);
	// READ WRITE is left out: a standby refuses it.
	const access = options.readOnly === true ? " READ ONLY" : "";
	await tx
		.frame([
			`BEGIN ISOLATION LEVEL ${isolation}${access}`,
			...localSettings(client),
			...tx.setting(options.settings ?? {}),
		])
		.catch((error: unknown) => {
			throw describeSettings(error);
		});
	let result: T;
	try {
		result = await work(tx);
	} catch (error) {
		await cancelSettled(client);
		await tx.rollback();
		throw error;
	}
	await tx.commit();
	return result;
}

/** Whether its statements may take no longer than the service's `queryTimeoutMs`. */
export function isLimited(unit: QueryOptions | TransactionOptions): boolean {
	return unit.idempotent === true || unit.isLimited === true;
}

/** A transaction's handle; its own transactions are savepoints. */
class TransactionHandle implements Handle {
	readonly #connection: Connection;
	/** The longest time of a statement that is limited. */
	readonly #timeLimit: { readonly timeoutMs?: number };
	/** That of all others: none, or the same. */
	readonly #limit: { readonly timeoutMs?: number };
	readonly #end: { isOver: boolean };
	#depth = 0;

	constructor(
		connection: Connection,
		limitsAll: boolean,
		end = { isOver: false },
	) {
		const { queryTimeoutMs } = connection;
		this.#connection = connection;
		this.#end = end;
		this.#timeLimit =
			queryTimeoutMs === undefined ? {} : { timeoutMs: queryTimeoutMs };
		this.#limit = limitsAll ? this.#timeLimit : {};
	}

	async query<R>(statement: Sql | Statement, given: QueryOptions = {}) {
		this.#refuseEnded();
		const options = takeQueryOptions(given);
		const limit = isLimited(options) ? this.#timeLimit : this.#limit;
		const limited = { ...limit, ...options, isInside: true };
		const { client, observed } = this.#connection;
		const sent = () => send<R>(client, statement, withName(limited, observed));
		return observed.slow?.time(statement, sent) ?? sent();
	}

	async script(text: string): Promise<Result[]> {
		this.#refuseEnded();
		return sendScript(this.#connection.client, text, {
			...this.#limit,
			isInside: true,
		});
	}

	async transaction<T>(
		work: (tx: Handle) => Promise<T>,
		options: TransactionOptions = {},
	): Promise<T> {
		if (typeof work !== "function")
			throw new RemError("VALIDATION", "work must be a function");
		const { settings = {} } = takeTransactionOptions(options);
		const savepoint = `rem_${++this.#depth}`;
		const shown = await this.frame([
			...showing(settings),
			`SAVEPOINT ${savepoint}`,
			...this.setting(settings),
		]);
		const before = Object.assign({}, ...shown.flatMap(({ rows }) => rows));
		try {
			const result = await work(isLimited(options) ? this.#limited() : this);
			// What was set would outlive the savepoint.
			await this.frame([
				`RELEASE SAVEPOINT ${savepoint}`,
				...this.setting(before),
			]);
			return result;
		} catch (error) {
			await this.script(`ROLLBACK TO SAVEPOINT ${savepoint}`).catch(() => {
				// The connection is gone: the first error reports it.
			});
			throw error;
		}
	}

	vectorOid(): Promise<number> {
		return vectorOid(this, this.#connection.observed);
	}

	/**
	 * Statements that begin or end a part of the transaction, in one text, so that
	 * settings cost no round trip of their own. Citus passes the whole text that
	 * contains a SET LOCAL on to its nodes: there each statement is sent alone.
	 */
	async frame(statements: readonly string[]): Promise<Result[]> {
		if (this.#connection.observed.isCitus !== true)
			return this.script(statements.join("; "));
		const results = await Promise.all(
			statements.map((statement) => this.script(statement)),
		);
		return results.flat();
	}

	/** The SET LOCAL statements, which are valid until the end of the transaction. */
	setting(settings: Readonly<Record<string, string>>): string[] {
		return Object.entries(settings)
			.filter(([name]) => !this.#isLeftOut(name))
			.map(([name, value]) =>
				toText(sql`SET LOCAL ${ident(name)} = ${literal(value)}`),
			);
	}

	/** Citus plans a statement for the values of its parameters, and fails without them. */
	#isLeftOut(setting: string): boolean {
		return (
			setting === "plan_cache_mode" &&
			this.#connection.observed.isCitus === true
		);
	}

	/** The same transaction, in which no statement may take longer. */
	#limited(): TransactionHandle {
		return savepointOf(
			new TransactionHandle(this.#connection, true, this.#end),
			this,
		);
	}

	/** The connection is another caller's by then: what is sent would be part of that caller's work. */
	#refuseEnded(): void {
		if (!this.#end.isOver) return;
		throw new RemError(
			"VALIDATION",
			"the transaction of this handle has ended",
			{
				hint: "await every call inside of transaction(), and use its handle there only",
			},
		);
	}

	async rollback(): Promise<void> {
		const rolledBack = this.script("ROLLBACK").catch(() => {
			// The connection is gone, and the transaction with it.
		});
		this.#end.isOver = true;
		await rolledBack;
	}

	/** When the connection is lost during COMMIT, its outcome is unknown. */
	async commit(): Promise<void> {
		const { client } = this.#connection;
		this.#end.isOver = true;
		let command: string;
		try {
			({ command } = await withTimeLimit(client, this.#limit.timeoutMs, () =>
				client.query("COMMIT"),
			));
		} catch (error) {
			const failure = toRemError(error);
			if (!isConnectionLost(failure)) throw failure;
			throw outcomeUnknown("COMMIT", failure);
		}
		refuseUnconfirmed(client);
		// PostgreSQL answers a COMMIT after a failed statement with ROLLBACK, and no error.
		if (command === "ROLLBACK")
			throw new RemError(
				"DATABASE",
				"the transaction was rolled back: one of its statements had failed",
				{ hint: "do not catch an error inside a transaction and continue" },
			);
	}
}

/** Whether a text with a BEGIN of its own has left its transaction to the next one. */
export function isTransactionOpen(client: pg.ClientBase): boolean {
	return internalsOf(client).getTransactionStatus() === "T";
}

/** Rolls the transaction back, and throws `DATABASE`. */
export async function endOpenTransaction(client: pg.ClientBase): Promise<void> {
	await client.query("ROLLBACK");
	throw new RemError(
		"DATABASE",
		"the text left a transaction open: it was rolled back",
		{ hint: "end it with COMMIT, or use service.transaction()" },
	);
}

/** Returns whether the connection can be used again. */
export async function rollBackIfOpen(client: pg.ClientBase): Promise<boolean> {
	const driver = internalsOf(client);
	try {
		// An error arrives before the status of the transaction that it left open: an
		// empty statement is answered after that.
		if (!driver.readyForQuery) await client.query("");
		if (driver.getTransactionStatus() !== "I") await client.query("ROLLBACK");
		return true;
	} catch {
		return false;
	}
}

/** Reads each setting; a custom setting that was never set is empty, not an error. */
function showing(settings: Readonly<Record<string, string>>): string[] {
	return Object.keys(settings).map((name) =>
		toText(
			sql`SELECT coalesce(current_setting(${literal(name)}, true), '') AS ${ident(name)}`,
		),
	);
}
