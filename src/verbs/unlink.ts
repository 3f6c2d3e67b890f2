import { options } from "../calls/arguments.ts";
import { async, traced } from "../calls/public-methods.ts";
import { anyText } from "../models/checks.ts";
import { type OptionChecks, required } from "../models/options.ts";
import { checkEntityName, checkReference } from "../query/graph/traverse.ts";
import { unlinkEdges } from "../store/link-edges.ts";
import { type CallScope, callScope } from "./call-options.ts";
import { changeLinks, rowNamed } from "./graph.ts";
import { type BucketCaller, succeeds, type Verb, verb } from "./verb.ts";

export interface UnlinkCall extends CallScope {
	readonly from: string;
	/** Target of the edges to remove, in any case. */
	readonly dst: string;
	/** @default every type */
	readonly relType?: string | undefined;
}

export interface Unlink {
	/** Removes an entity's edges to a target, and returns how many. */
	unlink(options: UnlinkCall): Promise<number>;
}

const checks: OptionChecks<UnlinkCall> = {
	...callScope,
	from: required(anyText),
	dst: required(anyText),
	relType: anyText,
};

/** @internal */
export const unlink: Verb = verb({
	name: "unlink",
	method: traced(async(options(checks)), { operation: "unlink" }),
	scopeAt: 0,
	buckets: ({ buckets, verbs, scope }: BucketCaller, call: UnlinkCall) =>
		changeLinks(buckets, call, (core, inBucket) =>
			unlink.run({ core, verbs, scope }, inBucket),
		),
	run: async ({ core }, call: UnlinkCall): Promise<number> => {
		const { dst, relType } = call;
		checkEntityName("dst", dst);
		if (relType !== undefined) checkReference("relType", relType);
		const row = await rowNamed(core, call.from, call);
		const db = core.handle(call.tenantId, call.transaction);
		return unlinkEdges(db, row, { dst, relType });
	},
	probe: {
		does: "changes",
		reaches: (call, { id, key }, scope) =>
			succeeds(call({ ...scope, from: key ?? id, dst: "rem canary target" })),
	},
});
