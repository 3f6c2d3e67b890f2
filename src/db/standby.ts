import type pg from "pg";
import { RemError } from "../errors.ts";
import { internalsOf } from "./driver.ts";

// A standby may become the primary, or its table a logged one: asked again so often.
const retryAfterMs = 30_000;

/** Connections to a standby, and the time until which its unlogged tables are not asked for. */
const standbys = new WeakMap<pg.ClientBase, number>();

/** Connections to a server that follows another one. */
const following = new WeakSet<object>();

/**
 * Whether the server of the connection followed another one when it answered
 * last. A server reports a promotion before its next answer is complete; a
 * pooler may not pass it on.
 */
export function isFollowing(client: object): boolean {
	return following.has(client);
}

/** Before the client connects: the server reports whether it is a standby, and when that changes. */
export function watchStandby(client: pg.ClientBase): void {
	const { connection } = internalsOf(client);
	connection.on("parameterStatus", ({ parameterName, parameterValue }) => {
		if (parameterName !== "in_hot_standby") return;
		if (parameterValue === "on") {
			standbys.set(client, 0);
			following.add(client);
		} else {
			standbys.delete(client);
			following.delete(client);
		}
	});
}

/** Throws what the standby has answered to a read of an unlogged table, without asking it again. */
export function refuseOnStandby(client: pg.ClientBase): void {
	const until = standbys.get(client);
	if (until === undefined || Date.now() >= until) return;
	throw new RemError("DATABASE", "a standby cannot read unlogged tables", {
		hint: "read on the primary, or set KV_STORE__PERSISTENCE=logged (docs/operations.md)",
		sqlState: unloggedOnStandby,
	});
}

/** Whether it is a standby whose answer is not known. */
export function mayRefuseUnlogged(client: pg.ClientBase): boolean {
	return standbys.has(client);
}

/** What a read of an unlogged table gave: nothing, or its failure's SQLSTATE. */
export function noteUnloggedRead(
	client: pg.ClientBase,
	sqlState: string | undefined,
): void {
	if (sqlState === undefined) standbys.delete(client);
	else if (sqlState === unloggedOnStandby)
		standbys.set(client, Date.now() + retryAfterMs);
}

const unloggedOnStandby = "0A000";
