import type { IncomingMessage, Server, ServerResponse } from "node:http";
import {
	bearerAuthChallengeResponse,
	createMcpHandler,
	hostHeaderValidationResponse,
	isLegacyRequest,
	localhostAllowedHostnames,
	localhostAllowedOrigins,
	type McpHttpHandler,
	OAuthError,
	OAuthErrorCode,
	originValidationResponse,
} from "@modelcontextprotocol/server";
import { portOf, sendResponse, toRequest } from "../../http/http-server.ts";
import type { Logger } from "../../logger.ts";
import { membersOf } from "../../util/present.ts";
import type { TokenVerifier } from "../access/access.ts";
import { scopes } from "../access/issuer.ts";
import type { Identity, Memory } from "../memory.ts";
import { memoryServer } from "../memory-server.ts";
import { RunningCalls } from "../running-calls.ts";
import { refusal, Sessions } from "./sessions.ts";

export interface HttpOptions {
	readonly verifier: TokenVerifier;
	/** Address that clients use. */
	readonly resource: URL;
	/** Issuer of tokens that clients may ask for one. */
	readonly issuer?: string | undefined;
	readonly logger: Logger;
}

const path = "/mcp";
const metadataPath = "/.well-known/oauth-protected-resource";

/** The address of a server that listens. */
export function addressOf(server: Server): URL {
	return new URL(`http://127.0.0.1:${portOf(server)}${path}`);
}

/** Serves the memory by Streamable HTTP, to those who have a token. */
export class HttpServing {
	readonly #server: Server;
	readonly #memory: Memory;
	readonly #options: HttpOptions;
	readonly #calls = new RunningCalls();
	readonly #sessions: Sessions;
	readonly #handler: McpHttpHandler;

	constructor(server: Server, memory: Memory, options: HttpOptions) {
		this.#server = server;
		this.#memory = memory;
		this.#options = options;
		this.#sessions = new Sessions(memory, this.#calls);
		this.#handler = createMcpHandler(
			({ authInfo }) => {
				const identity = authInfo?.extra?.identity as Identity;
				return memoryServer(this.#memory, identity, this.#calls);
			},
			{
				legacy: "reject",
				maxSubscriptions: 100,
				onerror: ({ message }) => options.logger.debug({}, `mcp: ${message}`),
			},
		);
		server.on("request", (incoming, outgoing) => {
			this.#answer(incoming, outgoing);
		});
	}

	/** Takes no more calls, waits for those under way, and closes. */
	async close(): Promise<void> {
		const closed = new Promise((resolve) => this.#server.close(resolve));
		await this.#calls.ended();
		this.#sessions.close();
		await this.#handler.close();
		this.#server.closeIdleConnections();
		// What is left are streams of clients that wait for news.
		setImmediate(() => this.#server.closeAllConnections());
		await closed;
	}

	async #answer(
		incoming: IncomingMessage,
		outgoing: ServerResponse,
	): Promise<void> {
		const gone = new AbortController();
		outgoing.on("close", () => gone.abort());
		try {
			const request = toRequest(
				incoming,
				this.#options.resource.origin,
				gone.signal,
			);
			await sendResponse(await this.#respond(request), outgoing);
		} catch (error) {
			if (gone.signal.aborted) return;
			const { message } = membersOf(error);
			this.#options.logger.warn({}, `mcp: a request failed: ${message}`);
			if (!outgoing.headersSent) outgoing.writeHead(500);
			outgoing.end();
		}
	}

	async #respond(request: Request): Promise<Response> {
		const { hostname } = this.#options.resource;
		const refused =
			hostHeaderValidationResponse(request, [
				...localhostAllowedHostnames(),
				hostname,
			]) ??
			originValidationResponse(request, [
				...localhostAllowedOrigins(),
				hostname,
			]);
		if (refused !== undefined) return refused;
		const { pathname } = new URL(request.url);
		// With the path of the resource behind it, as a proxy knows it.
		if (pathname.startsWith(metadataPath)) return this.#metadata();
		if (pathname !== path) return refusal(404, `not found: use ${path}`);
		const known = await this.#identify(request.headers.get("authorization"));
		return known instanceof Response ? known : this.#serve(request, known);
	}

	async #serve(request: Request, identity: Identity): Promise<Response> {
		if (await isLegacyRequest(request))
			return this.#sessions.handle(request, identity);
		return this.#handler.fetch(request, {
			authInfo: { token: "", clientId: "", scopes: [], extra: { identity } },
		});
	}

	/** The identity of the bearer token, or the answer 401 or 403. */
	async #identify(header: string | null): Promise<Identity | Response> {
		const [, token] = /^Bearer +(\S+) *$/i.exec(header ?? "") ?? [];
		const verified =
			token === undefined
				? { kind: "invalid" as const, reason: "a bearer token is required" }
				: await this.#options.verifier.verify(token);
		if (verified.kind === "known") return verified.identity;
		const code =
			verified.kind === "invalid"
				? OAuthErrorCode.InvalidToken
				: OAuthErrorCode.InsufficientScope;
		return bearerAuthChallengeResponse(
			new OAuthError(code, verified.reason),
			this.#options.issuer === undefined
				? {}
				: { resourceMetadataUrl: this.#metadataUrl },
		);
	}

	get #metadataUrl(): string {
		const { origin, pathname } = this.#options.resource;
		return `${origin}${metadataPath}${pathname === "/" ? "" : pathname}`;
	}

	/** Where clients get tokens: RFC 9728. */
	#metadata(): Response {
		const { issuer, resource } = this.#options;
		if (issuer === undefined)
			return refusal(404, "tokens are not issued: ask who runs this server");
		return Response.json({
			resource: resource.href,
			authorization_servers: [issuer],
			scopes_supported: Object.values(scopes),
			bearer_methods_supported: ["header"],
			resource_name: "remdb memory",
		});
	}
}
