import type { Handle } from "../db/database.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import type { Sql } from "../sql.ts";
import { count } from "../telemetry/metrics.ts";
import { note } from "../telemetry/span.ts";
import type { VectorFacts, VectorScope } from "./vector-facts.ts";
import {
	type Branch,
	learnt,
	planSearch,
	type SearchMode,
	type Seen,
	widen,
} from "./vector-plan.ts";

/** What a service's searches share. */
export interface SearchContext {
	readonly facts: VectorFacts;
	/** Candidates of an index scan when nothing asks for more. */
	readonly leastEfSearch: number;
	/** Told of each statement that was run. */
	readonly onAttempt?: ((attempt: Attempt) => void) | undefined;
}

/** A statement of a search, and what came of it. */
export interface Attempt {
	readonly branches: readonly Branch[];
	readonly statement: Sql;
	readonly ms: number;
}

/** What a statement found. */
export interface Found<R> {
	readonly rows: R[];
	/** What each branch has seen, in their order. */
	readonly seen: readonly Seen[];
}

/** A row that says what the branches have seen: branch, vectors, entities. */
export interface WithSeen {
	readonly rem_seen: readonly [number, number, number][] | null;
}

/** Of a statement that gives at least one row. */
export function found<R extends WithSeen>(
	rows: R[],
	branches: readonly Branch[],
): Found<R> {
	const seen = branches.map((_, at): Seen => {
		const [, vectors = 0, entities = 0] =
			rows[0]?.rem_seen?.find(([branch]) => branch === at) ?? [];
		return { vectors, entities };
	});
	return { rows, seen };
}

interface Nearest<R> extends SearchContext {
	readonly run: (branches: readonly Branch[]) => Promise<Found<R>>;
	/** What is run, for those who want to see it. */
	readonly statement: (branches: readonly Branch[]) => Sql;
}

interface NearestRequest extends Omit<VectorScope, "fields"> {
	readonly fieldName?: string | undefined;
	readonly limit?: number | undefined;
	readonly mode?: SearchMode | undefined;
	readonly efSearch?: number | undefined;
}

/**
 * Plans, runs, and runs again looking further until nothing nearer can be
 * missing: usually one statement, for an index that gave too little at last an
 * exact scan.
 */
export async function findNearest<R>(
	db: Handle,
	table: EntityTable,
	space: VectorSpace,
	request: NearestRequest,
	nearest: Nearest<R>,
): Promise<R[]> {
	const { limit = 10, mode = "auto", efSearch, fieldName } = request;
	const { leastEfSearch, facts } = nearest;
	const options = { limit, mode, efSearch, leastEfSearch };
	const scope: VectorScope = {
		...request,
		fields:
			fieldName === undefined
				? table.entity.embedFields.map(({ name }) => name)
				: [fieldName],
	};
	const known = await facts.read(db, table, space, scope, options);
	const planned = planSearch(known, options);
	let branches = planned;
	for (;;) {
		const { rows, seen } = await attempt(branches, nearest);
		const wider = widenAll(branches, seen, limit);
		if (wider === undefined) {
			tellPlan(table, branches);
			if (branches !== planned)
				facts.learn(
					table,
					space,
					scope,
					options,
					learnt(known, branches, planned, limit),
				);
			return rows;
		}
		branches = wider;
	}
}

/** How it was answered at last: `exact`, `hnsw`, `quantized`, or several where fields differ. */
function tellPlan(table: EntityTable, branches: readonly Branch[]): void {
	const plan = [...new Set(branches.map(({ how }) => how))].sort().join("+");
	count("remdb.searches", {
		"remdb.search.plan": plan,
		"db.collection.name": table.entity.tableName,
	});
	note("remdb.search.plan", plan);
}

async function attempt<R>(
	branches: readonly Branch[],
	{ run, statement, onAttempt }: Nearest<R>,
): Promise<Found<R>> {
	const started = performance.now();
	const result = await run(branches);
	const ms = performance.now() - started;
	onAttempt?.({ branches, statement: statement(branches), ms });
	return result;
}

/** The branches looking further, or `undefined` when none has to. */
function widenAll(
	branches: readonly Branch[],
	seen: readonly Seen[],
	limit: number,
): Branch[] | undefined {
	const wider = branches.map((branch, at) =>
		widen(branch, seen[at] as Seen, limit),
	);
	if (wider.every((branch) => branch === undefined)) return undefined;
	return branches.map((branch, at) => wider[at] ?? branch);
}
