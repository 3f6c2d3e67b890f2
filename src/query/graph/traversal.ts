import type { Edge } from "../../models/types.ts";
import type { ReadScope } from "../scope.ts";

/** Along an edge, against it, or either way. */
export type Direction = "out" | "in" | "both";

export type TraverseOrderField =
	| "depth"
	| "weight"
	| "relType"
	| "createdAt"
	| "entityKey"
	| "entityType";

type TraverseOrderTerm =
	| TraverseOrderField
	| `${TraverseOrderField} ${"asc" | "desc" | "ASC" | "DESC"}`;

/** A field, and a direction where it is not ascending; several as a list. */
export type TraverseOrder = TraverseOrderTerm | readonly TraverseOrderTerm[];

export interface TraverseRequest extends ReadScope {
	/** Where to begin: a key in any spelling, `table/key`, or an id. */
	readonly from: string;
	/** Only edges of these types. @default all */
	readonly edgeTypes?: readonly string[] | undefined;
	/** Steps from the beginning, 0 to 10; 0 counts the edges there are. @default 1 */
	readonly depth?: number | undefined;
	/** @default "out" */
	readonly direction?: Direction | undefined;
	/** Most nodes returned, at most 10,000. @default 50 */
	readonly limit?: number | undefined;
	/** Most targets of edges looked at, all steps together, at most 100,000. @default 10000 */
	readonly nodeBudget?: number | undefined;
	/** @default "depth": as they are met */
	readonly orderBy?: TraverseOrder | undefined;
}

/** An entity of the graph. */
export interface GraphNode {
	readonly entityKey: string;
	readonly entityType: string;
	readonly entityId: string;
	readonly userId: string | null;
	readonly metadata: Record<string, unknown>;
	readonly contentSummary: string | null;
}

/** An entity that was reached, by the shortest way there is. */
export interface TraverseNode extends GraphNode {
	/** Steps from the beginning. */
	readonly depth: number;
	/** Keys from the beginning to here. */
	readonly path: readonly string[];
	/** The edge of the last step, as it is stored. */
	readonly edge: Edge;
	/** Whether that edge leads here, or away from here. */
	readonly direction: "out" | "in";
}

/** An edge whose target names no entity, as far as tenant and user see. */
export interface DanglingEdge {
	/** Key of the entity that has the edge. */
	readonly from: string;
	readonly edge: Edge;
}

/** A name that several entities have: the first was taken, as LOOKUP would. */
export interface AmbiguousTarget {
	readonly dst: string;
	/** How many entities have the name. */
	readonly matches: number;
	/** The one that was taken, as `table/key`. */
	readonly taken: string;
}

/** How many edges of a type there are at the beginning. */
export interface EdgeCount {
	readonly relType: string;
	readonly direction: "out" | "in";
	readonly count: number;
}

export interface Traversal {
	/** Where it began; `undefined`: no entity has that name. */
	readonly from: GraphNode | undefined;
	/** Everything reached but the beginning, each entity once. */
	readonly nodes: readonly TraverseNode[];
	/** Of depth 0: the edges of the beginning, by type, the most first. */
	readonly edges: readonly EdgeCount[];
	readonly dangling: readonly DanglingEdge[];
	readonly ambiguous: readonly AmbiguousTarget[];
	/** Whether `nodeBudget` was enough, for `limit` nodes or for all that is within the depth. */
	readonly isComplete: boolean;
}
