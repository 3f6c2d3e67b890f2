import type pg from "pg";
import { RemError } from "../errors.ts";
import { isJsonNumber } from "../models/json-number.ts";
import { writeJson } from "../models/json-text.ts";
import {
	compile,
	ident,
	literal,
	type Sql,
	type Statement,
	sql,
	toText,
} from "../sql.ts";
import { cancelSettled } from "./cancel-request.ts";
import type {
	Handle,
	PlanMode,
	QueryOptions,
	Result,
	TransactionOptions,
} from "./database.ts";
import { internalsOf, sendOneByOne } from "./driver.ts";
import { timestampText } from "./encode.ts";
import { queryNamed } from "./named-query.ts";
import { savepointOf } from "./open-transaction.ts";
import {
	describeSettings,
	isolationSql,
	takeQueryOptions,
	takeTransactionOptions,
} from "./options.ts";
import { setPlanMode } from "./plan-mode.ts";
import {
	isPooled,
	isReadOnlyByDefault,
	localSettings,
	type PinOptions,
	pinSettings,
} from "./session-settings.ts";
import type { SlowStatements } from "./slow-statements.ts";
import {
	isConnectionLost,
	isReadOnlyServer,
	readOnlyBySetting,
	runsOutsideTransactions,
	toRemError,
	type UnconfirmedCommit,
	unconfirmedCommit,
} from "./sql-state.ts";
import {
	mayRefuseUnlogged,
	noteUnloggedRead,
	refuseOnStandby,
} from "./standby.ts";
import { untilStopped } from "./stoppable.ts";
import { withTimeLimit } from "./time-limit.ts";

/** A connection, and what its database is known to be. */
export interface Connection {
	readonly client: pg.ClientBase;
	readonly observed: ObservedDatabase;
	/** The longest time of a statement that is limited. @default none */
	readonly queryTimeoutMs?: number | undefined;
}

/** Before the first statement of a new connection. */
export function prepareClient(
	client: pg.ClientBase,
	options: PinOptions,
): Promise<void> {
	sendOneByOne(client);
	client.on("notice", (notice) => {
		const found = unconfirmedCommit(notice);
		if (found !== undefined) unconfirmed.set(client, found);
	});
	return pinSettings(client, options);
}

/** Connections whose last statement was committed here, and may not have reached a standby or a node. */
const unconfirmed = new WeakMap<pg.ClientBase, UnconfirmedCommit>();

function refuseUnconfirmed(client: pg.ClientBase): void {
	const found = unconfirmed.get(client);
	if (found === undefined) return;
	unconfirmed.delete(client);
	const { problem, hint } = found;
	throw new RemError("OUTCOME_UNKNOWN", problem, { hint, sqlState: "01000" });
}

/** A failure before anything was sent is a failure to connect. */
export function cannotConnect(address: string, failure: RemError): RemError {
	const { code, message, hint, sqlState, cause } = failure;
	return new RemError(
		code === "DATABASE" ? "CONNECTION_FAILED" : code,
		`cannot connect to ${address}: ${message}`,
		{
			hint:
				hint ??
				"check the address: host, port, database, user, and parameters such as options",
			...(sqlState === undefined ? {} : { sqlState }),
			cause,
		},
	);
}

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
	planAs(client);
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

interface QueryConfig {
	readonly text: string;
	readonly values?: unknown[];
	readonly name?: string | undefined;
	readonly plan?: PlanMode | undefined;
}

/** A statement of a transaction that is open already. */
interface Inside {
	readonly isInside?: boolean;
}

/** Where a connection does not retain settings, a statement is a transaction that makes them first: three messages, one round trip. */
function withLocalSettings(
	client: pg.ClientBase,
	config: QueryConfig,
	{ isInside = false }: Inside,
): Promise<pg.QueryResult> {
	if (!isInside) planAs(client, config);
	const settings = isInside ? [] : localSettings(client);
	return settings.length === 0
		? query(client, config)
		: inOwnTransaction(client, config, settings);
}

/** Texts, transactions and statements without a name are planned for their values; so is what triggers run. */
function planAs(
	client: pg.ClientBase,
	{ name, plan }: Pick<QueryConfig, "name" | "plan"> = {},
): void {
	if (!canName(client)) return;
	const mode = name === undefined ? "auto" : plan;
	if (mode !== undefined) setPlanMode(client, mode);
}

async function inOwnTransaction(
	client: pg.ClientBase,
	config: QueryConfig,
	settings: readonly string[],
): Promise<pg.QueryResult> {
	const sent = [
		client.query(
			["BEGIN ISOLATION LEVEL READ COMMITTED", ...settings].join("; "),
		),
		client.query(config),
		client.query("COMMIT"),
	] as const;
	for (const answer of sent)
		answer.catch(() => {
			// The first failure is thrown below.
		});
	try {
		await sent[0];
		const answer = await sent[1];
		await sent[2];
		return answer;
	} catch (error) {
		// VACUUM and the like were refused before they did anything.
		if (!runsOutsideTransactions(error)) throw error;
		await sent[2];
		return client.query(config);
	}
}

/** Sends a named statement with the columns cached, others by the driver's method. */
function query(
	client: pg.ClientBase,
	config: QueryConfig,
): Promise<pg.QueryResult> {
	const { plan: _, ...sent } = config;
	const { name, values } = sent;
	return name === undefined || values === undefined || !canName(client)
		? client.query(sent)
		: queryNamed(client, { ...sent, name, values });
}

/** Whether the connection leads to the server itself, not to a pooler, and is pipelined. */
function canName(client: pg.ClientBase): boolean {
	return internalsOf(client).pipeline === true && !isPooled(client);
}

export async function send<R>(
	client: pg.ClientBase,
	statement: Sql | Statement,
	options: QueryOptions & Inside = {},
): Promise<Result<R>> {
	const { text, values } = toStatement(statement);
	const { readsUnlogged = false } = options;
	if (readsUnlogged) refuseOnStandby(client);
	// A refusal would end the transaction.
	const isTrial =
		readsUnlogged &&
		internalsOf(client).getTransactionStatus() !== "I" &&
		mayRefuseUnlogged(client);
	try {
		if (isTrial) await client.query("SAVEPOINT rem_trial");
		const config: QueryConfig = {
			text,
			values: values.map(parameter),
			name: options.name,
			plan: options.plan,
		};
		const answer = await untilStopped(client, options.signal, () =>
			withTimeLimit(client, options.timeoutMs, () =>
				withLocalSettings(client, config, options),
			),
		);
		if (readsUnlogged) noteUnloggedRead(client, undefined);
		refuseUnconfirmed(client);
		// Without values it may be a text of several statements: the last one counts.
		const result = Array.isArray(answer) ? answer.at(-1) : answer;
		return {
			rows: result?.rows ?? [],
			rowCount: result?.rowCount ?? 0,
		};
	} catch (error) {
		const failure = toRemError(error);
		if (readsUnlogged) noteUnloggedRead(client, failure.sqlState);
		if (isTrial)
			await client.query("ROLLBACK TO SAVEPOINT rem_trial").catch(() => {
				// The connection is gone: the failure reports it.
			});
		throw ofFrozenDatabase(client, failure);
	}
}

/** The statement as the driver takes it; throws `VALIDATION` for what is none. */
function toStatement(statement: Sql | Statement): Statement {
	try {
		if ("parts" in statement) return compile(statement);
		const { text, values } = statement;
		if (typeof text === "string" && Array.isArray(values)) return statement;
	} catch {
		// It is not an object, or cannot be read.
	}
	throw new RemError("VALIDATION", "the statement is neither SQL nor a text", {
		hint: "make it with the tag sql, or as { text, values }; script() takes a text without values",
	});
}

/** A database that is read-only by a setting is no standby: no other connection leads to a primary. */
function ofFrozenDatabase(client: pg.ClientBase, failure: RemError): RemError {
	return isReadOnlyServer(failure) && isReadOnlyByDefault(client)
		? readOnlyBySetting(failure)
		: failure;
}

/** What the driver would write in its own way: dates, and JSON with exact numbers. */
function parameter(value: unknown): unknown {
	if (typeof value !== "object" || value === null) return value;
	if (value instanceof Date) return timestampText(value);
	if (isJsonNumber(value)) return value.text;
	if (Array.isArray(value)) return value.map(parameter);
	return Object.getPrototypeOf(value) === Object.prototype
		? writeJson(value)
		: value;
}

export async function sendScript(
	client: pg.ClientBase,
	text: string,
	limit: { readonly timeoutMs?: number } & Inside = {},
): Promise<Result[]> {
	if (typeof text !== "string" || text.includes("\0"))
		throw new RemError(
			"VALIDATION",
			"a script must be a string without NUL characters",
		);
	try {
		const answer = await withTimeLimit(client, limit.timeoutMs, () =>
			withLocalSettings(client, { text }, limit),
		);
		refuseUnconfirmed(client);
		return [answer].flat().map(({ rows, rowCount }) => ({
			rows,
			rowCount: rowCount ?? 0,
		}));
	} catch (error) {
		throw ofFrozenDatabase(client, toRemError(error));
	}
}

/** What is observed of a database, once for all its connections. */
export interface ObservedDatabase {
	vectorOid?: number;
	/** Where its statements are timed. */
	readonly slow?: SlowStatements;
	/** A pooler in between gives each transaction another connection, without the named statements. */
	losesNames?: boolean;
	/** Whether the server is the coordinator of a Citus cluster. */
	isCitus?: boolean;
}

/** The options, without the name where names are lost, and without the plan where Citus needs the values. */
export function withName(
	options: QueryOptions = {},
	{ losesNames = false, isCitus = false }: ObservedDatabase,
): QueryOptions {
	const isLost = losesNames && options.name !== undefined;
	const isPlanned = isCitus && options.plan !== undefined;
	if (!isLost && !isPlanned) return options;
	return {
		...options,
		...(isLost && { name: undefined }),
		...(isPlanned && { plan: undefined }),
	};
}

export async function vectorOid(
	handle: Handle,
	observed: ObservedDatabase,
): Promise<number> {
	observed.vectorOid ??= await readVectorOid(handle);
	return observed.vectorOid;
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
