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
