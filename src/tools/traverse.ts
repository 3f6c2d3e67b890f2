import * as z from "zod";
import type { Traversal, TraverseNode } from "../query/graph/traversal.ts";
import { entityUri } from "./entity-uri.ts";
import { page, text } from "./input.ts";
import { listAnswer } from "./list-answer.ts";
import { openPage, pageOf } from "./page.ts";
import { reads, type ToolAccess, tool, untilAborted } from "./tool.ts";

export const traverse = tool({
	name: "traverse",
	title: "Follow links",
	description:
		"Follows the links of an entity, and of those it leads to: who manages whom, what a decision is about. Nearest first.",
	behaviour: reads,
	input: () =>
		z.strictObject({
			from: text("name of the entity, or table/key"),
			types: z
				.array(z.string().min(1))
				.min(1)
				.max(50)
				.optional()
				.describe("only links of these types"),
			depth: z.int().min(1).max(5).optional().describe("steps, 1 by default"),
			direction: z
				.enum(["out", "in", "both"])
				.optional()
				.describe("along the links (out, the default), against them, or both"),
			...page,
		}),
	async run({ scope, access, maxTokens, signal }, input) {
		const here = openPage("traverse", input, maxTokens);
		const found = visible(
			await scope.traverse({
				...untilAborted(signal),
				from: input.from.replace(/^rem:\/\//, ""),
				limit: here.needed,
				depth: input.depth ?? 1,
				direction: input.direction ?? "out",
				...(input.types === undefined ? {} : { edgeTypes: input.types }),
			}),
			access,
		);
		const { from, dangling, ambiguous } = found;
		return listAnswer(pageOf(here, found.nodes.map(nodeItem)), {
			from:
				from === undefined
					? null
					: entityUri(from.entityType, from.entityKey, from.entityId),
			...(dangling.length === 0
				? {}
				: {
						missing: dangling
							.slice(0, shownMissing)
							.map(({ from: at, edge }) => ({
								from: at,
								type: edge.rel_type,
								to: edge.dst,
							})),
					}),
			...(ambiguous.length === 0
				? {}
				: { ambiguous: ambiguous.slice(0, shownMissing) }),
			...(found.isComplete ? {} : { isComplete: false }),
		});
	},
});

const shownMissing = 10;

function nodeItem(node: TraverseNode) {
	return {
		uri: entityUri(node.entityType, node.entityKey, node.entityId),
		table: node.entityType,
		key: node.entityKey,
		summary: node.contentSummary,
		depth: node.depth,
		path: node.path,
		link: { type: node.edge.rel_type, direction: node.direction },
	};
}

/** Without the entities of hidden tables, and what only they lead to. */
function visible(
	{ from, nodes, dangling, ambiguous, ...rest }: Traversal,
	{ tables, isRestricted }: ToolAccess,
): Traversal {
	if (!isRestricted) return { from, nodes, dangling, ambiguous, ...rest };
	if (from === undefined || !tables.includes(from.entityType))
		return { ...rest, from: undefined, nodes: [], dangling: [], ambiguous: [] };
	const shown = nodes.filter(({ entityType }) => tables.includes(entityType));
	const keys = new Set([from, ...shown].map(({ entityKey }) => entityKey));
	return {
		...rest,
		from,
		nodes: shown.filter(({ path }) => path.every((key) => keys.has(key))),
		dangling: dangling.filter(({ from: at }) => keys.has(at)),
		// Their names are those of entities that may be hidden.
		ambiguous: [],
	};
}
