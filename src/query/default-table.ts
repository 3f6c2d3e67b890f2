import { RemError } from "../errors.ts";
import type { EntityTable, Registry } from "../models/registry.ts";

/** The table of that name, or of a call that names none; throws where there is no such. */
export function tableToSearch(
	registry: Registry,
	tableName: string | undefined,
): EntityTable {
	if (tableName !== undefined) return registry.get(tableName);
	const found = defaultSearchTable(registry);
	if (found !== undefined) return found;
	throw new RemError("VALIDATION", "no table to search in", {
		hint: `name one of: ${searchableTables(registry).join(", ")}`,
	});
}

/** The table of a search that names none: `resources`, or the only one with embedded texts. */
export function defaultSearchTable(
	registry: Registry,
): EntityTable | undefined {
	const searchable = withTexts(registry);
	return (
		searchable.find(({ entity }) => entity.tableName === "resources") ??
		(searchable.length === 1 ? searchable[0] : undefined)
	);
}

/** The names of the tables that can be searched. */
export function searchableTables(registry: Registry): string[] {
	return withTexts(registry).map(({ entity }) => entity.tableName);
}

function withTexts(registry: Registry): EntityTable[] {
	return registry.all().filter(({ entity }) => entity.embedFields.length > 0);
}
