import type pg from "pg";
import { RemError } from "../errors.ts";
import { isJsonNumber } from "../models/json-number.ts";
import { writeJson } from "../models/json-text.ts";
import { compile, type Sql, type Statement } from "../sql.ts";
import type { QueryOptions, Result } from "./database.ts";
import { internalsOf } from "./driver.ts";
import { timestampText } from "./encode.ts";
import { EngineStream } from "./engine-stream.ts";
import { queryNamed } from "./named-query.ts";
import {
	isPooled,
	isReadOnlyByDefault,
	localSettings,
} from "./session-settings.ts";
import {
	isReadOnlyServer,
	readOnlyBySetting,
	runsOutsideTransactions,
	toRemError,
	type UnconfirmedCommit,
} from "./sql-state.ts";
import {
	mayRefuseUnlogged,
	noteUnloggedRead,
	refuseOnStandby,
} from "./standby.ts";
import { untilStopped } from "./stoppable.ts";
import { withTimeLimit } from "./time-limit.ts";

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
			isGeneric: options.plan === "generic" && options.isInside !== true,
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

interface QueryConfig {
	readonly text: string;
	readonly values?: unknown[];
	readonly name?: string | undefined;
	/** In a transaction the setting would last until its end. */
	readonly isGeneric?: boolean;
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
	const settings = isInside ? [] : localSettings(client);
	return settings.length === 0
		? query(client, config)
		: inOwnTransaction(client, config, settings);
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
	const { isGeneric = false, ...sent } = config;
	const { name, values } = sent;
	return name === undefined || values === undefined || !canName(client)
		? client.query(sent)
		: queryNamed(client, { ...sent, name, values, isGeneric });
}

/** Whether the connection leads to a server itself, not to a pooler, and is pipelined. */
function canName(client: pg.ClientBase): boolean {
	const { pipeline, connection } = internalsOf(client);
	return (
		pipeline === true &&
		!isPooled(client) &&
		!(connection.stream instanceof EngineStream)
	);
}

/** Connections whose last statement was committed here, and may not have reached a standby or a node. */
export const unconfirmed = new WeakMap<pg.ClientBase, UnconfirmedCommit>();

export function refuseUnconfirmed(client: pg.ClientBase): void {
	const found = unconfirmed.get(client);
	if (found === undefined) return;
	unconfirmed.delete(client);
	const { problem, hint } = found;
	throw new RemError("OUTCOME_UNKNOWN", problem, { hint, sqlState: "01000" });
}
