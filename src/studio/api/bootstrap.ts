import type { SearchMode } from "./search.ts";

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
