import { options } from "../calls/arguments.ts";
import { async, rows, traced } from "../calls/public-methods.ts";
import {
	anyText,
	listOf,
	numberOf,
	oneOf,
	oneOrList,
} from "../models/checks.ts";
import { limits } from "../models/limits.ts";
import { type OptionChecks, required } from "../models/options.ts";
import type { Traversal, TraverseRequest } from "../query/graph/traversal.ts";
import { traverse as walk } from "../query/graph/traverse.ts";
import { type ReadOptions, readOptions, resultRows } from "./call-options.ts";
import { graphReader } from "./graph.ts";
import { verb } from "./verb.ts";

export type TraverseCall = Omit<TraverseRequest, "tenantId" | "userId"> &
	ReadOptions;

export interface Traverse {
	/**
	 * What is within reach of an entity along its `graphEdges`, breadth first,
	 * each entity once with its depth, its path and the edge that led to it.
	 *
	 * @example
	 * await service.traverse({ from: "sarah-chen", edgeTypes: ["manages"], depth: 2 })
	 */
	traverse(options: TraverseCall): Promise<Traversal>;
}

const checks: OptionChecks<TraverseCall> = {
	...readOptions,
	from: required(anyText),
	edgeTypes: listOf(anyText),
	depth: numberOf(`a whole number from 0 to ${limits.traverseDepth}`),
	direction: oneOf("out", "in", "both"),
	limit: resultRows,
	nodeBudget: numberOf("a whole number from 1"),
	orderBy: oneOrList(anyText),
};

/** @internal */
export const traverse = verb({
	name: "traverse",
	method: traced(async(options(checks)), {
		operation: "traverse",
		found: ({ nodes }: Traversal) => rows(nodes),
	}),
	scopeAt: 0,
	buckets: "tenant",
	run: async ({ core }, call: TraverseCall): Promise<Traversal> => {
		const { transaction: _, consistency: __, signal: ___, ...rest } = call;
		const request = { ...rest, tenantId: core.tenant(call.tenantId) };
		return walk(graphReader(core, call), request);
	},
	probe: {
		does: "finds",
		reaches: async (call, { id, key }, scope) => {
			const { from } = await call({
				...scope,
				from: key ?? id,
				direction: "both",
			});
			return from !== undefined;
		},
	},
});
