import { statementsOf } from "../util/sql-statements.ts";
import type { Handle } from "./database.ts";

/**
 * Sends the statements of a text of ours one by one: a database that is spread
 * over several servers passes the text of a statement on, and can pass on one.
 */
export async function sendEach(
	handle: Pick<Handle, "script">,
	text: string,
): Promise<void> {
	for (const statement of statementsOf(text)) await handle.script(statement);
}
