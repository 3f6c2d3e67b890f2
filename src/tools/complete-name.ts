import { limits } from "../models/limits.ts";
import type { MemoryScope, ToolAccess } from "./tool.ts";

// Completion of the parts of an entity's URI, while a user types.

/** Tables that begin like it. */
export function completeTable({ tables }: ToolAccess, value: string): string[] {
	return tables.filter((name) => name.startsWith(value));
}

const shown = 20;
const candidates = 200;
const threshold = 0.2;

/** Keys that are like it, best first; of one table where it is known. */
export async function completeKey(
	scope: MemoryScope,
	{ tables }: ToolAccess,
	value: string,
	table: string | undefined,
): Promise<string[]> {
	const query = value.slice(0, limits.fuzzyQueryLength);
	if (query.trim() === "") return [];
	if (table !== undefined && !tables.includes(table)) return [];
	const hits = await scope.fuzzySearch({
		query,
		mode: "word",
		threshold,
		limit: candidates,
		...(table === undefined ? {} : { entityType: table }),
	});
	const keys = hits
		.filter(({ entityType }) => tables.includes(entityType))
		.map(({ entityKey }) => entityKey);
	return [...new Set(keys)].slice(0, shown);
}
