import { randomUUID } from "node:crypto";
import { WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/server";
import type { Identity, Memory } from "../memory.ts";
import { memoryServer } from "../memory-server.ts";
import { RunningCalls } from "../running-calls.ts";

interface Session {
	readonly transport: WebStandardStreamableHTTPServerTransport;
	readonly identity: Identity;
	readonly calls: RunningCalls;
	lastUsed: number;
}

export const maxSessions = 100;
const idleMs = 30 * 60_000;

/** Sessions of clients that open one: as many as there may be, each of one identity. */
export class Sessions {
	readonly #memory: Memory;
	readonly #calls: RunningCalls;
	readonly #open = new Map<string, Session>();

	constructor(memory: Memory, calls: RunningCalls) {
		this.#memory = memory;
		this.#calls = calls;
	}

	async handle(request: Request, identity: Identity): Promise<Response> {
		const id = request.headers.get("mcp-session-id");
		if (id === null) return this.#begin(request, identity);
		const session = this.#open.get(id);
		// Another's session is unknown.
		if (session?.identity.name !== identity.name)
			return refusal(404, "session not found");
		session.lastUsed = Date.now();
		return session.transport.handleRequest(request);
	}

	async #begin(request: Request, identity: Identity): Promise<Response> {
		if (request.method !== "POST")
			return refusal(400, "the header mcp-session-id is missing");
		if (!this.#makeRoom()) return refusal(503, "too many sessions are busy");
		const calls = new RunningCalls(this.#calls);
		const transport = new WebStandardStreamableHTTPServerTransport({
			sessionIdGenerator: randomUUID,
			onsessioninitialized: (id) => {
				const lastUsed = Date.now();
				this.#open.set(id, { transport, identity, calls, lastUsed });
			},
			onsessionclosed: (id) => {
				this.#open.delete(id);
			},
		});
		await memoryServer(this.#memory, identity, calls).connect(transport);
		const response = await transport.handleRequest(request);
		// Whatever it was, it did not open a session.
		if (transport.sessionId === undefined) await transport.close();
		return response;
	}

	/** Ends sessions that are not used; where there are too many, the one that was used longest ago. */
	#makeRoom(): boolean {
		const idle = [...this.#open]
			.filter(([, { calls }]) => calls.count === 0)
			.sort(([, one], [, other]) => one.lastUsed - other.lastUsed);
		const now = Date.now();
		for (const [id, { lastUsed }] of idle) {
			const isOver = now - lastUsed > idleMs;
			if (!isOver && this.#open.size < maxSessions) break;
			this.#end(id);
		}
		return this.#open.size < maxSessions;
	}

	#end(id: string): void {
		const session = this.#open.get(id);
		this.#open.delete(id);
		session?.transport.close().catch(() => {
			// Its client is gone.
		});
	}

	close(): void {
		for (const id of this.#open.keys()) this.#end(id);
	}
}

/** An error of the protocol as the answer to a request of HTTP. */
export function refusal(status: number, message: string): Response {
	return Response.json(
		{ jsonrpc: "2.0", error: { code: -32_000, message }, id: null },
		{ status },
	);
}
