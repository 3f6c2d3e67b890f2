import type { Consistency, Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { edgeProblem } from "../models/edge.ts";
import type { Edge } from "../models/types.ts";
import type { CacheFallback } from "../query/cached-read.ts";
import type {
	GraphNode,
	Traversal,
	TraverseRequest,
} from "../query/graph/traversal.ts";
import {
	checkEntityName,
	checkReference,
	findNode,
	type GraphReader,
	traverse,
} from "../query/graph/traverse.ts";
import { checkScope } from "../query/scope.ts";
import {
	linkEdges,
	type RowOfTenant,
	unlinkEdges,
} from "../store/link-edges.ts";
import type { ServiceCore } from "./core.ts";

interface GraphCall {
	readonly tenantId?: string | undefined;
	readonly userId?: string | null | undefined;
	readonly transaction?: Handle | undefined;
}

export type TraverseCall = Omit<TraverseRequest, "tenantId"> &
	GraphCall & {
		/** As of the other reads. @default "primary" */
		readonly consistency?: Consistency | undefined;
	};

export interface LinkCall extends GraphCall {
	/** The entity that gets the edges: its key in any spelling, `table/key`, or its id. */
	readonly from: string;
	/** Stored as given. One of the same `dst` and `rel_type` takes the old one's place. */
	readonly edges: Edge | readonly Edge[];
}

export interface UnlinkCall extends GraphCall {
	readonly from: string;
	/** Target of the edges to remove, in any spelling. */
	readonly dst: string;
	/** @default every type */
	readonly relType?: string | undefined;
}

export interface LinkResult {
	/** Edges there are now that were not there. */
	readonly added: number;
	/** Edges that took the place of an older one. */
	readonly replaced: number;
}

/** Reading and writing the edges between entities. */
export class Graph {
	readonly #core: ServiceCore;
	readonly #fallback: CacheFallback;

	/** @internal */
	constructor(core: ServiceCore, fallback: CacheFallback) {
		this.#core = core;
		this.#fallback = fallback;
	}

	async traverse(call: TraverseCall): Promise<Traversal> {
		const { transaction: _, tenantId, consistency, ...rest } = call;
		const request = { ...rest, tenantId: this.#core.tenant(tenantId) };
		return traverse(this.#reader(call, consistency), request);
	}

	async link(call: LinkCall): Promise<LinkResult> {
		const edges = [call.edges].flat() as Edge[];
		edges.forEach(checkEdge);
		const row = await this.#row(call);
		const db = this.#core.handle(call.tenantId, call.transaction);
		const different = new Set(
			edges.map(({ dst, rel_type }) => JSON.stringify([dst, rel_type])),
		).size;
		const added = await linkEdges(db, row, edges);
		this.#core.indexer.noteRows(row.table, undefined, added);
		return { added, replaced: different - added };
	}

	async unlink(call: UnlinkCall): Promise<number> {
		const { dst, relType } = call;
		checkEntityName("dst", dst);
		if (relType !== undefined) checkReference("relType", relType);
		const row = await this.#row(call);
		const db = this.#core.handle(call.tenantId, call.transaction);
		return unlinkEdges(db, row, { dst, relType });
	}

	/** The one row that the call's `from` names: a write must not guess. */
	async #row(call: LinkCall | UnlinkCall): Promise<RowOfTenant> {
		const { from, userId } = call;
		const { settings, registry } = this.#core;
		const scope = { tenantId: this.#core.tenant(call.tenantId), userId };
		checkScope(scope);
		checkEntityName("from", from);
		const found = await findNode(this.#reader(call), from, {
			schema: settings.schema,
			scope,
		});
		if (found === undefined)
			throw new RemError("VALIDATION", `nothing is named "${from}"`, {
				hint: "write the entity first; its edges are part of it",
			});
		if (found.matches > 1) throw ambiguous(from, found.matches, found.node);
		const { entityType, entityId: id } = found.node;
		return { table: registry.get(entityType), id, tenantId: scope.tenantId };
	}

	#reader(
		{ tenantId, transaction }: GraphCall,
		consistency?: Consistency,
	): GraphReader {
		const { db, settings, registry } = this.#core;
		const held = registry.all().filter((table) => table.hasRowSecurity);
		return {
			db: this.#core.handle(tenantId, transaction, consistency),
			schema: settings.schema,
			fallback: this.#fallback,
			named: db.capabilities.namedStatements,
			heldTypes: held.map(({ entity }) => entity.tableName),
		};
	}
}

function ambiguous(from: string, matches: number, node: GraphNode): RemError {
	return new RemError("VALIDATION", `${matches} entities are named "${from}"`, {
		hint: `name the one you mean by its id, or as "${node.entityType}/${node.entityKey}"`,
	});
}

function checkEdge(edge: Edge, index: number): void {
	const problem = edgeProblem(edge);
	if (problem === undefined) return;
	throw new RemError("VALIDATION", `edge ${index}: ${problem}`);
}
