import * as z from "zod";
import type { GraphEdge, GraphNode, GraphResponse } from "../api/entities.ts";
import { edgeParts, edgesOf, rowsOf } from "../detail.ts";
import { defined, scopeInput, studioLimits } from "../input.ts";
import { shortened } from "../json.ts";
import { type StoredRow, titleOf } from "../place.ts";
import { type RouteCall, route } from "../route.ts";

/** So many are counted beyond those that are drawn. */
const maxCounted = 2000;

export const graph = route({
	method: "POST",
	path: "graph",
	input: z.strictObject({
		...scopeInput,
		from: z.string().min(1).max(2048),
		depth: z.int().min(1).max(3).optional(),
		direction: z.enum(["out", "in", "both"]).optional(),
		edgeTypes: z.array(z.string().max(400)).max(200).optional(),
		limit: z.int().min(1).max(studioLimits.graphNodes).optional(),
	}),
	run: async (call: RouteCall, given): Promise<GraphResponse> => {
		const place = call.place(given);
		const { from, direction = "both", edgeTypes, depth = 1 } = given;
		const { limit = studioLimits.graphNodes } = given;
		const walk = { from, direction, ...defined({ edgeTypes }) };
		const found = await place.scope.traverse({
			...walk,
			depth,
			limit: maxCounted,
			signal: call.signal,
		});
		const counted = await place.scope.traverse({
			from,
			direction: "both",
			depth: 0,
		});
		if (found.from === undefined) return nothing;
		const reached = [
			{
				...found.from,
				depth: 0,
				edge: undefined,
				path: [] as readonly string[],
			},
			...found.nodes,
		];
		const drawn = reached.slice(0, limit);
		const rows = await rowsOf(place, drawn);
		const nodes = drawn.map(
			({
				entityType,
				entityId,
				entityKey,
				depth,
				contentSummary,
			}): GraphNode => ({
				entityType,
				entityId,
				entityKey,
				title: titleOf(
					place.entity(entityType),
					rows.get(entityId) ?? { id: entityKey },
				),
				summary: contentSummary === null ? null : shortened(contentSummary),
				depth,
			}),
		);
		return {
			from: nodes[0] ?? null,
			nodes,
			edges: edgesBetween(nodes, rows, {
				types: edgeTypes,
				targets: targetsOf(found.nodes, found.from),
			}),
			edgeCounts: counted.edges,
			more: reached.length - drawn.length,
			isComplete: found.isComplete && found.nodes.length < maxCounted,
			dangling: found.dangling.map(({ from, edge }) => ({
				from,
				dst: String(edge.dst),
				relType: String(edge.rel_type),
			})),
		};
	},
});

const nothing: GraphResponse = {
	from: null,
	nodes: [],
	edges: [],
	edgeCounts: [],
	more: 0,
	isComplete: true,
	dangling: [],
};

interface Target {
	readonly entityId: string;
	readonly entityKey: string;
	readonly entityType: string;
}

interface Reached extends Target {
	readonly edge: { readonly dst: string };
	readonly direction: "in" | "out";
	readonly path: readonly string[];
}

/** Names of targets as the traversal understood them, by the entity that they lead to. */
function targetsOf(
	nodes: readonly Reached[],
	from: Target,
): Map<string, string> {
	const byKey = new Map(
		[from, ...nodes].map((node) => [node.entityKey, node.entityId]),
	);
	const targets = new Map<string, string>();
	for (const { entityId, edge, direction, path } of nodes) {
		const before = byKey.get(path.at(-2) ?? from.entityKey) ?? from.entityId;
		targets.set(edge.dst, direction === "out" ? entityId : before);
	}
	return targets;
}

/** Every edge between nodes that are drawn: stored ones, as their rows have them. */
function edgesBetween(
	nodes: readonly GraphNode[],
	rows: ReadonlyMap<string, StoredRow>,
	{
		types,
		targets,
	}: {
		readonly types: readonly string[] | undefined;
		readonly targets: ReadonlyMap<string, string>;
	},
): GraphEdge[] {
	const ids = new Map<string, string>();
	for (const { entityId, entityKey, entityType } of [...nodes].reverse())
		for (const name of [entityKey, `${entityType}/${entityKey}`, entityId])
			ids.set(comparedName(name), entityId);
	const drawn = new Set(nodes.map(({ entityId }) => entityId));
	return nodes.flatMap(({ entityId: source }) =>
		edgesOf(rows.get(source) ?? {}).flatMap((edge): GraphEdge[] => {
			const { dst, relType, weight } = edgeParts(edge);
			const target = targets.get(dst) ?? ids.get(comparedName(dst));
			if (target === undefined || !drawn.has(target)) return [];
			if (types !== undefined && types.length > 0 && !types.includes(relType))
				return [];
			return [{ source, target, relType, weight }];
		}),
	);
}

/** "Sarah Chen", "sarah-chen" and "SARAH_CHEN" are one name; the database has more such rules. */
function comparedName(name: string): string {
	return name
		.normalize("NFKC")
		.toLowerCase()
		.replace(/[\s_-]+/g, "-");
}
