import type pg from "pg";
import { internalsOf, openRawConnection } from "./driver.ts";

const maxMs = 2000;
const inProgress = new WeakMap<pg.ClientBase, Promise<void>>();

/**
 * Asks the server, on a connection of its own, to cancel what the client waits
 * for. Never fails; resolves when the server has signalled its process, so that
 * the client's next statement is safe from it. The embedded database has no other
 * connection: its statements end by themselves.
 */
export function requestCancel(client: pg.ClientBase): Promise<void> {
	const known = inProgress.get(client);
	if (known !== undefined) return known;
	const request = send(client).finally(() => {
		inProgress.delete(client);
	});
	inProgress.set(client, request);
	return request;
}

/** Waits for a request that is on its way. */
export async function cancelSettled(client: pg.ClientBase): Promise<void> {
	await inProgress.get(client);
}

function send(client: pg.ClientBase): Promise<void> {
	const { host, port, ssl, sslNegotiation, processID, secretKey } =
		internalsOf(client);
	if (!processID || !secretKey || host === undefined) return Promise.resolve();
	const connection = openRawConnection({ ssl, sslNegotiation });
	return new Promise((resolve) => {
		const end = () => {
			clearTimeout(timer);
			connection.stream.destroy();
			resolve();
		};
		const timer = setTimeout(end, maxMs);
		const cancel = () => connection.cancel(processID, secretKey);
		connection.on("connect", () => {
			if (!ssl) cancel();
			else if (sslNegotiation !== "direct") connection.requestSsl();
		});
		connection.on("sslconnect", cancel);
		connection.on("error", end);
		// The server hangs up once it has sent the signal.
		connection.on("end", end);
		if (host.startsWith("/")) connection.connect(`${host}/.s.PGSQL.${port}`);
		else connection.connect(port, host);
	});
}
