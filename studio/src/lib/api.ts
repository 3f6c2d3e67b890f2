import type { ErrorResponse, Scope } from "../../../src/studio/api/common.ts";
import type { Calls } from "../../../src/studio/api/routes.ts";
import { Failure } from "./failure.ts";

type Signal = AbortSignal | undefined;

/** One method for each path of the studio's API. */
export const api = {
	bootstrap: (signal?: Signal) => get("bootstrap", {}, signal),
	counts: (scope: Scope, signal?: Signal) =>
		get("counts", queryOf(scope), signal),
	search: poster("search"),
	why: poster("why"),
	list: poster("list"),
	entity: poster("entity"),
	edit: poster("edit"),
	delete: poster("delete"),
	restore: poster("restore"),
	link: poster("link"),
	unlink: poster("unlink"),
	embed: poster("embed"),
	graph: poster("graph"),
	console: poster("console"),
	complete: poster("complete"),
} as const;

function queryOf({ tenantId, userId }: Scope): Record<string, string> {
	return {
		...(tenantId === undefined ? {} : { tenantId }),
		...(userId === undefined || userId === null ? {} : { userId }),
	};
}

type Posted = {
	[Name in keyof Calls]: Calls[Name] extends { readonly request: unknown }
		? Name
		: never;
}[keyof Calls];

type Answer<Name extends keyof Calls> = Calls[Name]["response"];

function get<Name extends keyof Calls>(
	path: Name,
	query: Readonly<Record<string, string>>,
	signal: Signal,
): Promise<Answer<Name>> {
	const search = new URLSearchParams(query).toString();
	return call(`api/${path}${search === "" ? "" : `?${search}`}`, {
		...(signal === undefined ? {} : { signal }),
	});
}

function poster<Name extends Posted>(path: Name) {
	return (
		request: Calls[Name]["request"],
		signal?: Signal,
	): Promise<Answer<Name>> =>
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
