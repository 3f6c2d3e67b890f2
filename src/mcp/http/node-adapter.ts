import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** The request as the web's: its signal is aborted when the client goes away. */
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
