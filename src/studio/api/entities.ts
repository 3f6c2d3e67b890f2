import type { EntityRef, JsonObject, Scope } from "./common.ts";

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
