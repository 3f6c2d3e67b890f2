import pg from "pg";

/** What the driver knows of a connection, beyond its types. */
interface OpenClient {
	readonly host?: string;
	readonly port: number;
	readonly ssl: unknown;
	readonly sslNegotiation?: string;
	readonly processID?: number | null;
	readonly secretKey?: number | null;
}

interface DriverConnection extends NodeJS.EventEmitter {
	readonly stream: { destroy(): void };
	connect(port: number | string, host?: string): void;
	requestSsl(): void;
	cancel(processId: number, secretKey: number): void;
}

const longestMs = 2000;
const underWay = new WeakMap<pg.ClientBase, Promise<void>>();

/**
 * Asks the server, on a connection of its own, to cancel what the client waits
 * for. Never fails; resolves when the server has signalled its process, so that
 * the client's next statement is safe from it. The embedded database has no other
 * connection: its statements end by themselves.
 */
export function requestCancel(client: pg.ClientBase): Promise<void> {
	const known = underWay.get(client);
	if (known !== undefined) return known;
	const request = send(client as unknown as OpenClient).finally(() => {
		underWay.delete(client);
	});
	underWay.set(client, request);
	return request;
}

/** Waits for a request that is on its way. */
export async function cancelSettled(client: pg.ClientBase): Promise<void> {
	await underWay.get(client);
}

function send(client: OpenClient): Promise<void> {
	const { host, port, ssl, sslNegotiation, processID, secretKey } = client;
	if (!processID || !secretKey || host === undefined) return Promise.resolve();
	const { Connection } = pg as unknown as {
		Connection: new (config: object) => DriverConnection;
	};
	const connection = new Connection({ ssl, sslNegotiation });
	return new Promise((resolve) => {
		const end = () => {
			clearTimeout(timer);
			connection.stream.destroy();
			resolve();
		};
		const timer = setTimeout(end, longestMs);
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
