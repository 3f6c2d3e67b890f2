import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** Stands between client and server on 127.0.0.1, and fails on request. */
export class TcpProxy {
	/** When each connection was tried, as `performance.now()`. */
	readonly attempts: number[] = [];
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();
	#target: number;
	#isSilent = false;
	#isAway = false;
	#isSplitting = false;

	private constructor(target: number) {
		this.#target = target;
		this.#server = createServer((client) => this.#join(client));
	}

	static async start(target: number): Promise<TcpProxy> {
		const proxy = new TcpProxy(target);
		await new Promise<void>((resolve) =>
			proxy.#server.listen(0, "127.0.0.1", resolve),
		);
		return proxy;
	}

	/** The server's address, by way of the proxy. */
	through(url: string): string {
		const address = this.#server.address() as { port: number };
		const result = new URL(url);
		result.port = String(address.port);
		return result.href;
	}

	/** Where connections lead from now on, as after a failover behind one name. */
	lead(port: number): void {
		this.#target = port;
	}

	/** Leaves every connection open and passes nothing on: a cable that was cut. */
	silence(): void {
		this.#isSilent = true;
	}

	/** Sends the end of every answer, which reports that the server is ready, in a packet of its own. */
	split(): void {
		this.#isSplitting = true;
	}

	/** Cuts every connection; new ones are cut as well, until `comeBack()`. */
	goAway(): void {
		this.#isAway = true;
		this.cut();
	}

	comeBack(): void {
		this.#isAway = false;
		this.#isSilent = false;
		this.cut();
	}

	cut(): void {
		for (const socket of this.#sockets) socket.destroy();
	}

	async stop(): Promise<void> {
		this.cut();
		await new Promise((resolve) => this.#server.close(resolve));
	}

	#join(client: Socket): void {
		this.attempts.push(performance.now());
		if (this.#isAway) return void client.destroy();
		const server = connect(this.#target, "127.0.0.1");
		client.setNoDelay();
		this.#pass(client, server);
		if (this.#isSplitting) this.#passInParts(server, client);
		else this.#pass(server, client);
	}

	/** ReadyForQuery has six bytes. */
	#passInParts(from: Socket, to: Socket): void {
		let sent: Promise<unknown> = Promise.resolve();
		this.#pass(from, to, (bytes) => {
			sent = sent.then(async () => {
				to.write(bytes.subarray(0, -6));
				await pause(2);
				to.write(bytes.subarray(-6));
			});
		});
	}

	#pass(
		from: Socket,
		to: Socket,
		send = (bytes: Buffer): unknown => to.write(bytes),
	): void {
		this.#sockets.add(from);
		from.on("data", (bytes) => {
			if (!this.#isSilent) send(bytes);
		});
		from.on("error", () => {
			// The other side sees its end.
		});
		from.on("close", () => {
			this.#sockets.delete(from);
			to.destroy();
		});
	}
}
