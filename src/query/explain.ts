import type { Handle } from "../db/database.ts";
import { embeddingsRef } from "../db/tables.ts";
import { compile, type Sql, sql } from "../sql.ts";
import { elementAt } from "../util/present.ts";
import type { FusionWeights } from "./fusion-weights.ts";
import type {
	Attempt,
	CandidateLists,
	SearchContext,
} from "./search-context.ts";
import type { Branch } from "./vector-plan.ts";
import { vectorScope } from "./vector-scope.ts";

/** How a search was answered. */
export interface SearchExplanation {
	/** Whether every vector of the scope was compared, so that none nearer can be missing. */
	readonly isExact: boolean;
	/** For each field: how it was searched, and the vectors of the tenant and user. */
	readonly fields: readonly FieldExplanation[];
	/** Statements that were run: more than 1 where the first plan found too little. */
	readonly statements: number;
	/** The last of them. */
	readonly sql: string;
	/** PostgreSQL's own plan of it, as EXPLAIN (ANALYZE) shows it; vectors are left out. */
	readonly databasePlan: string;
	readonly timing: SearchTiming;
	/** Of a hybrid search: how much each list counted, the defaults included; `vector` is 0 where no vectors were compared. */
	readonly weights?: FusionWeights;
	/** Of a hybrid search: for each hit, what the lists that it is on brought. */
	readonly hits?: readonly HitExplanation[];
	/** Of a hybrid search: each list that has a weight, with the candidates that did not reach the answer too. */
	readonly lists?: CandidateLists;
}

export interface HitExplanation {
	readonly id: string;
	/** By list. */
	readonly lists: Readonly<
		Partial<Record<keyof FusionWeights, ListExplanation>>
	>;
}

export interface ListExplanation {
	/** From 1. */
	readonly rank: number;
	readonly weight: number;
	/** Its part of the hit's score, from 0 to 1. */
	readonly share: number;
	/** What the list is ordered by, as of its candidates; absent where the row has changed since the search. */
	readonly value?: number;
}

export interface FieldExplanation {
	readonly field: string;
	readonly plan: Branch["how"];
	/** Vectors in the scope, whatever the filter. */
	readonly vectors: number;
	/** Candidates of the index scan. */
	readonly efSearch?: number;
}

export interface SearchTiming {
	/** Until the query's vector was there. */
	readonly embedMs: number;
	/** Looking at indexes and the scope's size; next to nothing while that is known. */
	readonly planMs: number;
	readonly searchMs: number;
}

/** Counts the scope and asks PostgreSQL for its plan; the search itself has been made. */
export async function explainSearch(
	search: SearchContext,
	attempts: readonly Attempt[],
	{ embedMs, totalMs }: { embedMs: number; totalMs: number },
): Promise<SearchExplanation> {
	const last = elementAt(attempts, attempts.length - 1);
	const searchMs = attempts.reduce((sum, { ms }) => sum + ms, 0);
	const lists = await last.candidates?.();
	return {
		isExact: last.branches.every(({ how }) => how === "exact"),
		fields: await explainFields(search, last.branches),
		statements: attempts.length,
		sql: compile(last.statement).text,
		databasePlan: await databasePlan(search.db, last.statement),
		timing: { embedMs, planMs: totalMs - searchMs, searchMs },
		...(lists === undefined ? {} : { lists }),
	};
}

async function explainFields(
	search: SearchContext,
	branches: readonly Branch[],
): Promise<FieldExplanation[]> {
	const fields = branches.flatMap((branch) =>
		branch.fields.map((field) => ({ field, branch })),
	);
	const names = fields.map(({ field }) => field);
	const { db, table } = search;
	const { rows } = await db.query<{ field_name: string; vectors: number }>(
		sql`
SELECT e.field_name, count(*) AS vectors FROM ${embeddingsRef(table)} AS e
WHERE ${vectorScope({ ...search, fields: names })}
GROUP BY e.field_name`,
		{ idempotent: true },
	);
	const counts = new Map(rows.map((row) => [row.field_name, row.vectors]));
	return fields.map(({ field, branch: { how, efSearch } }) => ({
		field,
		plan: how,
		vectors: counts.get(field) ?? 0,
		...(efSearch === undefined ? {} : { efSearch }),
	}));
}

async function databasePlan(db: Handle, statement: Sql): Promise<string> {
	const { rows } = await db.query<{ "QUERY PLAN": string }>(
		sql`EXPLAIN (ANALYZE, COSTS OFF, BUFFERS OFF) ${statement}`,
		{ idempotent: true },
	);
	return rows
		.map((row) => row["QUERY PLAN"].replace(/'\[[^\]']*\]'/g, "'[…]'"))
		.join("\n");
}
