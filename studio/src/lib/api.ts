import type {
	Bootstrap,
	CompleteRequest,
	CompleteResponse,
	ConsoleRequest,
	ConsoleResponse,
	CountsResponse,
	EditRequest,
	EntityDetail,
	EntityRequest,
	ErrorResponse,
	GraphRequest,
	GraphResponse,
	LinkRequest,
	ListRequest,
	ListResponse,
	Scope,
	SearchRequest,
	SearchResponse,
	UnlinkRequest,
	WhyRequest,
	WhyResponse,
} from "../../../src/studio/api.ts";
import { Failure } from "./failure.ts";

type Signal = AbortSignal | undefined;

/** One method for each path of the studio's API. */
export const api = {
	bootstrap: (signal?: Signal) => get<Bootstrap>("bootstrap", {}, signal),
	counts: (scope: Scope, signal?: Signal) =>
		get<CountsResponse>("counts", queryOf(scope), signal),
	search: poster<SearchRequest, SearchResponse>("search"),
	why: poster<WhyRequest, WhyResponse>("why"),
	list: poster<ListRequest, ListResponse>("list"),
	entity: poster<EntityRequest, EntityDetail>("entity"),
	edit: poster<EditRequest, EntityDetail>("edit"),
	delete: poster<EntityRequest, EntityDetail>("delete"),
	restore: poster<EntityRequest, EntityDetail>("restore"),
	link: poster<LinkRequest, EntityDetail>("link"),
	unlink: poster<UnlinkRequest, EntityDetail>("unlink"),
	embed: poster<EntityRequest, EntityDetail>("embed"),
	graph: poster<GraphRequest, GraphResponse>("graph"),
	console: poster<ConsoleRequest, ConsoleResponse>("console"),
	complete: poster<CompleteRequest, CompleteResponse>("complete"),
} as const;

function queryOf({ tenantId, userId }: Scope): Record<string, string> {
	return {
		...(tenantId === undefined ? {} : { tenantId }),
		...(userId === undefined || userId === null ? {} : { userId }),
	};
}

function get<Response>(
	path: string,
	query: Readonly<Record<string, string>>,
	signal: Signal,
): Promise<Response> {
	const search = new URLSearchParams(query).toString();
	return call(`api/${path}${search === "" ? "" : `?${search}`}`, {
		...(signal === undefined ? {} : { signal }),
	});
}

function poster<Request, Response>(path: string) {
	return (request: Request, signal?: Signal): Promise<Response> =>
		call(`api/${path}`, {
			method: "POST",
			headers: { "content-type": "application/json", "x-rem-studio": "1" },
			body: JSON.stringify(request),
			...(signal === undefined ? {} : { signal }),
		});
}

async function call<Body>(path: string, init: RequestInit): Promise<Body> {
	let response: Response;
	try {
		response = await fetch(path, { credentials: "same-origin", ...init });
	} catch (cause) {
		if (init.signal?.aborted) throw cause;
		throw new Failure({
			status: 0,
			code: "STUDIO_UNREACHABLE",
			message: "the studio's process does not answer",
			hint: "check that `rem studio` still runs",
		});
	}
	const body: unknown = await response.json().catch(() => undefined);
	if (!response.ok) throw failureOf(response.status, body);
	return body as Body;
}

function failureOf(status: number, body: unknown): Failure {
	if (isErrorResponse(body)) return new Failure({ status, ...body.error });
	return new Failure({
		status,
		code: `HTTP ${status}`,
		message: "the studio answered without an explanation",
	});
}

function isErrorResponse(body: unknown): body is ErrorResponse {
	return (
		typeof body === "object" &&
		body !== null &&
		"error" in body &&
		typeof body.error === "object"
	);
}
