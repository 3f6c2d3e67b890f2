import type { AddressInfo } from "node:net";
import { connect, createServer, type Socket } from "node:net";

/** An address that stays while the server behind it changes, as a cluster's service does. */
export interface Switchboard {
	readonly url: string;
	/** Breaks all connections, and takes new ones to that server. */
	switchTo(url: string): void;
	close(): Promise<void>;
}

export async function openSwitchboard(url: string): Promise<Switchboard> {
	let port = portOf(url);
	const sockets = new Set<Socket>();
	const server = createServer((client) => {
		const upstream = connect(port, "127.0.0.1");
		for (const [socket, other] of [
			[client, upstream],
			[upstream, client],
		] as const) {
			sockets.add(socket);
			socket.pipe(other);
			socket.on("error", () => other.destroy());
			socket.on("close", () => {
				sockets.delete(socket);
				other.destroy();
			});
		}
	});
	await new Promise<void>((resolve) => {
		server.listen(0, "127.0.0.1", resolve);
	});
	const own = new URL(url);
	own.port = String((server.address() as AddressInfo).port);
	return {
		url: own.href,
		switchTo(other) {
			port = portOf(other);
			for (const socket of sockets) socket.destroy();
		},
		close: () =>
			new Promise((resolve) => {
				for (const socket of sockets) socket.destroy();
				server.close(() => resolve());
			}),
	};
}

function portOf(url: string): number {
	return Number(new URL(url).port);
}
