import { options } from "../calls/arguments.ts";
import { async, traced } from "../calls/public-methods.ts";
import { isRemError, RemError } from "../errors.ts";
import {
	anyText,
	listOf,
	oneOf,
	record,
	text,
	wholeNumber,
} from "../models/checks.ts";
import {
	gainsOf,
	type JudgedQuery,
	judgedQueries,
} from "../models/judged-query.ts";
import {
	type OptionChecks,
	progressCallback,
	required,
} from "../models/options.ts";
import {
	type EntityTable,
	fieldNotEmbedded,
	type Registry,
} from "../models/registry.ts";
import { checkWeights, type FusionWeights } from "../query/fusion-weights.ts";
import { findRelevantRows } from "../query/relevant-rows.ts";
import {
	type Gains,
	mean,
	ndcgAt,
	percentile,
	recallAt,
	reciprocalRankAt,
} from "../util/ranking-metrics.ts";
import {
	type Models,
	type ReadOptions,
	readHandle,
	readOptions,
	type TableName,
	tableOfCall,
} from "./call-options.ts";
import {
	type EvaluatedSearch,
	type EvaluatedVerbs,
	type EvaluationMode,
	evaluationModes,
	findIds,
	maxEvaluatedResults,
} from "./evaluation-modes.ts";
import { type Caller, verb } from "./verb.ts";

export interface EvaluateOptions<M extends Models, T extends TableName<M>>
	extends ReadOptions {
	/** @default `resources`, or the only table with embedded texts */
	readonly tableName?: T;
	/** Each query once: at most 10,000. */
	readonly queries: readonly JudgedQuery[];
	/** @default all of them */
	readonly modes?: readonly EvaluationMode[];
	/** Results that count, 1 to 1,000. @default 10 */
	readonly k?: number;
	/** Text search configuration of PostgreSQL. @default the service's */
	readonly language?: string;
	/** Of the lists of a hybrid search, in mode `hybrid`. @default as hybridSearch has them */
	readonly weights?: Partial<FusionWeights>;
	/** @default the service's */
	readonly provider?: string;
	/** @default the service's */
	readonly model?: string;
	readonly onProgress?: (progress: EvaluationProgress) => void;
}

export interface EvaluationProgress {
	/** Queries that are done. */
	readonly done: number;
	readonly total: number;
}

/** Means over the queries, and times of the searches. docs/retrieval.md has the formulas. */
export interface ModeQuality {
	/** Normalised discounted cumulative gain at `k`, 0 to 1. */
	readonly ndcg: number;
	/** The part of the relevant rows among the first `k` results, 0 to 1. */
	readonly recall: number;
	/** 1 / the rank of the first relevant row, 0 where none is among the first `k`. */
	readonly mrr: number;
	/** Milliseconds of a search whose query has its vector. */
	readonly p50Ms: number;
	readonly p95Ms: number;
}

export interface Evaluation {
	readonly tableName: string;
	readonly k: number;
	/** By mode, those that were asked for. Without any query all figures are 0. */
	readonly modes: Readonly<Partial<Record<EvaluationMode, ModeQuality>>>;
	/** Queries that were evaluated. */
	readonly queries: number;
	/** Queries left out because no row has any of their keys. */
	readonly excludedQueries: number;
	/** The first 100 keys that no row of the table and scope has, in the order of the queries. */
	readonly unknownKeys: readonly string[];
	/** How many there are. */
	readonly unknownKeyCount: number;
}

export interface Evaluate<M extends Models> {
	/**
	 * Measures searches of a table with queries whose right answers are known:
	 * nDCG, recall and MRR of the first `k` results, and the times, for each mode.
	 * Searches one after the other, each query once in every mode, and once before
	 * that so that the provider's time is not measured.
	 *
	 * @example
	 * await service.evaluate({ tableName: "documents", queries: [{ query: "how do we deploy?", relevant: ["deployment-guide"] }] })
	 * // { modes: { hybrid: { ndcg: 1, recall: 1, mrr: 1, p50Ms: 4.1, p95Ms: 4.1 }, … }, queries: 1, unknownKeys: [], … }
	 */
	evaluate<T extends TableName<M>>(
		options: EvaluateOptions<M, T>,
	): Promise<Evaluation>;
}

type Options = EvaluateOptions<Models, string>;

const checks: OptionChecks<Options> = {
	...readOptions,
	tableName: anyText,
	queries: required(judgedQueries),
	modes: modeList,
	k: wholeNumber(1, maxEvaluatedResults),
	language: anyText,
	weights: record,
	provider: text,
	model: text,
	onProgress: progressCallback,
};

function modeList(value: unknown): string | undefined {
	const problem = listOf(oneOf(...evaluationModes))(value);
	if (problem !== undefined) return problem;
	return Array.isArray(value) && value.length === 0
		? `is empty: leave it out, or name any of ${evaluationModes.join(", ")}`
		: undefined;
}

/** @internal */
export const evaluate = verb({
	name: "evaluate",
	method: traced(async(options(checks)), {
		operation: "evaluate",
		table: tableOfCall,
		found: ({ queries }: Evaluation) => ({ "remdb.queries": queries }),
	}),
	scopeAt: 0,
	buckets: "tenant",
	run: (access, call: Options) =>
		evaluateQueries(access, call).catch((error) => {
			throw call.signal?.aborted && isRemError(error) ? stopped(error) : error;
		}),
});

async function evaluateQueries(
	{ core, verbs }: Caller,
	call: Options,
): Promise<Evaluation> {
	const { k = 10, queries, modes = evaluationModes } = call;
	const { tenantId, userId, transaction, consistency } = call;
	const { provider, model, language, weights, onProgress } = call;
	checkWeights(weights ?? {});
	const table = tableToSearch(core.registry, call.tableName);
	const { tableName, embedFields } = table.entity;
	if (embedFields.length === 0)
		throw fieldNotEmbedded(table.entity, `"${tableName}"`);
	const tenant = core.tenant(tenantId);
	const judged = await judge(queries, (names) =>
		findRelevantRows(
			readHandle(core, call),
			{ table, tenantId: tenant, userId },
			names,
		),
	);
	const samples = await measure(judged.queries, {
		modes: [...new Set(modes)],
		verbs: verbs as EvaluatedVerbs,
		search: {
			tableName,
			limit: k,
			tenantId: tenant,
			userId,
			transaction,
			consistency,
			provider,
			model,
			language,
			weights,
			signal: call.signal,
		},
		onProgress,
	});
	return {
		tableName,
		k,
		modes: Object.fromEntries(
			[...samples].map(([mode, list]) => [mode, qualityOf(list)]),
		),
		queries: judged.queries.length,
		excludedQueries: queries.length - judged.queries.length,
		unknownKeys: judged.unknown.slice(0, maxNamedKeys),
		unknownKeyCount: judged.unknown.length,
	};
}

const maxNamedKeys = 100;

/** A query, and what each row that answers it is worth, by its id. */
interface QueryGains {
	readonly query: string;
	readonly gains: Gains;
}

/** The queries that some row answers, and the keys of no row. */
async function judge(
	queries: readonly JudgedQuery[],
	find: (names: readonly string[]) => Promise<Map<string, string[]>>,
): Promise<{ queries: QueryGains[]; unknown: string[] }> {
	const keyed = queries.map((judged) => ({
		query: judged.query,
		gains: gainsOf(judged),
	}));
	const names = [...new Set(keyed.flatMap(({ gains }) => [...gains.keys()]))];
	const rows = await find(names);
	return {
		queries: keyed
			.map(({ query, gains }) => ({ query, gains: byId(gains, rows) }))
			.filter(({ gains }) => gains.size > 0),
		unknown: names.filter((name) => !rows.has(name)),
	};
}

/** A row that is named twice, by its key and by its id, is worth the higher gain. */
function byId(gains: Gains, rows: ReadonlyMap<string, string[]>): Gains {
	const found = new Map<string, number>();
	for (const [name, gain] of gains)
		for (const id of rows.get(name) ?? [])
			found.set(id, Math.max(gain, found.get(id) ?? 0));
	return found;
}

interface Measurement {
	readonly modes: readonly EvaluationMode[];
	readonly verbs: EvaluatedVerbs;
	readonly search: Omit<EvaluatedSearch, "query">;
	readonly onProgress: Options["onProgress"];
}

/** What one search of a mode gave. */
interface Sample {
	readonly ndcg: number;
	readonly recall: number;
	readonly mrr: number;
	readonly ms: number;
}

async function measure(
	queries: readonly QueryGains[],
	{ modes, verbs, search, onProgress }: Measurement,
): Promise<Map<EvaluationMode, Sample[]>> {
	const k = search.limit;
	const samples = new Map<EvaluationMode, Sample[]>(
		modes.map((mode) => [mode, []]),
	);
	const find = (mode: EvaluationMode, query: string) =>
		findIds(mode, verbs, { ...search, query });
	const total = queries.length;
	onProgress?.({ done: 0, total });
	for (const [at, { query, gains }] of queries.entries()) {
		// The query's vector is made here, and the first of all searches connects.
		for (const mode of at === 0 ? modes : modes.slice(0, 1))
			await find(mode, query);
		for (const [mode, list] of samples) {
			const started = performance.now();
			const ranked = await find(mode, query);
			list.push({
				ms: performance.now() - started,
				ndcg: ndcgAt(k, ranked, gains),
				recall: recallAt(k, ranked, gains),
				mrr: reciprocalRankAt(k, ranked, gains),
			});
		}
		onProgress?.({ done: at + 1, total });
	}
	return samples;
}

function stopped(cause: unknown): RemError {
	return new RemError("CANCELLED", "the evaluation was stopped", {
		hint: "nothing was changed: run it again",
		cause,
	});
}

function qualityOf(samples: readonly Sample[]): ModeQuality {
	const times = samples.map(({ ms }) => ms);
	return {
		ndcg: mean(samples.map(({ ndcg }) => ndcg)),
		recall: mean(samples.map(({ recall }) => recall)),
		mrr: mean(samples.map(({ mrr }) => mrr)),
		p50Ms: percentile(50, times),
		p95Ms: percentile(95, times),
	};
}

/** The table of that name; of a call that names none, `resources` or the only one with embedded texts. */
function tableToSearch(
	registry: Registry,
	tableName: string | undefined,
): EntityTable {
	if (tableName !== undefined) return registry.get(tableName);
	const searchable = registry
		.all()
		.filter(({ entity }) => entity.embedFields.length > 0);
	const found =
		searchable.find(({ entity }) => entity.tableName === "resources") ??
		(searchable.length === 1 ? searchable[0] : undefined);
	if (found !== undefined) return found;
	const names = searchable.map(({ entity }) => entity.tableName);
	throw new RemError("VALIDATION", "no table to search in", {
		hint: `name one of: ${names.join(", ")}`,
	});
}
