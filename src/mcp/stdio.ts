import type { JSONRPCMessage } from "@modelcontextprotocol/server";
import {
	StdioServerTransport,
	serveStdio,
} from "@modelcontextprotocol/server/stdio";
import type { Logger } from "../logger.ts";
import { membersOf } from "../util/present.ts";
import type { Identity, Memory } from "./memory.ts";
import { memoryServer } from "./memory-server.ts";
import { RunningCalls } from "./running-calls.ts";

export interface StdioOptions {
	readonly identity: Identity;
	readonly logger: Logger;
}

export interface Serving {
	/** Resolves when the connection is over: the client has closed its end, and what it asked is answered. */
	readonly ended: Promise<void>;
	/** Waits for the calls under way, but not without end. */
	close(): Promise<void>;
}

/** Serves one client on stdin and stdout. */
export function serveOnStdio(
	memory: Memory,
	{ identity, logger }: StdioOptions,
): Serving {
	const calls = new RunningCalls();
	const transport = new AnsweringTransport();
	const handle = serveStdio(() => memoryServer(memory, identity, calls), {
		transport,
		onerror: ({ message }) => logger.warn({}, `mcp: ${message}`),
	});
	transport.observeRequests();
	return {
		ended: transport.ended,
		close: async () => {
			await calls.ended();
			transport.stopWaiting();
			await handle.close();
		},
	};
}

/**
 * At the end of its input the transport of the SDK closes at once, and drops the
 * requests under way: a client that writes its requests and closes its end, as a
 * pipe does, would get no answer. This one answers them first.
 */
class AnsweringTransport extends StdioServerTransport {
	/** Resolves when it is closed, by whichever end. */
	readonly ended: Promise<void>;
	readonly #unanswered = new Set<unknown>();
	readonly #waiting = new Set<() => void>();
	#isStopped = false;
	#end = () => {};

	constructor() {
		super();
		this.ended = new Promise((resolve) => {
			this.#end = resolve;
		});
	}

	/** Once the server receives messages. */
	observeRequests(): void {
		const deliver = this.onmessage;
		this.onmessage = (message) => {
			this.#note(message);
			deliver?.(message);
		};
	}

	/** From now on it closes whatever is unanswered. */
	stopWaiting(): void {
		this.#isStopped = true;
		this.#release();
	}

	override async send(message: JSONRPCMessage): Promise<void> {
		try {
			await super.send(message);
		} finally {
			if (!("method" in message)) this.#settle(message.id);
		}
	}

	override async close(): Promise<void> {
		const { readableEnded, destroyed } = process.stdin;
		if (readableEnded || destroyed) await this.#answered();
		await super.close();
		this.#end();
	}

	#note(message: JSONRPCMessage): void {
		if (!("method" in message)) return;
		const { method, params } = message;
		// One that is cancelled gets no answer, and a subscription none before it ends.
		if (method === "notifications/cancelled")
			this.#settle(membersOf(params).requestId);
		else if ("id" in message && method !== "subscriptions/listen")
			this.#unanswered.add(message.id);
	}

	#settle(id: unknown): void {
		this.#unanswered.delete(id);
		if (this.#unanswered.size === 0) this.#release();
	}

	#release(): void {
		for (const resolve of this.#waiting) resolve();
		this.#waiting.clear();
	}

	#answered(): Promise<void> {
		if (this.#isStopped || this.#unanswered.size === 0)
			return Promise.resolve();
		return new Promise((resolve) => {
			this.#waiting.add(resolve);
		});
	}
}
