import type { Bootstrap, CountsResponse } from "./bootstrap.ts";
import type { ErrorResponse } from "./common.ts";
import type {
	CompleteRequest,
	CompleteResponse,
	ConsoleRequest,
	ConsoleResponse,
} from "./console.ts";
import type {
	EditRequest,
	EntityDetail,
	EntityRequest,
	GraphRequest,
	GraphResponse,
	LinkRequest,
	ListRequest,
	ListResponse,
	UnlinkRequest,
} from "./entities.ts";
import type { HealthEvent, HealthSnapshot } from "./health.ts";
import type {
	SearchRequest,
	SearchResponse,
	WhyRequest,
	WhyResponse,
} from "./search.ts";

/**
 * The studio's HTTP API: its paths, and in the other files of this folder the
 * JSON of requests and responses. They are types, and import nothing from
 * outside of the folder: the page's bundle has them without the service.
 *
 * Paths. Every path below is relative to the page, so the studio works at `/` as
 * well as at `/admin/studio/`: the page calls `fetch("api/search")`, never
 * `/api/search`. The page is one document (`index.html`) with its assets at
 * `assets/…`; its own states are in the URL's fragment (`#/search?q=…`), which
 * the server never sees. {@link routes} lists the paths. Reads of many options
 * are POST with a JSON body, the others GET with the same fields as a query
 * string; every response is JSON, but `GET api/events`, which is a stream of
 * server-sent events.
 *
 * Authentication. `rem studio` opens `/?token=T`; the server answers 303 to `./`
 * with an HttpOnly, SameSite=Strict cookie, and from then on the cookie is
 * enough. Without either, `api/…` answers 401 `UNAUTHORIZED` and the page a short
 * text that asks to open the printed address. A fetch of the page needs nothing
 * special: same-origin requests carry the cookie. In an application that mounts
 * the studio, `authorize` takes the cookie's place.
 *
 * Headers. Every POST sends `content-type: application/json` and
 * `x-rem-studio: 1` (a page of another origin cannot without a preflight, which
 * is never answered). The browser sends Host and Origin, which are checked.
 *
 * Errors. Every status from 400 on has an {@link ErrorResponse}. 401: no valid
 * cookie. 403 `READ_ONLY`: writes need `rem studio --write`. 403
 * `TENANT_MISMATCH`: another tenant than the studio's. 404 `NOT_FOUND`: no such
 * entity in the scope. 400: the request, with `issues` by field or the
 * `position` in a text. 503: the database is away (`CONNECTION_FAILED`,
 * `POOL_TIMEOUT`): ask again, it recovers by itself. 502: the embedding
 * provider. 504: `QUERY_TIMEOUT`.
 *
 * Values. A row's fields are JSON: times are ISO 8601 in UTC, integers beyond
 * 2^53 are texts of digits, bytes and vectors do not occur. Nothing is HTML:
 * insert every text as text.
 */

/** What each path takes, and what it answers. */
export interface Calls {
	/** GET. */
	readonly bootstrap: { readonly response: Bootstrap };
	/** POST. */
	readonly search: {
		readonly request: SearchRequest;
		readonly response: SearchResponse;
	};
	/** POST. */
	readonly why: {
		readonly request: WhyRequest;
		readonly response: WhyResponse;
	};
	/** GET: entities by table; slower than the rest where tables are large. */
	readonly counts: { readonly response: CountsResponse };
	/** POST. */
	readonly list: {
		readonly request: ListRequest;
		readonly response: ListResponse;
	};
	/** POST. */
	readonly entity: {
		readonly request: EntityRequest;
		readonly response: EntityDetail;
	};
	/** POST, a write. */
	readonly edit: {
		readonly request: EditRequest;
		readonly response: EntityDetail;
	};
	/** POST, a write: soft delete. */
	readonly delete: {
		readonly request: EntityRequest;
		readonly response: EntityDetail;
	};
	/** POST, a write. */
	readonly restore: {
		readonly request: EntityRequest;
		readonly response: EntityDetail;
	};
	/** POST, a write. */
	readonly link: {
		readonly request: LinkRequest;
		readonly response: EntityDetail;
	};
	/** POST, a write. */
	readonly unlink: {
		readonly request: UnlinkRequest;
		readonly response: EntityDetail;
	};
	/** POST, a write: embeds the entity's texts that have no present vector. */
	readonly embed: {
		readonly request: EntityRequest;
		readonly response: EntityDetail;
	};
	/** POST. */
	readonly graph: {
		readonly request: GraphRequest;
		readonly response: GraphResponse;
	};
	/** GET. */
	readonly health: { readonly response: HealthSnapshot };
	/** GET: server-sent events; `event:` is their `part`, `data:` the event as JSON. */
	readonly events: { readonly response: HealthEvent };
	/** POST. */
	readonly console: {
		readonly request: ConsoleRequest;
		readonly response: ConsoleResponse;
	};
	/** POST. */
	readonly complete: {
		readonly request: CompleteRequest;
		readonly response: CompleteResponse;
	};
}

/** The paths, relative to the page. */
export const routes = {
	bootstrap: "api/bootstrap",
	search: "api/search",
	why: "api/why",
	counts: "api/counts",
	list: "api/list",
	entity: "api/entity",
	edit: "api/edit",
	delete: "api/delete",
	restore: "api/restore",
	link: "api/link",
	unlink: "api/unlink",
	embed: "api/embed",
	graph: "api/graph",
	health: "api/health",
	events: "api/events",
	console: "api/console",
	complete: "api/complete",
} as const satisfies Readonly<Record<keyof Calls, string>>;
