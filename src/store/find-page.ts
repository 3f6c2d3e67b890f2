import type { Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import type { OrderBy, OrderTerm } from "../filters/order-by.ts";
import { textProblem } from "../models/limits.ts";
import {
	orderTerms,
	type Position,
	type RowSet,
	readPage,
} from "./find-rows.ts";

export interface PageRequest {
	/** @default "id": the order of creation */
	readonly orderBy?: OrderBy | undefined;
	readonly limit: number;
	/** `next` of the page before. @default the first page */
	readonly after?: string | undefined;
}

export interface FoundRows {
	readonly rows: Record<string, unknown>[];
	/** Where the next page begins; `undefined`: this is the last one. */
	readonly next: string | undefined;
}

/** The same rows as of findRows, a page of them: throws `VALIDATION` unless `after` is of that order. */
export async function findPage(
	db: Handle,
	of: RowSet,
	{ orderBy = "id", limit, after: given }: PageRequest,
): Promise<FoundRows> {
	const terms = orderTerms(of, orderBy);
	const after = given === undefined ? undefined : decodeCursor(given, terms);
	const page = { terms, limit, after };
	const { rows, last } = await readPage(db, of, page).catch(
		(error: unknown) => {
			throw after === undefined ? error : asCursorProblem(error);
		},
	);
	return { rows, next: last && encodeCursor(last, terms) };
}

/** The order, and the values of the last row. */
export function encodeCursor(
	last: Position,
	terms: readonly OrderTerm[],
): string {
	return Buffer.from(JSON.stringify([orderOf(terms), ...last])).toString(
		"base64url",
	);
}

/** The values of such a cursor; throws `VALIDATION` unless it is of that order. */
export function decodeCursor(
	after: string,
	terms: readonly OrderTerm[],
): Position {
	const [order, ...values] = parsed(after);
	const isPosition = order === orderOf(terms) && values.length === terms.length;
	if (!isPosition || !values.every(isValue)) throw notACursor();
	return values;
}

function orderOf(terms: readonly OrderTerm[]): string {
	return terms
		.map(({ field, descending }) => `${descending ? "-" : ""}${field.name}`)
		.join(",");
}

function parsed(after: string): readonly unknown[] {
	try {
		const value: unknown = JSON.parse(
			Buffer.from(after, "base64url").toString(),
		);
		return Array.isArray(value) ? value : [];
	} catch {
		return []; // it is no JSON
	}
}

function isValue(value: unknown): value is string | null {
	return (
		value === null ||
		(typeof value === "string" && textProblem(value) === undefined)
	);
}

/** A value that is not of its column's type was not read from the table. */
export function asCursorProblem(error: unknown): unknown {
	return error instanceof RemError && error.sqlState?.startsWith("22") === true
		? notACursor()
		: error;
}

function notACursor(): RemError {
	return new RemError(
		"VALIDATION",
		"after is not the end of a page in this order",
		{
			hint: "pass the `next` of the page before, with the same orderBy; leave it out for the first page",
		},
	);
}
