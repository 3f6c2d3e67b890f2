import type { Sql } from "../sql.ts";
import type { Handle, QueryOptions, Result } from "./database.ts";

/** Rows of one statement: enough to fill a round trip, few enough to stay small in memory. */
export const rowsPerStatement = 500;

export function* slices<T>(items: Iterable<T>): Generator<T[]> {
	let slice: T[] = [];
	for (const item of items) {
		slice.push(item);
		if (slice.length < rowsPerStatement) continue;
		yield slice;
		slice = [];
	}
	if (slice.length > 0) yield slice;
}

// One that the server is busy with, and one that travels meanwhile.
const statementsUnderWay = 2;

/**
 * Sends a statement for each slice of the items, in their order; the next one,
 * items and all, is made and sent while the server is busy with this one. In a transaction
 * they run one after the other; outside, two at once.
 */
export async function sendInTurn<T>(
	db: Handle,
	items: Iterable<T>,
	build: (slice: readonly T[]) => Sql,
	onResult: (result: Result, slice: readonly T[]) => void,
	options?: QueryOptions,
): Promise<void> {
	const underWay: Promise<void>[] = [];
	for (const slice of slices(items)) {
		const statement = build(slice);
		if (underWay.length === statementsUnderWay) await underWay.shift();
		const sent = db
			.query(statement, options)
			.then((result) => onResult(result, slice));
		// Awaited in a later turn; until then a failure must not go unheard.
		sent.catch(() => {});
		underWay.push(sent);
	}
	for (const sent of underWay) await sent;
}
