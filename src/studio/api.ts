/**
 * The JSON of the studio's HTTP API: what the page asks, and what it gets. This
 * file has types only and imports nothing, so that the page's bundle can
 * `import type` it without the service.
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
 * text that says to open the printed address. A fetch of the page needs nothing
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
export const routes = {
	/** GET → {@link Bootstrap} */
	bootstrap: "api/bootstrap",
	/** POST {@link SearchRequest} → {@link SearchResponse} */
	search: "api/search",
	/** POST {@link WhyRequest} → {@link WhyResponse} */
	why: "api/why",
	/** GET → {@link CountsResponse}: entities by table; slower than the rest where tables are large */
	counts: "api/counts",
	/** POST {@link ListRequest} → {@link ListResponse} */
	list: "api/list",
	/** POST {@link EntityRequest} → {@link EntityDetail} */
	entity: "api/entity",
	/** POST {@link EditRequest} → {@link EntityDetail} (write) */
	edit: "api/edit",
	/** POST {@link EntityRequest} → {@link EntityDetail} (write): soft delete */
	delete: "api/delete",
	/** POST {@link EntityRequest} → {@link EntityDetail} (write) */
	restore: "api/restore",
	/** POST {@link LinkRequest} → {@link EntityDetail} (write) */
	link: "api/link",
	/** POST {@link UnlinkRequest} → {@link EntityDetail} (write) */
	unlink: "api/unlink",
	/** POST {@link EntityRequest} → {@link EntityDetail} (write): embeds the entity's texts that have no present vector */
	embed: "api/embed",
	/** POST {@link GraphRequest} → {@link GraphResponse} */
	graph: "api/graph",
	/** GET → {@link HealthSnapshot} */
	health: "api/health",
	/** GET → server-sent events, each a {@link HealthEvent}: `event:` is its `part`, `data:` the event as JSON. */
	events: "api/events",
	/** POST {@link ConsoleRequest} → {@link ConsoleResponse} */
	console: "api/console",
	/** POST {@link CompleteRequest} → {@link CompleteResponse} */
	complete: "api/complete",
} as const;

/** What JSON may be. */
export type Json =
	| null
	| boolean
	| number
	| string
	| readonly Json[]
	| { readonly [name: string]: Json };

export type JsonObject = { readonly [name: string]: Json };

export interface ErrorResponse {
	readonly error: {
		/** A code of remdb's errors, or `UNAUTHORIZED`, `FORBIDDEN`, `READ_ONLY`, `NOT_FOUND`, `TOO_LARGE`, `INTERNAL`. */
		readonly code: string;
		readonly message: string;
		/** The remedy. */
		readonly hint?: string;
		/** Of a text that cannot be read (filter, query): the character where, from 1, as JavaScript counts. */
		readonly position?: number;
		/** Every problem, where there are several: of an edit, by field. */
		readonly issues?: readonly {
			readonly field?: string;
			readonly message: string;
		}[];
	};
}

/** Whose rows a request is about. */
export interface Scope {
	/** @default the studio's. Of a studio whose tenant is fixed, any other is 403. */
	readonly tenantId?: string;
	/** That user's and shared rows; `null`: shared only; omitted: the whole tenant. */
	readonly userId?: string | null;
}

export interface EntityRef {
	/** The table. */
	readonly entityType: string;
	readonly entityId: string;
}

// ---- bootstrap --------------------------------------------------------------

export interface Bootstrap {
	/** Of remdb. */
	readonly version: string;
	/** PostgreSQL's, such as `18.1`, or `unknown` while the database is away. */
	readonly database: { readonly kind: "embedded" | "server" };
	readonly writable: boolean;
	/** How to make it writable, where it is not. */
	readonly writeHint?: string;
	readonly tenant: {
		/** `null`: there is no default tenant; each request names one. */
		readonly id: string | null;
		/** Whether requests may name another one. */
		readonly isFixed: boolean;
	};
	/** A user that every request is fixed to; otherwise requests may name one. */
	readonly userId?: string | null;
	/** What new vectors are made with; `null` where no provider is configured. */
	readonly embedding: {
		readonly provider: string;
		readonly model: string;
	} | null;
	readonly tables: readonly TableModel[];
	readonly limits: {
		readonly searchLimit: number;
		readonly listLimit: number;
		readonly graphNodes: number;
		readonly queryTextLength: number;
	};
	readonly modes: readonly SearchMode[];
}

export interface TableModel {
	readonly name: string;
	/** The natural key's fields; none: rows have no key. */
	readonly keyFields: readonly string[];
	readonly fields: readonly FieldModel[];
	/** Names of the fields whose texts have vectors: may be searched by meaning. */
	readonly embedFields: readonly string[];
	/** Whether rows belong to tenants. */
	readonly isTenantScoped: boolean;
}

export interface FieldModel {
	/** As in JSON: `sizeBytes`. */
	readonly name: string;
	/** As in SQL and in filters: `size_bytes`. */
	readonly column: string;
	/** `text`, `bigint`, `double precision`, `boolean`, `timestamptz`, `uuid`, `jsonb`, and arrays: `text[]`. */
	readonly type: string;
	readonly isNullable: boolean;
	readonly hasVector: boolean;
	/** Of every table: `id`, `tenantId`, `createdAt`, … */
	readonly isSystem: boolean;
	readonly isKey: boolean;
	/** May be changed by `api/edit`. */
	readonly isEditable: boolean;
	/** May be sorted by. */
	readonly isSortable: boolean;
}

export interface CountsResponse {
	/** Live entities of the scope, by table. */
	readonly counts: Readonly<Record<string, number>>;
}

// ---- search -----------------------------------------------------------------

export type SearchMode =
	| "recall"
	| "hybrid"
	| "vector"
	| "text"
	| "fuzzy"
	| "lookup";

export type ListName = "vector" | "text" | "name" | "lookup" | "fuzzy" | "edge";

interface Weights {
	readonly vector?: number;
	readonly text?: number;
	readonly name?: number;
}

/** What is compared, and with which settings. */
export interface SearchSettings extends Scope {
	readonly query: string;
	/** @default "recall" */
	readonly mode?: SearchMode;
	/** @default all that the mode can search */
	readonly tables?: readonly string[];
	/** Of `hybrid`, each from 0. `text` is hybrid with the weight of the text alone. */
	readonly weights?: Weights;
	/** A condition of the query language, such as `year > 1990 AND genre = 'drama'`. Not for `recall`, `fuzzy` and `lookup`. */
	readonly filter?: string;
	/** 1 to 200. @default 20 */
	readonly limit?: number;
	/** Of `fuzzy`: least similarity, 0 to 1. */
	readonly threshold?: number;
	/** Of `recall`: @default 4000 */
	readonly maxTokens?: number;
	/** Of `vector` and `hybrid`: how vectors are compared. @default "auto" */
	readonly vectorMode?: "auto" | "exact" | "approximate";
}

export interface SearchRequest extends SearchSettings {
	/** Also each list as it ranked its candidates, and SQL, plan and timings of each table: the statements are run again. @default false */
	readonly explain?: boolean;
}

export interface SearchResponse {
	readonly mode: SearchMode;
	/** In the fused order, best first. */
	readonly items: readonly FoundItem[];
	/** The lists that were fused, side by side: of what was found; with `explain`, as they ranked their candidates. */
	readonly lists: readonly RankedList[];
	/** Of `recall`: items for which there was no room in `maxTokens`. */
	readonly omitted?: number;
	readonly timing: {
		/** Of the service's own call. */
		readonly serviceMs: number;
		/** Steps, where they are known: `embed`, `plan`, `search`, `names`, `edges`. */
		readonly steps: readonly { readonly step: string; readonly ms: number }[];
	};
	/** How each table was searched; with `explain`, where the mode has it. */
	readonly tables: readonly TablePlan[];
	/** Texts to copy: they find the same. Calls for several tables have a list for each. */
	readonly code: { readonly typescript: string; readonly shell: string };
	/** What to know about the answer, such as names that could not all be compared. */
	readonly notes: readonly string[];
}

export interface FoundItem extends EntityRef {
	/** From 1. */
	readonly place: number;
	/** `null`: its model has no key. */
	readonly entityKey: string | null;
	/** What to call it: its key, its name, or its id. */
	readonly title: string;
	/** The beginning of its text: the best passage where there is one. */
	readonly text: string;
	/** The field that `text` is of. */
	readonly field?: string;
	/** Comparable within one answer. */
	readonly score: number;
	/** Of its vector, -1 to 1. */
	readonly similarity?: number;
	readonly userId: string | null;
	readonly lists: readonly ListPlace[];
}

/** An entity's place on a list. */
export interface ListPlace {
	readonly list: ListName;
	/** From 1, in its table. */
	readonly rank: number;
	/** What the list counts. */
	readonly weight?: number;
	/** Its part of the entity's score, 0 to 1. */
	readonly share?: number;
	/** What the list is ordered by, where it is known: {@link RankedEntry}. */
	readonly value?: number;
	/** The part of the query, or the key of the entity whose edge leads here. */
	readonly via?: string;
	/** Of an edge. */
	readonly relType?: string;
}

export interface RankedList {
	readonly list: ListName;
	readonly weight?: number;
	/** By rank. */
	readonly entries: readonly RankedEntry[];
	/** Candidates behind these, which did not reach the answer. */
	readonly omitted: number;
}

export interface RankedEntry extends EntityRef {
	readonly rank: number;
	readonly title: string;
	readonly share?: number;
	/**
	 * What the list is ordered by. `vector`: cosine similarity. `text`: BM25 score.
	 * `name` and `fuzzy`: trigram similarity of the key. `edge`: what the edge passes
	 * on of its hit's score. `null`: not known, or a list without scores.
	 */
	readonly value: number | null;
	readonly via?: string;
	/** In the fused order, from 1; `null`: it did not reach the answer. */
	readonly place: number | null;
}

export interface TablePlan {
	readonly table: string;
	/** Whether every vector of the scope was compared. */
	readonly isExact: boolean;
	readonly fields: readonly {
		readonly field: string;
		readonly plan: string;
		readonly vectors: number;
		readonly efSearch?: number;
	}[];
	/** Statements that were run. */
	readonly statements: number;
	readonly sql: string;
	/** PostgreSQL's plan, as text. */
	readonly databasePlan: string;
	readonly timing: {
		readonly embedMs: number;
		readonly planMs: number;
		readonly searchMs: number;
	};
}

// ---- why --------------------------------------------------------------------

/** Why one entity is, or is not, among the results of a search. */
export interface WhyRequest extends SearchSettings {
	/** The table; needed where `entity` is an id. */
	readonly entityType?: string;
	/** Its key in any case, `table/key`, or its id. */
	readonly entity: string;
}

export interface WhyResponse {
	/** `null`: nothing in the tenant has that key or id. */
	readonly entity:
		| (EntityRef & {
				readonly entityKey: string | null;
				readonly title: string;
				readonly userId: string | null;
				readonly deletedAt: string | null;
		  })
		| null;
	/** In the fused order of this search; `null`: not among its `limit`. */
	readonly place: number | null;
	/** In words, the most important first. */
	readonly verdict: string;
	readonly reasons: readonly WhyReason[];
	/** Its rank in every list, whatever the limit. */
	readonly lists: readonly WhyList[];
	/** The state of its texts' vectors. */
	readonly vectors: readonly VectorState[];
	/** Words of the query, as PostgreSQL reads them, and whether the entity has them. */
	readonly words: readonly {
		/** As the text search reduces it: `deploy`. */
		readonly word: string;
		readonly isFound: boolean;
	}[];
	/** Each part of the filter, and whether the entity fulfils it. */
	readonly filters: readonly {
		readonly text: string;
		readonly isFulfilled: boolean;
	}[];
}

/** One reason, to be shown with its remedy. */
export interface WhyReason {
	readonly kind:
		| "found"
		| "unknown"
		| "deleted"
		| "other-user"
		| "other-table"
		| "filter"
		| "no-vector"
		| "dead-letter"
		| "queued"
		| "no-words"
		| "below-limit"
		| "below-threshold"
		| "not-named"
		| "no-room";
	readonly text: string;
	/** What to do about it. */
	readonly remedy?: string;
	/** A write of this API that does it, for a button: `restore` or `embed`. */
	readonly action?: "restore" | "embed";
}

export interface WhyList {
	readonly list: ListName;
	/** From 1, among all rows of the scope in its table; `null`: it is not on the list, or `beyond`. */
	readonly rank: number | null;
	/** Its rank is greater, and was not counted further. */
	readonly beyond?: number;
	/** How long the list is that is fused: a greater rank does not count. */
	readonly depth?: number;
	readonly weight?: number;
	/** Similarity, BM25 score, or trigram similarity: what the list is ordered by. */
	readonly value: number | null;
	/** Why it is not on the list. */
	readonly reason?: string;
}

// ---- entities ---------------------------------------------------------------

export interface ListRequest extends Scope {
	readonly table: string;
	/** A condition of the query language. */
	readonly filter?: string;
	/** `field`, or `field desc`. @default "id": the order of creation */
	readonly orderBy?: string;
	/** 1 to 200. @default 50 */
	readonly limit?: number;
	/** `next` of the page before; only with the same table, filter and order. */
	readonly cursor?: string;
	/** `deleted`: soft-deleted rows only. @default "live" */
	readonly rows?: "live" | "deleted";
}

export interface ListResponse {
	readonly rows: readonly ListedRow[];
	/** Of the next page; `null`: this is the last. */
	readonly next: string | null;
	readonly durationMs: number;
}

export interface ListedRow extends EntityRef {
	readonly entityKey: string | null;
	readonly title: string;
	/** By field name; long texts are cut, see `cut`. */
	readonly fields: JsonObject;
	/** Names of the fields that were cut. */
	readonly cut: readonly string[];
}

export interface EntityRequest extends Scope, EntityRef {}

export interface EntityDetail extends EntityRef {
	readonly entityKey: string | null;
	readonly title: string;
	readonly tenantId: string | null;
	readonly userId: string | null;
	readonly createdAt: string;
	readonly updatedAt: string;
	readonly deletedAt: string | null;
	/** Every field by name, whole. */
	readonly fields: JsonObject;
	/** The row as exact JSON text, to show and copy. */
	readonly json: string;
	/** By field and model. */
	readonly vectors: readonly VectorState[];
	/** Edges that it has, in their order. */
	readonly edgesOut: readonly OutEdge[];
	/** Edges of others that lead to it, at most 200. */
	readonly edgesIn: readonly InEdge[];
	/** Edges that lead to it by type, all of them. */
	readonly edgeCounts: readonly {
		readonly relType: string;
		readonly direction: "in" | "out";
		readonly count: number;
	}[];
}

/** The vectors of one field's text, under one model. */
export interface VectorState {
	readonly field: string;
	readonly provider: string;
	readonly model: string;
	readonly dimensions: number;
	/**
	 * `present`: of the text as it is now. `queued`: waits for the worker. `dead`:
	 * dead-lettered, see `reason`. `stale`: of an older text, and not queued.
	 * `missing`: none, and not queued. `empty`: the field has no text.
	 */
	readonly state: "present" | "queued" | "dead" | "stale" | "missing" | "empty";
	/** Whether a search can find the entity by this field now. */
	readonly isSearchable: boolean;
	/** Why it was dead-lettered, or waits after a failure. */
	readonly reason: string | null;
	readonly attempts: number;
	readonly queuedAt: string | null;
	/** When its next attempt is due. */
	readonly nextAttemptAt: string | null;
	/** Passages that have a vector; a short text is one. */
	readonly passages: readonly {
		readonly index: number;
		readonly text: string;
	}[];
}

export interface OutEdge {
	readonly dst: string;
	readonly relType: string;
	readonly weight: number | null;
	readonly createdAt: string | null;
	readonly properties: JsonObject;
	/** The entity that has the name; `null`: none has. */
	readonly target: (EntityRef & { readonly entityKey: string | null }) | null;
}

export interface InEdge {
	readonly from: EntityRef & { readonly entityKey: string | null };
	readonly relType: string;
	readonly weight: number | null;
	readonly createdAt: string | null;
	readonly properties: JsonObject;
}

/** Only the fields that change; `null` clears. Validated by the model: 400 with `issues`. */
export interface EditRequest extends EntityRequest {
	readonly fields: JsonObject;
	/** `updatedAt` of the row that was edited: where it has changed since, 409 `CONFLICT`. */
	readonly updatedAt?: string;
}

export interface LinkRequest extends EntityRequest {
	readonly dst: string;
	readonly relType: string;
	/** 0 to 1. */
	readonly weight?: number;
	readonly properties?: JsonObject;
}

export interface UnlinkRequest extends EntityRequest {
	readonly dst: string;
	/** @default every type */
	readonly relType?: string;
}

// ---- graph ------------------------------------------------------------------

export interface GraphRequest extends Scope {
	/** Its key in any case, `table/key`, or its id. */
	readonly from: string;
	/** 1 to 3. @default 1 */
	readonly depth?: number;
	/** @default "both" */
	readonly direction?: "out" | "in" | "both";
	/** @default all */
	readonly edgeTypes?: readonly string[];
	/** 1 to 300. @default 300 */
	readonly limit?: number;
}

export interface GraphResponse {
	/** `null`: no entity has the name. */
	readonly from: GraphNode | null;
	/** The beginning first. */
	readonly nodes: readonly GraphNode[];
	/** Between nodes that are drawn. */
	readonly edges: readonly GraphEdge[];
	/** Edges of the beginning by type, all of them. */
	readonly edgeCounts: EntityDetail["edgeCounts"];
	/** Nodes that were reached and not drawn, as far as they were counted. */
	readonly more: number;
	/** Whether everything within the depth was counted: otherwise there are more than `more`. */
	readonly isComplete: boolean;
	/** Edges whose target no entity is called by. */
	readonly dangling: readonly {
		readonly from: string;
		readonly dst: string;
		readonly relType: string;
	}[];
}

export interface GraphNode extends EntityRef {
	readonly entityKey: string;
	readonly title: string;
	readonly summary: string | null;
	/** Steps from the beginning. */
	readonly depth: number;
}

export interface GraphEdge {
	/** `entityId` of its ends: the edge is stored at `source`. */
	readonly source: string;
	readonly target: string;
	readonly relType: string;
	readonly weight: number | null;
}

// ---- health -----------------------------------------------------------------

/** What is known of each part; `null`: not read yet. */
export interface HealthSnapshot {
	readonly checks: HealthPart<HealthChecks> | null;
	readonly cache: HealthPart<CacheHealth> | null;
	readonly embeddings: HealthPart<EmbeddingHealth> | null;
	readonly indexes: HealthPart<IndexHealth> | null;
	readonly pool: HealthPart<PoolHealth> | null;
	readonly statements: HealthPart<StatementHealth> | null;
}

export type HealthPartName = keyof HealthSnapshot;

/** When it was read, and what was found, or why it could not be read. */
export type HealthPart<Data> =
	| { readonly at: string; readonly ok: true; readonly data: Data }
	| {
			readonly at: string;
			readonly ok: false;
			readonly error: ErrorResponse["error"];
	  };

/** Sent at once for every part, and again whenever it was read again (every 2 s; checks every 30 s). */
export type HealthEvent = {
	[Name in HealthPartName]: {
		readonly part: Name;
		readonly value: NonNullable<HealthSnapshot[Name]>;
	};
}[HealthPartName];

/** As `rem doctor`. */
export interface HealthChecks {
	readonly checks: readonly {
		readonly name: string;
		readonly state: "ok" | "warning" | "failed";
		readonly found: string;
		readonly remedy?: string;
	}[];
}

export interface CacheHealth {
	readonly isReady: boolean;
	readonly isRebuilding: boolean;
	readonly persistence: "unlogged" | "logged";
	/** By entity type; `null` where it cannot be read. */
	readonly entries: Readonly<Record<string, number>> | null;
	readonly problems: readonly string[];
}

export interface EmbeddingHealth {
	readonly configured: {
		readonly provider: string;
		readonly model: string;
	} | null;
	/** Whether this process works on the queue. */
	readonly isRunning: boolean;
	/** Tables whose active model differs from the configured one. */
	readonly mismatched: readonly string[];
	readonly fields: readonly {
		readonly table: string;
		readonly field: string;
		readonly provider: string;
		readonly model: string;
		readonly dimensions: number;
		/** `active`, `building`, … or `null`. */
		readonly state: string | null;
		readonly texts: number;
		readonly embedded: number;
		readonly queued: number;
		readonly dead: number;
		readonly oldestMs: number | null;
		readonly reasons: readonly {
			readonly reason: string;
			readonly count: number;
		}[];
	}[];
	/** All fields together over time, oldest first, as long as the studio runs (at most 300). */
	readonly history: readonly {
		readonly at: string;
		readonly embedded: number;
		readonly queued: number;
		readonly dead: number;
	}[];
	/** Vectors a second over the last minute; `null`: not known yet. */
	readonly perSecond: number | null;
	/** Until the queue is empty at that rate. */
	readonly etaMs: number | null;
}

export interface IndexHealth {
	/** Whether this process builds, or waits to. */
	readonly isRunning: boolean;
	readonly indexes: readonly {
		readonly name: string;
		readonly table: string;
		readonly type: string | null;
		/** `valid`, `building`, `queued`, `failed`, `missing`, `invalid`, `changed`, `deferred`, `impossible` */
		readonly state: string;
		readonly isUsable: boolean;
		readonly sizeBytes: number;
		readonly attempts: number;
		readonly nextAttemptAt: string | null;
		readonly error: string | null;
		/** 0 to 100 while it is built. */
		readonly percent: number | null;
		readonly phase: string | null;
		readonly etaMs: number | null;
	}[];
}

export interface PoolHealth {
	/** `null`: the embedded database has no pool. */
	readonly connections: {
		readonly max: number;
		readonly total: number;
		readonly idle: number;
		readonly waiting: number;
	} | null;
}

/** The slowest calls of the studio's own process, slowest first, at most 50. */
export interface StatementHealth {
	readonly statements: readonly {
		readonly at: string;
		/** The verb, or the SQL's beginning. */
		readonly text: string;
		readonly durationMs: number;
		readonly rows: number | null;
		readonly error: string | null;
	}[];
}

// ---- console ----------------------------------------------------------------

export interface ConsoleRequest extends Scope {
	/** A query of the query language; `EXPLAIN` before it explains it. */
	readonly query: string;
}

export interface ConsoleResponse {
	readonly kind:
		| "lookup"
		| "fuzzy"
		| "search"
		| "recall"
		| "traverse"
		| "sql"
		| "explain";
	/** Columns to show, in their order. */
	readonly columns: readonly {
		readonly name: string;
		/** A column type, as of {@link FieldModel}; `null`: not a field of a model. */
		readonly type: string | null;
	}[];
	/** Of every kind but `explain`. */
	readonly rows: readonly JsonObject[];
	/** Of each row, where it is an entity: a link to it. */
	readonly entities: readonly (EntityRef | null)[];
	/** The answer as exact JSON text, to show and copy. */
	readonly json: string;
	/** Of `explain`. */
	readonly explanation?: {
		readonly query: JsonObject;
		readonly statements: readonly {
			readonly text: string;
			readonly plan: readonly string[];
			readonly rowCount: number;
			readonly durationMs: number;
		}[];
		readonly rowCount: number;
		readonly durationMs: number;
	};
	readonly notes: readonly string[];
	readonly durationMs: number;
	readonly code: { readonly typescript: string; readonly shell: string };
}

export interface CompleteRequest extends Scope {
	readonly query: string;
	/** Where the cursor is: characters before it. */
	readonly cursor: number;
}

export interface CompleteResponse {
	/** The characters that a suggestion replaces. */
	readonly from: number;
	readonly to: number;
	readonly suggestions: readonly {
		readonly text: string;
		readonly kind: "keyword" | "table" | "field" | "key";
		/** A column type, or a key's table. */
		readonly detail?: string;
	}[];
}
