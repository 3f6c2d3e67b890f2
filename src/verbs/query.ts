import { argument, optionalOptions } from "../calls/arguments.ts";
import { async, rows, traced } from "../calls/public-methods.ts";
import type { Consistency, Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { anyText } from "../models/checks.ts";
import type { Registry } from "../models/registry.ts";
import { parseQuery } from "../query/dialect/parse-query.ts";
import {
	namesOf,
	needsGrammar,
	planQuery,
} from "../query/dialect/plan-query.ts";
import type { QueryPlan } from "../query/dialect/query-plan.ts";
import { describePlan } from "../query/dialect/query-plan.ts";
import type { FuzzyHits } from "../query/fuzzy.ts";
import type { Traversal } from "../query/graph/traversal.ts";
import type { LookupHit } from "../query/lookup.ts";
import type { ReadScope } from "../query/scope.ts";
import type { SearchHit } from "../query/search.ts";
import { selectRows } from "../query/select-rows.ts";
import { loadSqlGrammar } from "../sql-grammar.ts";
import { type ReadOptions, readHandle, readOptions } from "./call-options.ts";
import { explainingHandle } from "./explaining-handle.ts";
import type {
	ExplainedStatement,
	FoundByQuery,
	QueryExplanation,
	QueryResult,
} from "./query-result.ts";
import type { RecallResult } from "./recall.ts";
import { verb } from "./verb.ts";

export interface Query {
	/**
	 * Answers a query of the REM dialect: LOOKUP, FUZZY, SEARCH, RECALL, TRAVERSE
	 * or SQL
	 * (docs/query-language.md). Whatever the text is, it reads rows of the scope
	 * only. Throws `QUERY_SYNTAX`, `FILTER_REFUSED`, `UNKNOWN_…` or `INPUT_LIMIT`,
	 * with `position`.
	 *
	 * @example
	 * const result = await service.query('SEARCH "deploy" IN documents WHERE year > 2020 LIMIT 5')
	 * if (result.kind === "search") console.log(result.rows[0]?.similarity)
	 */
	query(text: string, scope?: ReadOptions): Promise<QueryResult>;
}

/** The service's own reads, which a query comes down to. */
interface QueryReads {
	lookupEntities(options: Plan<"lookup"> & Call): Promise<LookupHit[]>;
	fuzzySearch(options: Plan<"fuzzy"> & Call): Promise<FuzzyHits>;
	vectorSearch(options: Plan<"search"> & Call): Promise<SearchHit[]>;
	recall(options: Plan<"recall"> & Call): Promise<RecallResult>;
	traverse(options: Plan<"traverse"> & Call): Promise<Traversal>;
}

type Plan<K> = Omit<Extract<QueryPlan, { kind: K }>, "kind">;

/** Whose rows, and through what: every read gets exactly this. */
interface Call extends ReadScope {
	readonly transaction?: Handle | undefined;
	readonly consistency?: Consistency | undefined;
	readonly signal?: AbortSignal | undefined;
}

/** @internal */
export const query = verb({
	name: "query",
	method: traced(
		async(argument("text", anyText), optionalOptions(readOptions)),
		{
			operation: "query",
			found: (result: QueryResult) => ({
				"remdb.query.kind": result.kind,
				...("rows" in result ? rows(result.rows) : {}),
			}),
		},
	),
	scopeAt: 1,
	buckets: "tenant",
	run: async (
		{ core, verbs },
		text: string,
		scope: ReadOptions = {},
	): Promise<QueryResult> => {
		const { tenantId, userId, transaction, consistency, signal } = scope;
		const parts: QueryParts = {
			reads: verbs as QueryReads,
			registry: core.registry,
			db: readHandle(core, scope),
		};
		return answer(parts, text, {
			tenantId: core.tenant(tenantId),
			userId,
			transaction,
			consistency,
			signal,
		});
	},
	probe: {
		does: "finds",
		reaches: async (call, { table, id }, scope) => {
			const text = `SQL "${table.entity.tableName}" WHERE id = '${id}' OR TRUE`;
			const answer = await call(text, scope);
			return "rows" in answer && answer.rows.length > 0;
		},
	},
});

/** parse ▶ plan ▶ run: only the last step touches the database. */
async function answer(
	parts: QueryParts,
	text: string,
	call: Call,
): Promise<QueryResult> {
	const { registry } = parts;
	const { explain, query } = parseQuery(text, namesOf(registry));
	const grammar = needsGrammar(query) ? await loadSqlGrammar() : undefined;
	const plan = planQuery(query, registry, grammar);
	try {
		return await (explain
			? explainPlan(parts, plan, call)
			: runPlan(parts, plan, call));
	} catch (error) {
		throw asRefusal(error);
	}
}

/** Why a condition that could be read cannot be computed, by the SQLSTATEs of class 22. */
const reasons: Readonly<Record<string, string>> = {
	"22003": "a number is out of range",
	"22007": "a time or an interval has an unknown form",
	"22008": "a time or an interval is out of range",
	"22012": "it divides by zero",
	"22015": "an interval is out of range",
};

/** The values are the text's or the rows': the database's own words stay out of the message. */
function asRefusal(error: unknown): unknown {
	if (!(error instanceof RemError) || error.code !== "DATABASE") return error;
	const { sqlState } = error;
	if (sqlState?.startsWith("22") !== true) return error;
	const reason = reasons[sqlState] ?? `SQLSTATE ${sqlState}`;
	return new RemError(
		"FILTER_REFUSED",
		`the query's condition cannot be computed: ${reason}`,
		{
			hint: "compare with a constant in range instead of computing with the rows' values",
			sqlState,
			cause: error.cause,
		},
	);
}

/** What a query is answered with. */
interface QueryParts {
	readonly reads: QueryReads;
	readonly registry: Registry;
	/** The call's transaction, the replica or the database. */
	readonly db: Handle;
}

async function runPlan(
	{ reads, registry, db }: QueryParts,
	plan: QueryPlan,
	call: Call,
): Promise<FoundByQuery> {
	switch (plan.kind) {
		case "lookup": {
			const { kind, ...request } = plan;
			return {
				kind,
				rows: await reads.lookupEntities({ ...request, ...call }),
			};
		}
		case "fuzzy": {
			const { kind, ...request } = plan;
			const rows = await reads.fuzzySearch({ ...request, ...call });
			const { bounded } = rows;
			return { kind, rows, ...(bounded === undefined ? {} : { bounded }) };
		}
		case "search": {
			const { kind, ...request } = plan;
			const rows = await reads.vectorSearch({ ...request, ...call });
			const { tableName } = plan;
			return { kind, ...(tableName === undefined ? {} : { tableName }), rows };
		}
		case "recall": {
			const { kind, ...request } = plan;
			const { items, ...rest } = await reads.recall({ ...request, ...call });
			return { kind, rows: items, ...rest };
		}
		case "traverse": {
			const { kind, ...request } = plan;
			const found = await reads.traverse({ ...request, ...call });
			const { nodes: rows, ...rest } = found;
			return { kind, rows, ...rest };
		}
		case "sql": {
			const { kind, tableName, ...request } = plan;
			const { transaction: _, consistency: __, signal: ___, ...scope } = call;
			const table = registry.get(tableName);
			const rows = await selectRows(db, table, { ...request, ...scope });
			return { kind, tableName, rows };
		}
	}
}

async function explainPlan(
	parts: QueryParts,
	plan: QueryPlan,
	call: Call,
): Promise<QueryExplanation> {
	const statements: ExplainedStatement[] = [];
	const db = explainingHandle(parts.db, statements);
	const started = performance.now();
	const { rows } = await runPlan({ ...parts, db }, plan, {
		...call,
		transaction: db,
	});
	return {
		kind: "explain",
		query: describePlan(plan),
		statements,
		rowCount: rows.length,
		durationMs: performance.now() - started,
	};
}
