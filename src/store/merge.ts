import type { Edge } from "../models/types.ts";
import { ident, type Sql, sql } from "../sql.ts";
import { membersOf } from "../util/present.ts";

/**
 * Fields whose stored value a batch may add to, instead of replacing it:
 * `metadata` key by key (not deeper), `graphEdges` edge by edge, where an edge of
 * the same `dst` and `rel_type` takes the place of the old one.
 */
export type MergeField = "metadata" | "graphEdges";

/** What the merged column becomes; `t` is the stored row, `excluded` the new one. */
export function mergeSql(schema: string, field: MergeField): Sql {
	return field === "metadata"
		? sql`t.metadata || excluded.metadata`
		: sql`${ident(schema, "rem_merge_edges")}(t.graph_edges, excluded.graph_edges)`;
}

/** The same in TypeScript, to see whether it changes anything. */
export function mergeValue(
	field: MergeField,
	stored: unknown,
	value: unknown,
): unknown {
	return field === "metadata"
		? { ...membersOf(stored), ...membersOf(value) }
		: mergeEdges(stored as Edge[], value as Edge[]);
}

function mergeEdges(stored: readonly Edge[], edges: readonly Edge[]): Edge[] {
	const byTarget = new Map(edges.map((edge) => [targetOf(edge), edge]));
	const replaced = stored.map((edge) => {
		const target = targetOf(edge);
		const replacement = byTarget.get(target) ?? edge;
		byTarget.delete(target);
		return replacement;
	});
	return [...replaced, ...byTarget.values()];
}

function targetOf({ dst, rel_type }: Edge): string {
	return JSON.stringify([dst, rel_type]);
}
