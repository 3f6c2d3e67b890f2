import { options } from "../calls/arguments.ts";
import { async, traced } from "../calls/public-methods.ts";
import { RemError } from "../errors.ts";
import { anyText, oneOrList, record } from "../models/checks.ts";
import { edgeProblem } from "../models/edge.ts";
import { type OptionChecks, required } from "../models/options.ts";
import type { Edge } from "../models/types.ts";
import { linkEdges } from "../store/link-edges.ts";
import { type CallScope, callScope } from "./call-options.ts";
import { changeLinks, rowNamed } from "./graph.ts";
import { type BucketCaller, succeeds, type Verb, verb } from "./verb.ts";

export interface LinkCall extends CallScope {
	/** The entity that gets the edges: its key in any case, `table/key`, or its id. */
	readonly from: string;
	/** Stored as given. One of the same `dst` and `rel_type` takes the old one's place. */
	readonly edges: Edge | readonly Edge[];
}

export interface LinkResult {
	/** Edges there are now that were not there. */
	readonly added: number;
	/** Edges that took the place of an older one. */
	readonly replaced: number;
}

export interface Link {
	/** Adds edges to an entity, or replaces those of the same `dst` and `rel_type`, in one statement. */
	link(options: LinkCall): Promise<LinkResult>;
}

const checks: OptionChecks<LinkCall> = {
	...callScope,
	from: required(anyText),
	edges: required(oneOrList(record)),
};

/** @internal */
export const link: Verb = verb({
	name: "link",
	method: traced(async(options(checks)), { operation: "link" }),
	scopeAt: 0,
	buckets: ({ buckets, verbs, scope }: BucketCaller, call: LinkCall) =>
		changeLinks(buckets, call, (core, inBucket) =>
			link.run({ core, verbs, scope }, inBucket),
		),
	run: async ({ core }, call: LinkCall): Promise<LinkResult> => {
		const edges = [call.edges].flat();
		edges.forEach(checkEdge);
		const row = await rowNamed(core, call.from, call);
		const db = core.handle(call.tenantId, call.transaction);
		const different = new Set(
			edges.map(({ dst, rel_type }) => JSON.stringify([dst, rel_type])),
		).size;
		const added = await linkEdges(db, row, edges);
		core.indexer.noteRows(row.table, undefined, added);
		return { added, replaced: different - added };
	},
	probe: {
		does: "changes",
		reaches: (call, { id, key }, scope) =>
			succeeds(
				call({
					...scope,
					from: key ?? id,
					edges: [{ dst: "rem canary target", rel_type: "canary" }],
				}),
			),
	},
});

function checkEdge(edge: Edge, index: number): void {
	const problem = edgeProblem(edge);
	if (problem === undefined) return;
	throw new RemError("VALIDATION", `edge ${index}: ${problem}`);
}
