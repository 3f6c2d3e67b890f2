import type { ServiceCore } from "../core/service-core.ts";
import { RemError } from "../errors.ts";
import type { EntityTable } from "../models/registry.ts";

/** The tables that a call names, each once; all of the service's where it names none. */
export function tablesOfCall(
	{ registry }: ServiceCore,
	names: readonly string[] | undefined,
): readonly EntityTable[] {
	if (names === undefined) return registry.all();
	if (names.length === 0)
		throw new RemError("VALIDATION", "tables names no table", {
			hint: "leave it out for all tables",
		});
	return [...new Set(names.map((name) => registry.get(name)))];
}
