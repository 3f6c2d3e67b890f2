import {
	Client,
	StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
import { listen } from "../../src/http/http-server.ts";
import type { Logger } from "../../src/logger.ts";
import { silentLogger } from "../../src/logger.ts";
import type { TokenVerifier } from "../../src/mcp/access/access.ts";
import { tokenList } from "../../src/mcp/access/token-list.ts";
import { addressOf, HttpServing } from "../../src/mcp/http/http-server.ts";
import { Memory, type MemoryOptions } from "../../src/mcp/memory.ts";

/** The protocol of 2025 with its handshake, or that of 2026. */
export type Era = "legacy" | "modern";

export const eras: readonly Era[] = ["legacy", "modern"];

export interface McpServing {
	readonly url: URL;
	connect(token: string, era?: Era): Promise<Client>;
	close(): Promise<void>;
}

interface ServeOptions extends Partial<MemoryOptions> {
	readonly service: MemoryOptions["service"];
	readonly tokens?: Readonly<Record<string, object>>;
	readonly verifier?: TokenVerifier;
	readonly issuer?: string;
	readonly logger?: Logger;
}

/** The memory of a service on a port of its own, in this process. */
export async function serveMcp({
	tokens = {},
	verifier = tokenList(JSON.stringify(tokens), "the test"),
	issuer,
	logger = silentLogger,
	...options
}: ServeOptions): Promise<McpServing> {
	const server = await listen({ port: 0, option: "--http" });
	const url = addressOf(server);
	const memory = new Memory({
		version: "0.0.0",
		isReadOnly: false,
		...options,
	});
	const serving = new HttpServing(server, memory, {
		verifier,
		resource: url,
		issuer,
		logger,
	});
	const clients: Client[] = [];
	return {
		url,
		connect: async (token, era = "legacy") => {
			const client = await connectHttp(url, token, era);
			clients.push(client);
			return client;
		},
		close: async () => {
			for (const client of clients) await client.close();
			await serving.close();
		},
	};
}

export async function connectHttp(
	url: URL,
	token: string,
	era: Era,
): Promise<Client> {
	const client = newClient(era);
	await client.connect(
		new StreamableHTTPClientTransport(url, {
			requestInit: { headers: { authorization: `Bearer ${token}` } },
		}),
		patient,
	);
	return client;
}

/** Its default of a minute is too short for a machine with ten times the work it has cores. */
export const patient = { timeout: 240_000 };

export function newClient(era: Era): Client {
	return new Client(
		{ name: "remdb-test", version: "1.0.0" },
		era === "modern" ? { versionNegotiation: { mode: "auto" } } : {},
	);
}

interface Answer {
	readonly isError: boolean;
	readonly text: string;
	/** Whatever a tool answers with: the tests know what. */
	// biome-ignore lint/suspicious/noExplicitAny: see above
	readonly content: any;
}

/** Calls a tool; text and structured content of its answer. */
export async function call(
	client: Client,
	name: string,
	args: Readonly<Record<string, unknown>> = {},
	options: Parameters<Client["callTool"]>[1] = {},
): Promise<Answer> {
	const result = await client.callTool(
		{ name, arguments: { ...args } },
		{ ...patient, ...options },
	);
	const [block] = result.content;
	return {
		isError: result.isError === true,
		text: block?.type === "text" ? block.text : "",
		content: result.structuredContent,
	};
}
