import type { Handle, Result } from "../db/database.ts";
import type { Sql } from "../sql.ts";

/** Rows of one statement: enough to fill a round trip, few enough to stay small in memory. */
export const rowsPerStatement = 500;

export function* slices<T>(items: readonly T[]): Generator<T[]> {
	for (let at = 0; at < items.length; at += rowsPerStatement)
		yield items.slice(at, at + rowsPerStatement);
}

/**
 * Sends a statement for each slice of the items, one after the other; the next
 * one is built while the server is busy with this one.
 */
export async function sendInTurn<T>(
	tx: Handle,
	items: readonly T[],
	build: (slice: readonly T[]) => Sql,
	onResult: (result: Result, slice: readonly T[]) => void,
): Promise<void> {
	let sent: Promise<void> = Promise.resolve();
	for (const slice of slices(items)) {
		const statement = build(slice);
		await sent;
		sent = tx.query(statement).then((result) => onResult(result, slice));
		// Awaited in the next turn; until then a failure must not go unheard.
		sent.catch(() => {});
	}
	await sent;
}
