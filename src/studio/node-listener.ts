import type { IncomingMessage, ServerResponse } from "node:http";
import { sendResponse, toRequest } from "../http/http-server.ts";
import type { StudioHandler } from "./studio.ts";

/** The studio for servers of Node.js: `node:http`, Express, Fastify. */
export type NodeListener = (
	incoming: IncomingMessage,
	outgoing: ServerResponse,
) => void;

/**
 * @example
 * app.use("/studio", nodeListener(handler)) // Express; with basePath: "/studio"
 */
export function nodeListener(handler: StudioHandler): NodeListener {
	return (incoming, outgoing) => {
		answer(handler, incoming, outgoing).catch(() => {
			if (!outgoing.headersSent) outgoing.writeHead(500);
			outgoing.end();
		});
	};
}

async function answer(
	handler: StudioHandler,
	incoming: IncomingMessage & { originalUrl?: string },
	outgoing: ServerResponse,
): Promise<void> {
	const gone = new AbortController();
	outgoing.on("close", () => gone.abort());
	// Express takes the path that it is mounted at out of the address.
	if (incoming.originalUrl !== undefined) incoming.url = incoming.originalUrl;
	const { host = "localhost" } = incoming.headers;
	// Anything else, such as `user@host`, is refused by the check of the header.
	const isName = /^[\w.:[\]-]+$/.test(host) && URL.canParse(`http://${host}`);
	const origin = isName ? `http://${host}` : "http://invalid.invalid";
	try {
		const request = toRequest(incoming, origin, gone.signal);
		await sendResponse(await handler(request), outgoing);
	} catch (error) {
		// The client went away while it was answered.
		if (!gone.signal.aborted) throw error;
	}
}
