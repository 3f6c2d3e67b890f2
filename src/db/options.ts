import { RemError, reading } from "../errors.ts";
import {
	type Check,
	flag,
	isRecord,
	longestWaitMs,
	oneOf,
	signal,
	typeName,
	wholeNumber,
} from "../models/checks.ts";
import { textProblem } from "../models/limits.ts";
import { optionTable, takeOptions } from "../models/options.ts";
import type { QueryOptions, TransactionOptions } from "./database.ts";

/** The only words that can be behind ISOLATION LEVEL. */
const isolationLevels = {
	"read committed": "READ COMMITTED",
	"repeatable read": "REPEATABLE READ",
	serializable: "SERIALIZABLE",
} as const;

/** Each attempt runs the whole work again. */
const maxRetries = 100;

export const transactionTable = optionTable<TransactionOptions>(
	{
		isolation: oneOf(...Object.keys(isolationLevels)),
		readOnly: flag,
		retries: wholeNumber(0, maxRetries),
		idempotent: flag,
		isLimited: flag,
		settings,
	},
	["idempotent", "isLimited", "settings"],
);

/** Throws `VALIDATION` for anything that is not an option of a transaction, or of another type. */
export function takeTransactionOptions(
	options: TransactionOptions,
): TransactionOptions {
	return reading("transaction", () =>
		takeOptions(options, transactionTable, "transaction"),
	);
}

/** The isolation level as SQL: what is not on the list never becomes text of a statement. */
export function isolationSql(
	isolation: TransactionOptions["isolation"] = "read committed",
): string {
	if (Object.hasOwn(isolationLevels, isolation))
		return isolationLevels[isolation];
	throw new RemError("VALIDATION", "unknown isolation level", {
		hint: `one of ${Object.keys(isolationLevels).join(", ")}`,
	});
}

/** The server does not know a setting, or does not take its value: that is the caller's to correct. */
export function describeSettings(error: unknown): unknown {
	if (!(error instanceof RemError)) return error;
	const { message, sqlState = "" } = error;
	if (!["42704", "22023", "22P02", "42602"].includes(sqlState)) return error;
	return new RemError(
		"VALIDATION",
		`the settings of the transaction cannot be applied: ${message}`,
		{ hint: "SHOW ALL in psql lists the server's settings", sqlState },
	);
}

/** Names and values of server settings. */
function settings(value: unknown): ReturnType<Check> {
	if (!isRecord(value)) return `must be an object, not ${typeName(value)}`;
	for (const [name, setting] of Object.entries(value)) {
		if (!/^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$/i.test(name))
			return "has a name that no setting can have";
		if (typeof setting !== "string")
			return `must have strings as values, not ${typeName(setting)}`;
		const problem = textProblem(setting);
		if (problem !== undefined) return problem;
	}
	return undefined;
}

/** Of the name of a prepared statement: the driver complains about longer ones on its own. */
const maxNameBytes = 63;

const queryTable = optionTable<QueryOptions>(
	{
		name: (value) => {
			if (typeof value !== "string" || value === "")
				return "must be a text that is not empty";
			if (Buffer.byteLength(value) > maxNameBytes)
				return `must have at most ${maxNameBytes} bytes`;
			if (value in Object.prototype)
				return "is a member of every JavaScript object";
			return textProblem(value);
		},
		plan: oneOf("generic"),
		readsUnlogged: flag,
		idempotent: flag,
		isLimited: flag,
		retries: wholeNumber(0, maxRetries),
		signal,
		timeoutMs: wholeNumber(1, longestWaitMs),
	},
	["name", "plan", "readsUnlogged", "idempotent", "isLimited", "retries"],
);

/** Throws `VALIDATION` for anything that is not an option of a statement, or of another type. */
export function takeQueryOptions(options: QueryOptions): QueryOptions {
	return reading("query", () => takeOptions(options, queryTable, "query"));
}
