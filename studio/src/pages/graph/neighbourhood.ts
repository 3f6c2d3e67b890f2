import type {
	GraphEdge,
	GraphNode,
	GraphResponse,
} from "../../../../src/studio/api/entities.ts";

/** What is drawn of several answers together, and how much is not. */
export interface Neighbourhood {
	readonly nodes: readonly GraphNode[];
	readonly edges: readonly GraphEdge[];
	/** Nodes that were reached and are not drawn. */
	readonly more: number;
	/** Whether `more` is all of them. */
	readonly isComplete: boolean;
}

/** The nodes of the first answer come first; of what does not fit, the last are left out. */
export function merge(
	answers: readonly GraphResponse[],
	limit: number,
): Neighbourhood {
	const nodes = new Map<string, GraphNode>();
	for (const answer of answers)
		for (const node of answer.nodes)
			if (!nodes.has(node.entityId)) nodes.set(node.entityId, node);
	const drawn = [...nodes.values()].slice(0, limit);
	const ids = new Set(drawn.map(({ entityId }) => entityId));
	const edges = new Map<string, GraphEdge>();
	for (const answer of answers)
		for (const edge of answer.edges)
			if (ids.has(edge.source) && ids.has(edge.target))
				edges.set(`${edge.source} ${edge.relType} ${edge.target}`, edge);
	const unseen = answers.reduce((sum, { more }) => sum + more, 0);
	return {
		nodes: drawn,
		edges: [...edges.values()],
		more: unseen + nodes.size - drawn.length,
		isComplete: answers.every(({ isComplete }) => isComplete),
	};
}

/** Types of edges, with how many the beginning has where that is known. */
export function edgeTypesOf(
	answers: readonly GraphResponse[],
): { readonly relType: string; readonly count: number | undefined }[] {
	const counts = new Map<string, number | undefined>();
	const [first] = answers;
	for (const { relType, count } of first?.edgeCounts ?? [])
		counts.set(relType, (counts.get(relType) ?? 0) + count);
	for (const { edges } of answers)
		for (const { relType } of edges)
			if (!counts.has(relType)) counts.set(relType, undefined);
	return [...counts]
		.map(([relType, count]) => ({ relType, count }))
		.sort((a, b) => (b.count ?? 0) - (a.count ?? 0));
}
