import { setImmediate as aTurn } from "node:timers/promises";
import type pg from "pg";
import { RemError } from "../errors.ts";
import { requestCancel } from "./cancel-request.ts";
import type { Handle, TransactionOptions } from "./database.ts";

/** A handle whose statements are not sent any more, or are cancelled, once the signal is aborted. */
export function stoppable(
	handle: Handle,
	signal: AbortSignal | undefined,
): Handle {
	if (signal === undefined) return handle;
	return {
		query: (statement, options) =>
			handle.query(statement, { ...options, signal }),
		script: (text) => handle.script(text),
		transaction: <T>(
			work: (tx: Handle) => Promise<T>,
			options?: TransactionOptions,
		) => handle.transaction((tx) => work(stoppable(tx, signal)), options),
		vectorOid: () => handle.vectorOid(),
	};
}

/** Sends a statement; when the signal is aborted, the server is asked to cancel it. */
export function untilStopped<T>(
	client: pg.ClientBase,
	signal: AbortSignal | undefined,
	send: () => Promise<T>,
): Promise<T> {
	return signal === undefined ? send() : unlessAborted(client, signal, send);
}

async function unlessAborted<T>(
	client: pg.ClientBase,
	signal: AbortSignal,
	send: () => Promise<T>,
): Promise<T> {
	// The embedded database answers without leaving the event loop: no timer fires.
	await aTurn();
	if (signal.aborted) throw stopped();
	let request: Promise<void> | undefined;
	const stop = () => {
		request = requestCancel(client);
	};
	signal.addEventListener("abort", stop, { once: true });
	try {
		return await send();
	} finally {
		signal.removeEventListener("abort", stop);
		await request;
	}
}

/** The rows until the signal is aborted: also those that were read before it was. */
export async function* untilAborted<T>(
	rows: AsyncIterable<T>,
	signal: AbortSignal | undefined,
): AsyncGenerator<T> {
	for await (const row of rows) {
		if (signal?.aborted === true) throw stopped();
		yield row;
	}
}

function stopped(): RemError {
	return new RemError("CANCELLED", "the call was cancelled");
}
