import {
	createServer,
	type IncomingMessage,
	type Server,
	type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { RemError } from "../errors.ts";

const maxConnections = 500;

export interface ListenOptions {
	/** 0: a free one. */
	readonly port: number;
	/** @default 127.0.0.1 */
	readonly host?: string;
	/** The option of the command that names the port, for the hint. */
	readonly option: string;
}

/** A port on which nothing is answered yet: its number is part of the address of the server. */
export async function listen({
	port,
	host = "127.0.0.1",
	option,
}: ListenOptions): Promise<Server> {
	const server = createServer();
	server.maxConnections = maxConnections;
	await new Promise<void>((resolve, reject) => {
		server.once("error", (error: NodeJS.ErrnoException) =>
			reject(
				new RemError(
					"CONFIG_INVALID",
					`cannot listen on port ${port}: ${error.code ?? error.message}`,
					{
						hint: `choose another ${option} port; 0 takes a free one`,
						cause: error,
					},
				),
			),
		);
		server.listen(port, host, resolve);
	});
	return server;
}

/** The port of a server that listens. */
export function portOf(server: Server): number {
	return (server.address() as AddressInfo).port;
}

/** The request as the web's: its signal is aborted when the client disconnects. */
export function toRequest(
	incoming: IncomingMessage,
	origin: string,
	signal: AbortSignal,
): Request {
	const { method = "GET", url = "/" } = incoming;
	const headers = new Headers();
	for (let at = 0; at + 1 < incoming.rawHeaders.length; at += 2)
		headers.append(
			incoming.rawHeaders[at] ?? "",
			incoming.rawHeaders[at + 1] ?? "",
		);
	const hasBody = method !== "GET" && method !== "HEAD";
	return new Request(new URL(url, origin), {
		method,
		headers,
		signal,
		...(hasBody
			? { body: Readable.toWeb(incoming) as ReadableStream, duplex: "half" }
			: {}),
	} as RequestInit);
}

/** Sends the response, as its parts come. */
export async function sendResponse(
	response: Response,
	outgoing: ServerResponse,
): Promise<void> {
	outgoing.writeHead(
		response.status,
		Object.fromEntries(response.headers.entries()),
	);
	if (response.body === null) {
		outgoing.end();
		return;
	}
	outgoing.flushHeaders();
	await pipeline(Readable.fromWeb(response.body as never), outgoing);
}
