import type { EntityTable } from "../models/registry.ts";
import type { Sql } from "../sql.ts";
import { count } from "../telemetry/metrics.ts";
import { note } from "../telemetry/span.ts";
import { elementAt } from "../util/present.ts";
import type { Attempt, NearestSearch } from "./search-context.ts";
import {
	type Branch,
	inferredStatistics,
	planSearch,
	type Reached,
	widen,
} from "./vector-plan.ts";

/** What a statement found. */
export interface Found<R> {
	readonly rows: R[];
	/** What each branch has read, in their order. */
	readonly reached: readonly Reached[];
	/** The statement itself, for those who want to see it. */
	readonly statement: () => Sql;
	/** Of a hybrid search: reads what its lists have ranked. */
	readonly candidates?: Attempt["candidates"];
}

/** A row that states what the branches have read: branch, vectors, entities. */
export interface WithReached {
	readonly rem_reached: readonly [number, number, number][] | null;
}

/** Of a statement that gives at least one row. */
export function reachedBy(
	[row]: readonly WithReached[],
	branches: readonly Branch[],
): Reached[] {
	return branches.map((_, at) => {
		const [, vectors = 0, entities = 0] =
			row?.rem_reached?.find(([branch]) => branch === at) ?? [];
		return { vectors, entities };
	});
}

/**
 * Plans, runs, and runs again looking further until nothing nearer can be
 * missing: usually one statement, for an index that gave too little at last an
 * exact scan.
 */
export async function findNearest<R>(
	search: NearestSearch,
	run: (branches: readonly Branch[]) => Promise<Found<R>>,
): Promise<R[]> {
	const { statistics, table, limit, onAttempt } = search;
	const known = await statistics.read(search);
	const planned = planSearch(known, search);
	let branches = planned;
	for (;;) {
		const started = performance.now();
		const { rows, reached, statement, candidates } = await run(branches);
		const ms = performance.now() - started;
		onAttempt?.({ branches, statement: statement(), ms, candidates });
		const wider = widenAll(branches, reached, limit);
		if (wider === undefined) {
			notePlan(table, branches);
			if (branches !== planned)
				statistics.record(
					search,
					inferredStatistics(known, branches, planned, limit),
				);
			return rows;
		}
		branches = wider;
	}
}

/** How it was answered at last: `exact`, `hnsw`, `quantized`, or several where fields differ. */
function notePlan(table: EntityTable, branches: readonly Branch[]): void {
	const plan = [...new Set(branches.map(({ how }) => how))].sort().join("+");
	count("remdb.searches", {
		"remdb.search.plan": plan,
		"db.collection.name": table.entity.tableName,
	});
	note("remdb.search.plan", plan);
}

/** The branches looking further, or `undefined` when none has to. */
function widenAll(
	branches: readonly Branch[],
	reached: readonly Reached[],
	limit: number,
): Branch[] | undefined {
	const wider = branches.map((branch, at) =>
		widen(branch, elementAt(reached, at), limit),
	);
	if (wider.every((branch) => branch === undefined)) return undefined;
	return branches.map((branch, at) => wider[at] ?? branch);
}
