import type pg from "pg";
import { RemError } from "../errors.ts";
import {
	compile,
	ident,
	join,
	literal,
	type Sql,
	type Statement,
	sql,
	toText,
} from "../sql.ts";
import { cancelSettled } from "./cancel-request.ts";
import type {
	Handle,
	QueryOptions,
	Result,
	TransactionOptions,
} from "./database.ts";
import { timestampText } from "./encode.ts";
import {
	isConnectionLost,
	isUnconfirmedCommit,
	toRemError,
} from "./sql-state.ts";
import {
	mayRefuseUnlogged,
	noteUnloggedRead,
	refuseOnStandby,
} from "./standby.ts";
import { untilStopped } from "./stoppable.ts";
import { takeTurns } from "./take-turns.ts";

/** Before anyone uses a new connection. */
export function prepareClient(client: pg.ClientBase): void {
	takeTurns(client);
	// `pg` reads ISO dates only: under another style every timestamp is null.
	client.query("SET DateStyle TO ISO").catch(() => {
		// The connection is gone: whoever asked for it is told.
	});
	client.on("notice", (notice) => {
		if (isUnconfirmedCommit(notice)) unconfirmed.add(client);
	});
}

/** Connections whose last statement was committed here, and perhaps nowhere else. */
const unconfirmed = new WeakSet<pg.ClientBase>();

function refuseUnconfirmed(client: pg.ClientBase): void {
	if (!unconfirmed.delete(client)) return;
	throw new RemError(
		"OUTCOME_UNKNOWN",
		"the wait for a synchronous standby was cancelled: what was committed may be lost in a failover",
		{
			hint: "write it again once the standby is back",
			sqlState: "01000",
		},
	);
}

/** What failed before anything was sent: whatever it is, it is about connecting. */
export function cannotConnect(address: string, failure: RemError): RemError {
	const { code, message, hint, sqlState, cause } = failure;
	return new RemError(
		code === "DATABASE" ? "CONNECTION_FAILED" : code,
		`cannot connect to ${address}: ${message}`,
		{
			...(hint === undefined ? {} : { hint }),
			...(sqlState === undefined ? {} : { sqlState }),
			cause,
		},
	);
}

/** The connection was lost while the server was at it. */
export function outcomeUnknown(what: string, lost: unknown): RemError {
	const { cause } = lost as RemError;
	return new RemError(
		"OUTCOME_UNKNOWN",
		`the connection was lost during ${what}: it may or may not have been applied`,
		{ hint: "run it again if it may be applied twice", cause },
	);
}

/**
 * Runs the work in one transaction of the connection; an answer that takes
 * longer than `timeoutMs` ends both.
 */
export async function runTransaction<T>(
	client: pg.ClientBase,
	facts: DatabaseFacts,
	work: (tx: Handle) => Promise<T>,
	options: TransactionOptions,
	timeoutMs?: number,
): Promise<T> {
	const tx = new TransactionHandle(client, facts, timeoutMs);
	const isolation = (options.isolation ?? "read committed").toUpperCase();
	// READ WRITE is not said: a standby would refuse the word itself.
	const access = options.readOnly === true ? " READ ONLY" : "";
	await tx.script(
		`BEGIN ISOLATION LEVEL ${isolation}${access}${setting(options.settings ?? {})}`,
	);
	let result: T;
	try {
		result = await work(tx);
	} catch (error) {
		await cancelSettled(client);
		await tx.script("ROLLBACK").catch(() => {
			// The connection is gone, and the transaction with it.
		});
		throw error;
	}
	await tx.commit();
	return result;
}

/** A transaction's handle; its own transactions are savepoints. */
class TransactionHandle implements Handle {
	readonly #client: pg.ClientBase;
	readonly #facts: DatabaseFacts;
	readonly #limit: { readonly timeoutMs?: number };
	#depth = 0;

	constructor(
		client: pg.ClientBase,
		facts: DatabaseFacts,
		timeoutMs: number | undefined,
	) {
		this.#client = client;
		this.#limit = timeoutMs === undefined ? {} : { timeoutMs };
		this.#facts = facts;
	}

	query<R>(statement: Sql | Statement, options?: QueryOptions) {
		const limited = { ...this.#limit, ...options };
		return send<R>(this.#client, statement, withName(limited, this.#facts));
	}

	script(text: string): Promise<Result[]> {
		return sendScript(this.#client, text, this.#limit);
	}

	async transaction<T>(
		work: (tx: Handle) => Promise<T>,
		{ settings = {} }: TransactionOptions = {},
	): Promise<T> {
		const savepoint = `rem_${++this.#depth}`;
		const shown = await this.script(
			`${showing(settings)}SAVEPOINT ${savepoint}${setting(settings)}`,
		);
		const before = Object.assign({}, ...shown.flatMap(({ rows }) => rows));
		try {
			const result = await work(this);
			// What was set would outlive the savepoint.
			await this.script(`RELEASE SAVEPOINT ${savepoint}${setting(before)}`);
			return result;
		} catch (error) {
			await this.script(`ROLLBACK TO SAVEPOINT ${savepoint}`).catch(() => {
				// The connection is gone: the first error says so.
			});
			throw error;
		}
	}

	vectorOid(): Promise<number> {
		return vectorOid(this, this.#facts);
	}

	/** A connection lost while COMMIT is under way tells nobody whether it happened. */
	async commit(): Promise<void> {
		let command: string;
		try {
			({ command } = await this.#client.query(limited("COMMIT", this.#limit)));
		} catch (error) {
			const failure = toRemError(error);
			if (!isConnectionLost(failure)) throw failure;
			throw outcomeUnknown("COMMIT", failure);
		}
		refuseUnconfirmed(this.#client);
		// PostgreSQL answers a COMMIT after a failed statement with ROLLBACK, and no error.
		if (command === "ROLLBACK")
			throw new RemError(
				"DATABASE",
				"the transaction was rolled back: one of its statements had failed",
				{ hint: "do not catch an error inside a transaction and go on" },
			);
	}
}

type TransactionStatus = "I" | "T" | "E" | null;

/** Idle, in a transaction, or in a failed one; what the server said last. */
function statusOf(client: pg.ClientBase): TransactionStatus {
	const { getTransactionStatus } = client as unknown as {
		getTransactionStatus(): TransactionStatus;
	};
	return getTransactionStatus.call(client);
}

/** A text with a BEGIN of its own must not leave its transaction to the next one. */
export async function refuseOpenTransaction(
	client: pg.ClientBase,
): Promise<void> {
	if (statusOf(client) !== "T") return;
	await client.query("ROLLBACK");
	throw new RemError(
		"DATABASE",
		"the text left a transaction open: it was rolled back",
		{ hint: "end it with COMMIT, or use service.transaction()" },
	);
}

/** Returns whether the connection can be used again. */
export async function rollBackIfOpen(client: pg.ClientBase): Promise<boolean> {
	if (statusOf(client) === "I") return true;
	return client.query("ROLLBACK").then(
		() => true,
		() => false,
	);
}

/** To be sent in one text with BEGIN: settings cost no round trip of their own. */
function setting(settings: Readonly<Record<string, string>>): string {
	const statements = Object.entries(settings).map(
		([name, value]) => sql`; SET LOCAL ${ident(name)} = ${literal(value)}`,
	);
	return toText(join(statements, ""));
}

/** Asked so that a setting of our own, which nobody has set before, is empty and no error. */
function showing(settings: Readonly<Record<string, string>>): string {
	const statements = Object.keys(settings).map(
		(name) =>
			sql`SELECT coalesce(current_setting(${literal(name)}, true), '') AS ${ident(name)}; `,
	);
	return toText(join(statements, ""));
}

export async function send<R>(
	client: pg.ClientBase,
	statement: Sql | Statement,
	options: QueryOptions = {},
): Promise<Result<R>> {
	const { text, values } = "text" in statement ? statement : compile(statement);
	const { readsUnlogged = false } = options;
	if (readsUnlogged) refuseOnStandby(client);
	// A refusal would end the transaction.
	const isTrial =
		readsUnlogged && statusOf(client) !== "I" && mayRefuseUnlogged(client);
	try {
		if (isTrial) await client.query("SAVEPOINT rem_trial");
		const config: pg.QueryConfig & { query_timeout: number | undefined } = {
			text,
			values: values.map((value) =>
				value instanceof Date ? timestampText(value) : value,
			),
			name: options.name,
			query_timeout: options.timeoutMs,
		};
		const answer = await untilStopped(client, options.signal, () =>
			client.query(config),
		);
		if (readsUnlogged) noteUnloggedRead(client, undefined);
		refuseUnconfirmed(client);
		// Without values it may be a text of several statements: the last one counts.
		const result = Array.isArray(answer) ? answer.at(-1) : answer;
		return {
			rows: (result?.rows ?? []) as R[],
			rowCount: result?.rowCount ?? 0,
		};
	} catch (error) {
		const failure = toRemError(error);
		if (readsUnlogged) noteUnloggedRead(client, failure.sqlState);
		if (isTrial)
			await client.query("ROLLBACK TO SAVEPOINT rem_trial").catch(() => {
				// The connection is gone: the failure says so.
			});
		throw failure;
	}
}

/** The driver's own words for a text without values. */
function limited(
	text: string,
	{ timeoutMs }: { readonly timeoutMs?: number },
): pg.QueryConfig {
	const limit = timeoutMs === undefined ? {} : { query_timeout: timeoutMs };
	return { text, ...limit };
}

export async function sendScript(
	client: pg.ClientBase,
	text: string,
	limit: { readonly timeoutMs?: number } = {},
): Promise<Result[]> {
	try {
		const result: unknown = await client.query(limited(text, limit));
		refuseUnconfirmed(client);
		const results = (
			Array.isArray(result) ? result : [result]
		) as pg.QueryResult[];
		return results.map(({ rows, rowCount }) => ({
			rows,
			rowCount: rowCount ?? 0,
		}));
	} catch (error) {
		throw toRemError(error);
	}
}

/** What is found out about a database, once for all its connections. */
export interface DatabaseFacts {
	vectorOid?: number;
	/** A pooler in between gives each transaction another connection, without the named statements. */
	losesNames?: boolean;
}

/** The options, without the name where names are lost. */
export function withName(
	options: QueryOptions = {},
	{ losesNames = false }: DatabaseFacts,
): QueryOptions {
	const isLost = losesNames && options.name !== undefined;
	return isLost ? { ...options, name: undefined } : options;
}

export async function vectorOid(
	handle: Handle,
	facts: DatabaseFacts,
): Promise<number> {
	facts.vectorOid ??= await readVectorOid(handle);
	return facts.vectorOid;
}

async function readVectorOid(handle: Handle): Promise<number> {
	const { rows } = await handle.query<{ oid: number }>(sql`
SELECT t.oid::integer AS oid
FROM pg_type t
JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'vector' AND t.typname = 'vector'`);
	const [type] = rows;
	if (type !== undefined) return type.oid;
	throw new RemError("EXTENSION_MISSING", "extension vector is not installed", {
		hint: "run `rem migrate` or service.migrate() first",
	});
}
