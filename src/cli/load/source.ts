import { RemError } from "../../errors.ts";
import { isJsonNumber } from "../../models/json-number.ts";

/** A row as a file contains it. */
export interface SourceRow {
	readonly value: unknown;
	/** Where it begins, from 1, in formats that have lines. */
	readonly line?: number | undefined;
	/** The file it comes from, when its group has several. */
	readonly file?: string;
	/** Why the row cannot be read; its value is `undefined`. */
	readonly problem?: string;
}

/** Rows of one file for one table. */
export interface RowGroup {
	/** The file as the user named it. */
	readonly file: string;
	/** The table that the file itself names. */
	readonly table: string | undefined;
	/** Whether values are texts without a type, as in CSV. */
	readonly isUntyped: boolean;
	/** Rows in memory, or a way to read them, each time from the start. */
	readonly rows: readonly SourceRow[] | (() => AsyncIterable<SourceRow>);
}

/** The hint of what is wrong in a file where there is no better one. */
export const nothingWritten = "nothing of this file was written";

/** What is wrong in a file, with its line; nothing of the file is written. */
export function fileError(
	{ file, line }: { readonly file: string; readonly line?: number | undefined },
	problem: string,
	options: { readonly hint?: string; readonly cause?: unknown } = {},
): RemError {
	const place = line === undefined ? file : `${file}, line ${line}`;
	return new RemError("VALIDATION", `${place}: ${problem}`, {
		hint: nothingWritten,
		...options,
	});
}

/** The name of standard input in messages. */
export const standardInput = "standard input";

/** The file as an argument in an example of a shell command. */
export function shellArgument(file: string): string {
	if (file === standardInput) return "FILE";
	return /^[\w./+,@:%-]+$/.test(file)
		? file
		: `'${file.replaceAll("'", "'\\''")}'`;
}

/** Whether the value is an object with properties: no array, no date, no null. */
export function isRecord(value: unknown): value is Record<string, unknown> {
	return (
		typeof value === "object" &&
		value !== null &&
		!Array.isArray(value) &&
		!(value instanceof Date) &&
		!isJsonNumber(value)
	);
}
