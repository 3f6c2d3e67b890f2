import type { VectorState as StoredState } from "../embed-sync/vector-states.ts";
import { keyOfRow } from "../models/rows.ts";
import type { Edge } from "../models/types.ts";
import type { Traversal } from "../query/graph/traversal.ts";
import type { EntityRef } from "./api/common.ts";
import type {
	EntityDetail,
	InEdge,
	OutEdge,
	VectorState,
} from "./api/entities.ts";
import { exactJson, isoTime, toJsonObject } from "./json.ts";
import { type Place, type StoredRow, titleOf } from "./place.ts";

const maxInEdges = 200;

/** All there is to show of an entity; `undefined`: the scope has none of that id. */
export async function readDetail(
	place: Place,
	{ entityType, entityId }: EntityRef,
): Promise<EntityDetail | undefined> {
	const entity = place.entity(entityType);
	const row = await place.row(entity, entityId);
	if (row === undefined) return undefined;
	const { tenantId } = place;
	const states = await place
		.rows(entity)
		.vectorStates(entityId, entity.tenantScoped ? tenantId : undefined);
	const isLive = row.deletedAt === null;
	const edges = isLive ? await readEdges(place, entityId) : undefined;
	const own = edgesOf(row);
	return {
		entityType,
		entityId: String(row.id),
		entityKey: keyOfRow(entity, row),
		title: titleOf(entity, row),
		tenantId: typeof row.tenantId === "string" ? row.tenantId : null,
		userId: typeof row.userId === "string" ? row.userId : null,
		createdAt: isoTime(row.createdAt) ?? "",
		updatedAt: isoTime(row.updatedAt) ?? "",
		deletedAt: isoTime(row.deletedAt),
		fields: toJsonObject(row),
		json: exactJson(row),
		vectors: states.map(vectorState),
		edgesOut: own.map((edge) => outEdge(edge, edges?.out)),
		edgesIn: edges === undefined ? [] : await inEdges(place, edges.in, row),
		edgeCounts: edges?.counts ?? [],
	};
}

export function vectorState({
	fieldName,
	passages,
	queuedAt,
	dueAt,
	...state
}: StoredState): VectorState {
	return {
		...state,
		field: fieldName,
		isSearchable: state.state === "present",
		queuedAt: isoTime(queuedAt),
		nextAttemptAt: state.state === "queued" ? isoTime(dueAt) : null,
		passages: passages.map(({ text }, index) => ({ index, text })),
	};
}

interface Edges {
	readonly out: Traversal;
	readonly in: Traversal;
	readonly counts: EntityDetail["edgeCounts"];
}

async function readEdges(place: Place, from: string): Promise<Edges> {
	const walk = (direction: "in" | "out" | "both", more: object) =>
		place.scope.traverse({ from, direction, signal: place.signal, ...more });
	const counted = await walk("both", { depth: 0 });
	return {
		out: await walk("out", { depth: 1, limit: 1000 }),
		in: await walk("in", { depth: 1, limit: maxInEdges }),
		counts: counted.edges,
	};
}

export function edgesOf(row: StoredRow): readonly Edge[] {
	const { graphEdges } = row;
	return Array.isArray(graphEdges) ? graphEdges : [];
}

/** What is shown of an edge as it is stored, by whatever program. */
export function edgeParts(edge: Edge) {
	const { dst, rel_type, weight, created_at, properties } = edge;
	const isObject = typeof properties === "object" && properties !== null;
	return {
		dst: String(dst),
		relType: String(rel_type),
		weight: typeof weight === "number" ? weight : null,
		createdAt: typeof created_at === "string" ? created_at : null,
		properties: isObject ? toJsonObject(properties) : {},
	};
}

function outEdge(edge: Edge, found: Traversal | undefined): OutEdge {
	const node = found?.nodes.find(({ edge: own }) => own.dst === edge.dst);
	return {
		...edgeParts(edge),
		target:
			node === undefined
				? null
				: {
						entityType: node.entityType,
						entityId: node.entityId,
						entityKey: node.entityKey,
					},
	};
}

/** Every edge of the entities that lead here: a traversal names one of each. */
async function inEdges(
	place: Place,
	{ nodes }: Traversal,
	to: StoredRow,
): Promise<InEdge[]> {
	const rows = await rowsOf(place, nodes);
	const found = nodes.flatMap(({ entityType, entityId, entityKey, edge }) => {
		const from = { entityType, entityId, entityKey };
		const row = rows.get(entityId);
		const leading = edgesOf(row ?? {}).filter(
			({ dst }) => dst === edge.dst || dst === to.id,
		);
		return (leading.length === 0 ? [edge] : leading).map((one) => {
			const { dst: _, ...parts } = edgeParts(one);
			return { from, ...parts };
		});
	});
	return found.slice(0, maxInEdges);
}

/** Their rows by id, one statement for each table. */
export async function rowsOf(
	place: Place,
	refs: readonly EntityRef[],
): Promise<Map<string, StoredRow>> {
	const rows = new Map<string, StoredRow>();
	for (const type of new Set(refs.map(({ entityType }) => entityType))) {
		const ids = refs
			.filter(({ entityType }) => entityType === type)
			.map(({ entityId }) => entityId);
		const found: readonly StoredRow[] = await place
			.rows(place.entity(type))
			.find({ id: { in: ids } });
		for (const row of found) rows.set(String(row.id), row);
	}
	return rows;
}
