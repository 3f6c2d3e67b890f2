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

// One that the server is busy with, and one on its way to it.
const statementsInFlight = 2;

interface PipelinedStatements<T, Row> {
	readonly build: (slice: readonly T[]) => Sql;
	readonly onResult?: (result: Result<Row>, slice: readonly T[]) => void;
	readonly options?: QueryOptions;
}

/**
 * Sends a statement for each slice of the items, in their order; the next one is
 * built and sent while the server works on this one. In a transaction they run
 * one after the other; outside, two at a time.
 */
export async function sendPipelined<T, Row = Record<string, unknown>>(
	db: Handle,
	items: Iterable<T>,
	{ build, onResult = () => {}, options }: PipelinedStatements<T, Row>,
): Promise<void> {
	const inFlight: Promise<void>[] = [];
	for (const slice of slices(items)) {
		const statement = build(slice);
		if (inFlight.length === statementsInFlight) await inFlight.shift();
		const sent = db
			.query<Row>(statement, options)
			.then((result) => onResult(result, slice));
		// Awaited in a later turn; until then its rejection must not be unhandled.
		sent.catch(() => {});
		inFlight.push(sent);
	}
	for (const sent of inFlight) await sent;
}
