import { RemError } from "../errors.ts";
import { quoted, suggest } from "../util/suggest.ts";
import type { MemoryScope, ToolAccess } from "./tool.ts";

/**
 * The name as the service takes it, once it is known to be of a visible table.
 * Throws `VALIDATION` where it is of a hidden one, as if nothing had the name.
 */
export async function checkVisible(
	scope: MemoryScope,
	{ tables, isRestricted }: ToolAccess,
	given: string,
): Promise<string> {
	const name = given.startsWith("rem://")
		? decodeURIComponent(given.slice("rem://".length))
		: given;
	if (!isRestricted) return name;
	const { from } = await scope.traverse({ from: name, depth: 0 });
	if (from === undefined || tables.includes(from.entityType)) return name;
	throw new RemError("VALIDATION", `nothing is named ${quoted(given)}`, {
		hint: suggest("", tables) ?? "remember it first",
	});
}
