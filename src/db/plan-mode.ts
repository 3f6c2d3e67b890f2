import type pg from "pg";
import type { PlanMode } from "./database.ts";

/** Connections that use the plan for any values, of every statement with parameters. */
const generic = new WeakSet<pg.ClientBase>();

/**
 * Has the statements that follow planned like this, by a message that travels with
 * the next one: no round trip, and none at all where the connection is set so.
 */
export function setPlanMode(client: pg.ClientBase, mode: PlanMode): void {
	const isGeneric = mode === "generic";
	if (generic.has(client) === isGeneric) return;
	if (isGeneric) generic.add(client);
	else generic.delete(client);
	const text = isGeneric
		? "SET plan_cache_mode = force_generic_plan"
		: "RESET plan_cache_mode";
	client.query(text).catch(() => {
		// The connection is gone: the statement behind it reports that.
	});
}
