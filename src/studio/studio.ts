import { randomBytes } from "node:crypto";
import { RemError } from "../errors.ts";
import { silentLogger } from "../logger.ts";
import { refuseUndefined } from "../models/options.ts";
import { packageVersion } from "../util/package-file.ts";
import { HealthWatch } from "./health/health-watch.ts";
import { Access, localHosts } from "./http/access.ts";
import { readJson } from "./http/body.ts";
import { Page, securityHeaders } from "./http/page.ts";
import { HttpProblem, notFound, problemOf } from "./http/problem.ts";
import type { StudioService } from "./place.ts";
import { type Route, routeCall, type StudioSettings } from "./route.ts";
import { ask } from "./routes/ask.ts";
import { bootstrap, counts, writeHint } from "./routes/bootstrap.ts";
import { complete } from "./routes/complete.ts";
import { entity, list } from "./routes/entities.ts";
import { graph } from "./routes/graph.ts";
import { search } from "./routes/search.ts";
import { why } from "./routes/why.ts";
import { edit, embed, link, remove, restore, unlink } from "./routes/writes.ts";

export interface StudioOptions {
	/** The only tenant that is shown. @default the service's, and requests may name others */
	readonly tenantId?: string;
	/** The only user whose rows are shown, beside shared ones; `null`: only those. @default the whole tenant */
	readonly userId?: string | null;
	/** Whether entities can be edited, deleted, restored, linked and embedded. @default false */
	readonly writable?: boolean;
	/** Whether the health is shown: it counts the rows of all tenants. @default true */
	readonly health?: boolean;
	/** Where it is mounted. @default "/" */
	readonly basePath?: string;
	/** Names by which it is called: the Host header, without a port. @default this machine's: localhost, 127.0.0.1 */
	readonly hosts?: readonly string[];
	/** Origins whose pages may call it, besides its own: where a proxy changes the Host header. @default none */
	readonly origins?: readonly string[];
	/** Whether a request may come in, instead of a token: your application's own login. */
	readonly authorize?: (request: Request) => boolean | Promise<boolean>;
	/** Of the address that is opened first. @default a random one */
	readonly token?: string;
}

/** Answers requests; for Hono, Next and other servers of the web's Request and Response. */
export interface StudioHandler {
	(request: Request): Promise<Response>;
	/** Opens the studio: `<address>?token=<token>`; `undefined` where `authorize` decides. */
	readonly token: string | undefined;
	/** Ends the streams of pages that are open. */
	close(): void;
}

const routes: readonly Route[] = [
	bootstrap,
	counts,
	search,
	why,
	list,
	entity,
	edit,
	remove,
	restore,
	link,
	unlink,
	embed,
	graph,
	ask,
	complete,
];

/**
 * A page that shows what is in the memory, and why it was, or was not, recalled.
 * Read-only unless `writable`. Every request reads one tenant through the
 * service's verbs.
 *
 * @example
 * const handler = studio(service, { basePath: "/studio", hosts: ["app.example.com"], authorize: isAdmin })
 * app.all("/studio/*", (c) => handler(c.req.raw)) // Hono
 */
export function studio(
	service: StudioService,
	options: StudioOptions = {},
): StudioHandler {
	const served = new Studio(service, options);
	return Object.assign((request: Request) => served.answer(request), {
		token: served.token,
		close: () => served.close(),
	});
}

class Studio {
	readonly token: string | undefined;
	readonly #service: StudioService;
	readonly #settings: StudioSettings;
	readonly #path: string;
	readonly #access: Access;
	readonly #page = new Page();
	readonly #health: HealthWatch | undefined;

	constructor(service: StudioService, options: StudioOptions) {
		const { tenantId, userId, writable = false, health = true } = options;
		refuseUndefined(options, "tenantId", {
			call: "studio",
			hint: "pass the tenant, or leave tenantId out: requests then name one",
		});
		refuseUndefined(options, "userId", {
			call: "studio",
			hint: "pass the user's id, null for shared rows only, or leave userId out for all users of the tenant",
		});
		this.token =
			options.authorize === undefined
				? (options.token ?? randomBytes(24).toString("base64url"))
				: undefined;
		if (this.token !== undefined && this.token.length < 16)
			throw new RemError("CONFIG_INVALID", "the studio's token is too short", {
				hint: "16 characters or more, or leave it out for a random one",
			});
		this.#service = service;
		this.#settings = {
			tenantId,
			userId,
			isWritable: writable,
			version: packageVersion(),
		};
		this.#path = mountedAt(options.basePath ?? "/");
		this.#access = new Access({
			token: this.token,
			authorize: options.authorize,
			hosts: (options.hosts ?? localHosts).map((name) => name.toLowerCase()),
			origins: options.origins ?? [],
			path: this.#path,
		});
		this.#health = health ? new HealthWatch(service) : undefined;
		this.#page.load().catch(() => {
			// The first request reports what is missing.
		});
	}

	close(): void {
		this.#health?.close();
	}

	async answer(request: Request): Promise<Response> {
		const { pathname } = new URL(request.url);
		const isPage = !pathname.startsWith(`${this.#path}api/`);
		const response = await this.#respond(request, pathname).catch(
			(error: unknown) => this.#refuse(error, isPage),
		);
		for (const [name, value] of Object.entries(securityHeaders))
			if (!response.headers.has(name)) response.headers.set(name, value);
		return response;
	}

	#refuse(error: unknown, isPage: boolean): Response {
		const problem = problemOf(error);
		if (problem.error.code === "INTERNAL")
			this.#log(
				`studio: a request failed: ${error instanceof Error ? error.message : String(error)}`,
			);
		const { status, error: shown } = problem;
		if (!isPage) return Response.json({ error: shown }, { status });
		const { message, hint } = shown;
		return new Response(`${message}\n${hint ?? ""}\n`, {
			status,
			headers: { "content-type": "text/plain; charset=utf-8" },
		});
	}

	#log(message: string): void {
		const { logger = silentLogger } = this.#service.core.settings;
		logger.warn({}, message);
	}

	async #respond(request: Request, pathname: string): Promise<Response> {
		if (`${pathname}/` === this.#path) return this.#withSlash(request);
		if (!pathname.startsWith(this.#path))
			throw notFound("there is no such page");
		const name = pathname.slice(this.#path.length);
		const isApi = name.startsWith("api/");
		this.#access.checkOrigin(request, isApi);
		if (!isApi) return this.#showPage(request, name);
		await this.#access.checkCaller(request);
		return this.#call(request, name.slice("api/".length));
	}

	#withSlash(request: Request): Response {
		const { search } = new URL(request.url);
		return new Response(null, {
			status: 308,
			headers: { location: `${this.#path}${search}` },
		});
	}

	async #showPage(request: Request, name: string): Promise<Response> {
		if (request.method !== "GET" && request.method !== "HEAD")
			throw wrongMethod("GET");
		const opened = name === "" ? this.#access.exchange(request) : undefined;
		if (opened !== undefined) return opened;
		await this.#access.checkCaller(request);
		const file = await this.#page.answer(name);
		if (file === undefined) throw notFound("there is no such page");
		return file;
	}

	async #call(request: Request, path: string): Promise<Response> {
		if (path === "health" || path === "events")
			return this.#showHealth(request, path);
		const route = routes.find((known) => known.path === path);
		if (route === undefined) throw notFound("there is no such path");
		if (request.method !== route.method) throw wrongMethod(route.method);
		if (route.method === "POST") this.#access.checkPost(request);
		if (route.isWrite === true && !this.#settings.isWritable) throw readOnly();
		const { searchParams } = new URL(request.url);
		const given =
			route.method === "POST"
				? await readJson(request)
				: Object.fromEntries(searchParams);
		const call = routeCall(this.#service, this.#settings, request.signal);
		return Response.json(await route.answer(call, given));
	}

	async #showHealth(request: Request, path: string): Promise<Response> {
		if (request.method !== "GET") throw wrongMethod("GET");
		if (this.#health === undefined)
			throw new HttpProblem(403, {
				code: "FORBIDDEN",
				message: "this studio does not show the health",
			});
		if (path === "health") return Response.json(await this.#health.snapshot());
		return new Response(this.#health.open(request.signal), {
			headers: { "content-type": "text/event-stream; charset=utf-8" },
		});
	}
}

function wrongMethod(method: string): HttpProblem {
	return new HttpProblem(405, {
		code: "VALIDATION",
		message: `this path takes ${method} only`,
	});
}

function readOnly(): HttpProblem {
	return new HttpProblem(403, {
		code: "READ_ONLY",
		message: "the studio is read-only",
		hint: writeHint,
	});
}

/** `/studio` as `/studio/`. */
function mountedAt(path: string): string {
	const inner = path.replace(/^\/+|\/+$/g, "");
	return inner === "" ? "/" : `/${inner}/`;
}
