import { statementsOf } from "../util/sql-statements.ts";
import type { Handle } from "./database.ts";

/**
 * Sends the statements of a generated text one by one: Citus passes the text of a
 * statement on to its nodes, and cannot pass on several at once.
 */
export async function sendEach(
	handle: Pick<Handle, "script">,
	text: string,
): Promise<void> {
	for (const statement of statementsOf(text)) await handle.script(statement);
}

const statementsInFlight = 32;

/**
 * The same in a transaction, without waiting for each answer. What is sent behind a
 * statement that fails is refused: the transaction has failed by then.
 */
export async function sendInTransaction(
	tx: Handle,
	text: string,
): Promise<void> {
	const inFlight: Promise<unknown>[] = [];
	for (const statement of statementsOf(text)) {
		if (inFlight.length === statementsInFlight) await inFlight.shift();
		const sent = tx.script(statement);
		sent.catch(() => {
			// Thrown where it is awaited; those behind it fail because of it.
		});
		inFlight.push(sent);
	}
	for (const sent of inFlight) await sent;
}
