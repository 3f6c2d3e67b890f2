import {
	StdioServerTransport,
	serveStdio,
} from "@modelcontextprotocol/server/stdio";
import type { Logger } from "../logger.ts";
import type { Identity, Memory } from "./memory.ts";
import { memoryServer } from "./memory-server.ts";
import { RunningCalls } from "./running-calls.ts";

export interface StdioOptions {
	readonly identity: Identity;
	readonly logger: Logger;
}

export interface Serving {
	/** Resolves when the connection is over: the client has closed its end. */
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
	const transport = new ObservedTransport();
	const handle = serveStdio(() => memoryServer(memory, identity, calls), {
		transport,
		onerror: ({ message }) => logger.warn({}, `mcp: ${message}`),
	});
	return {
		ended: transport.ended,
		close: async () => {
			await calls.ended();
			await handle.close();
		},
	};
}

/** Reports when it is closed, by whichever end. */
class ObservedTransport extends StdioServerTransport {
	readonly ended: Promise<void>;
	#end = () => {};

	constructor() {
		super();
		this.ended = new Promise((resolve) => {
			this.#end = resolve;
		});
	}

	override async close(): Promise<void> {
		await super.close();
		this.#end();
	}
}
