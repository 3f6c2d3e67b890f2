import { reading } from "../errors.ts";
import { flag, longestWaitMs, signal, wholeNumber } from "../models/checks.ts";
import { textProblem } from "../models/limits.ts";
import { optionTable, takeOptions } from "../models/options.ts";
import type { QueryOptions } from "./database.ts";
import { maxRetries } from "./transaction-options.ts";

/** Of the name of a prepared statement: the driver complains about longer ones on its own. */
const maxNameBytes = 63;

const table = optionTable<QueryOptions>({
	name: (value) => {
		if (typeof value !== "string" || value === "")
			return "must be a text that is not empty";
		if (Buffer.byteLength(value) > maxNameBytes)
			return `must have at most ${maxNameBytes} bytes`;
		if (value in Object.prototype)
			return "is a member of every JavaScript object";
		return textProblem(value);
	},
	readsUnlogged: flag,
	idempotent: flag,
	isLimited: flag,
	retries: wholeNumber(0, maxRetries),
	signal,
	timeoutMs: wholeNumber(1, longestWaitMs),
});

/** Throws `VALIDATION` for anything that is not an option of a statement, or of another type. */
export function takeQueryOptions(options: QueryOptions): QueryOptions {
	return reading("query", () => takeOptions(options, table, "query"));
}
