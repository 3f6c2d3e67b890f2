import type pg from "pg";
import { RemError } from "../errors.ts";
import { requestCancel } from "./cancel-request.ts";
import { internalsOf } from "./driver.ts";
import { toRemError } from "./sql-state.ts";

/**
 * How long the server has to end a statement that it was asked to cancel. One that
 * does not answer in that time is hung, or out of reach.
 */
function graceOf(timeoutMs: number): number {
	return Math.min(5000, Math.max(1000, timeoutMs));
}

/** Connections whose statement was asked to be cancelled, until it has ended. */
const cancelled = new WeakSet<pg.ClientBase>();

/**
 * Sends a statement that may take so long. After that the server is asked to
 * cancel it: so it ends there, its outcome is known, and the connection
 * can be used again. By a request, not by the setting `statement_timeout`: behind a
 * pooler a setting would reach other clients, and for one statement it would cost
 * a transaction. Only where the server does not answer that either is the
 * connection discarded, as one that is lost.
 */
export function withTimeLimit<T>(
	client: pg.ClientBase,
	timeoutMs: number | undefined,
	send: () => Promise<T>,
): Promise<T> {
	return timeoutMs === undefined
		? send()
		: endingAfter(client, timeoutMs, send);
}

async function endingAfter<T>(
	client: pg.ClientBase,
	timeoutMs: number,
	send: () => Promise<T>,
): Promise<T> {
	let request: Promise<void> | undefined;
	let timer = setTimeout(() => {
		cancelled.add(client);
		request = requestCancel(client);
		timer = setTimeout(() => discard(client), graceOf(timeoutMs));
	}, timeoutMs);
	try {
		return await send();
	} catch (error) {
		throw cancelled.has(client) ? asTimeout(error, timeoutMs) : error;
	} finally {
		clearTimeout(timer);
		// Until it is through, it could end the connection's next statement.
		await request;
		if (request !== undefined) cancelled.delete(client);
	}
}

function discard(client: pg.ClientBase): void {
	internalsOf(client).connection.stream.destroy(
		new Error("no answer, neither to the statement nor to its cancellation"),
	);
}

function asTimeout(error: unknown, timeoutMs: number): unknown {
	const { sqlState, cause } = toRemError(error);
	if (sqlState === "57014")
		return new RemError(
			"QUERY_TIMEOUT",
			`the statement took more than ${timeoutMs} ms, and was cancelled on the server`,
			{
				hint: "narrow it (limit, where, tenantId), look for a locked table or a missing index with `rem doctor`, or raise queryTimeoutMs (POSTGRES__QUERY_TIMEOUT_MS)",
				sqlState,
				cause,
			},
		);
	return error;
}
