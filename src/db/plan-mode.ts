import type pg from "pg";
import type { PlanMode } from "./database.ts";

/** How a connection plans; `auto` where none is noted, `unknown` once a change may have failed or been undone. */
const modes = new WeakMap<pg.ClientBase, PlanMode | "unknown">();

/**
 * Has the statements that follow planned like this, by a message that travels with
 * the next one: no round trip, and none at all where the connection is set so.
 * `auto` is what the role or the database is set to.
 */
export function setPlanMode(client: pg.ClientBase, mode: PlanMode): void {
	if ((modes.get(client) ?? "auto") === mode) return;
	modes.set(client, mode);
	const text =
		mode === "generic"
			? "SET plan_cache_mode = force_generic_plan"
			: "RESET plan_cache_mode";
	client.query(text).catch(() => {
		// Refused, cancelled, or the connection is gone, which the statement behind it reports.
		modes.set(client, "unknown");
	});
}

/** After a ROLLBACK, which also undoes a mode that was set inside. */
export function forgetPlanMode(client: pg.ClientBase): void {
	if (modes.has(client)) modes.set(client, "unknown");
}
