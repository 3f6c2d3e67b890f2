import { languageName } from "../config.ts";
import { statementName } from "../db/named-query.ts";
import { similarEntriesRef } from "../db/tables.ts";
import { isRemError, RemError } from "../errors.ts";
import { sharedTenant, textProblem } from "../models/limits.ts";
import type { EntityTable } from "../models/registry.ts";
import { toRow } from "../models/rows.ts";
import { compile, ident, type Sql, sql } from "../sql.ts";
import { elementAt, keysOf } from "../util/present.ts";
import { type CacheFallback, readCached } from "./cached-read.ts";
import type { HitExplanation } from "./explain.ts";
import { findNearest, reachedBy, type WithReached } from "./find-nearest.ts";
import { type FusionWeights, rankOffset } from "./fusion-weights.ts";
import {
	candidatesSql,
	type HybridLists,
	type HybridSources,
	hybridSql,
} from "./hybrid-sql.ts";
import { nameList } from "./name-list.ts";
import { type HitRecord, isFrequent, type Match, matchOf } from "./search.ts";
import type {
	Candidate,
	CandidateList,
	CandidateLists,
	NearestSearch,
	SearchContext,
} from "./search-context.ts";
import { isPartial } from "./text-sql.ts";

/** Scores the hits again, in their order: the highest comes first. */
export type Rerank<Hit> = (
	query: string,
	hits: readonly Hit[],
) => readonly number[] | Promise<readonly number[]>;

/** The options of a hybrid search besides those of the search by meaning that is part of it. */
export interface HybridOptions {
	readonly query: string;
	/** A text search configuration of PostgreSQL. */
	readonly language: string;
	readonly weights: FusionWeights;
	readonly rerank?: Rerank<HybridHit> | undefined;
	/** What the names are read from while the cache is not ready. */
	readonly fallback: CacheFallback;
}

/** A search whose query has its vector, unless vectors have no weight. */
export type HybridContext = SearchContext &
	Partial<Pick<NearestSearch, "queryEmbedding">>;

/** A row's places on the lists it is on, from 1. */
export interface HybridRanks {
	readonly vector?: number;
	/** By words. */
	readonly text?: number;
	/** By how much the query is like the row's key. */
	readonly trigram?: number;
}

/** What made a row a hit of a hybrid search; without a place on the vectors' list it has no similarity. */
export type HybridMatch = Partial<Match> & {
	/** The sum of weight / (10 + rank) over the lists. */
	readonly score: number;
	readonly ranks: HybridRanks;
	/** What the hook gave it. */
	readonly rerankScore?: number;
};

export type HybridHit = Record<string, unknown> & HybridMatch;

/** What a hybrid search could not read. */
export interface PartialWords {
	/**
	 * Only while a tenant of more than 5,000 rows gets its words, or gets them in
	 * another way: rows without any were not ranked by words, and rows may have been
	 * found by former ones.
	 */
	partialWords?: true;
}

export type HybridHits = HybridHit[] & PartialWords;

/** Rows of the scope that a query finds by meaning, by words and by name, fused by weighted reciprocal rank. */
export async function hybridSearch(
	search: HybridContext,
	options: HybridOptions,
): Promise<HybridHits> {
	const { table, limit } = search;
	const { rerank, query } = options;
	const depth = depthOf(limit, rerank === undefined ? minDepth : rerankDepth);
	// Each list is as long as the ranks that are fused.
	const list = { ...search, limit: depth };
	const lists = {
		...(await listsOf(search, options)),
		resultRows: rerank === undefined ? limit : depth,
	};
	const rows = await findFused(list, lists, options);
	const found = rows.flatMap((record) => toHit(table, record) ?? []);
	const hits: HybridHits =
		rerank === undefined
			? found
			: (await reranked(query, found, rerank)).slice(0, limit);
	if (lists.text !== undefined && isPartial(lists.text))
		hits.partialWords = true;
	return hits;
}

/** The lists that have a weight. */
async function listsOf(
	search: HybridContext,
	{ query, language, weights }: HybridOptions,
) {
	const { db, table, tenantId, statistics } = search;
	return {
		weights,
		text:
			weights.text === 0
				? undefined
				: {
						query,
						language,
						statistics: await statistics.texts.read(db, table, tenantId),
					},
		name: weights.name > 0 ? await nameList(search, query) : undefined,
	};
}

/** One statement; again while nearer vectors may be missing. */
async function findFused(
	list: HybridContext,
	lists: HybridLists,
	options: HybridOptions,
): Promise<HybridRecord[]> {
	const { queryEmbedding, onAttempt } = list;
	if (queryEmbedding === undefined || options.weights.vector === 0) {
		const started = performance.now();
		const { rows, statement, candidates } = await runHybrid(list, lists, {
			options,
		});
		const ms = performance.now() - started;
		onAttempt?.({ branches: [], statement: statement(), ms, candidates });
		return rows;
	}
	const near = { ...list, queryEmbedding };
	return findNearest<HybridRecord>(near, async (branches) => {
		const vectors = { search: near, branches };
		const found = await runHybrid(near, lists, { options, vectors });
		return { ...found, reached: reachedBy(found.rows, branches) };
	});
}

/** Of each list as many as can still bring a row to the top. */
const minDepth = 30;

/** How long the lists are of which `limit` rows are returned. */
export function depthOf(limit: number, least = minDepth): number {
	return Math.max(least, 2 * limit);
}

/** So many are scored again. */
const rerankDepth = 60;

/** What each list brought to each hit. */
export function explainHits(
	hits: readonly HybridHit[],
	weights: FusionWeights,
	candidates: CandidateLists = {},
): HitExplanation[] {
	const values = new Map(
		keysOf(candidates).map((list) => [
			list,
			new Map(candidates[list]?.candidates.map(({ id, value }) => [id, value])),
		]),
	);
	return hits.map(({ id, ranks, score }) => {
		const { vector, text, trigram: name } = ranks;
		const all = { vector, text, name };
		const lists = keysOf(all).flatMap((list) => {
			const { [list]: rank } = all;
			if (rank === undefined) return [];
			const { [list]: weight } = weights;
			const share = weight / (rankOffset + rank) / score;
			const value = values.get(list)?.get(String(id));
			const brought = { rank, weight, share };
			return [
				[list, value === undefined ? brought : { ...brought, value }] as const,
			];
		});
		return { id: String(id), lists: Object.fromEntries(lists) };
	});
}

/** Throws for a query or a language that cannot be one. */
export function checkHybrid({
	query,
	language,
}: Pick<HybridOptions, "query" | "language">): void {
	if (typeof query !== "string" || query.trim() === "")
		throw new RemError("VALIDATION", "the search has no query");
	const problem = textProblem(query);
	if (problem !== undefined)
		throw new RemError("VALIDATION", `the query ${problem}`);
	if (!languageName.safeParse(language).success)
		throw new RemError(
			"VALIDATION",
			"language must be the name of a text search configuration",
			{ hint: "such as english, german or simple: \\dF in psql lists them" },
		);
}

interface HybridRun extends Pick<HybridSources, "vectors"> {
	readonly options: HybridOptions;
}

async function runHybrid(
	search: SearchContext,
	lists: HybridLists,
	{ options, vectors }: HybridRun,
) {
	const build = (names?: Sql) => hybridSql(search, lists, { vectors, names });
	const name = (await mayBePrepared(search, lists)) ? "hybrid" : undefined;
	const rows = await readHybrid<HybridRecord>(search, lists, {
		options,
		build,
		name,
	});
	return {
		rows,
		statement: () => build(ident(search.table.schema, "kv_store")),
		candidates: () => readCandidates(search, lists, { options, vectors }),
	};
}

/** What the lists have ranked, by a statement of its own: only who asks for it waits for it. */
async function readCandidates(
	search: SearchContext,
	lists: HybridLists,
	{ options, vectors }: HybridRun,
): Promise<CandidateLists> {
	const rows = await readHybrid<CandidateRecord>(search, lists, {
		options,
		build: (names) => candidatesSql(search, lists, { vectors, names }),
	});
	const weighed = keysOf(lists.weights).filter(
		(list) => lists.weights[list] > 0,
	);
	return Object.fromEntries(
		weighed.map((list): [string, CandidateList] => [
			list,
			{
				weight: lists.weights[list],
				candidates: rows
					.filter((row) => row.list === list)
					.map(({ id, entityKey, rank, value }) => ({
						id,
						entityKey,
						rank,
						value,
					})),
			},
		]),
	);
}

interface CandidateRecord extends Candidate {
	/** `null` in the one row that comes when there is no candidate. */
	readonly list: keyof FusionWeights | null;
}

/** A statement, by where it reads the names from. */
interface HybridStatement {
	readonly options: HybridOptions;
	readonly build: (names?: Sql) => Sql;
	/** Where plans are stored, under a name that begins so. */
	readonly name?: string | undefined;
}

/** With the names in the cache, or in the tables while the cache is being rebuilt. */
async function readHybrid<R extends object>(
	search: SearchContext,
	lists: HybridLists,
	{ options: { query, fallback }, build, name }: HybridStatement,
): Promise<R[]> {
	const { db, table } = search;
	const { schema, entity, hasRowSecurity } = table;
	// Behind row level security a function finds them, once the threshold is set.
	const similar = sql`${similarEntriesRef(schema)}('key', CASE WHEN s.is_set THEN ${query}::text END)`;
	if (entity.createKvTrigger && lists.name !== undefined)
		return readCached<R>(
			{ db, schema, fallback, named: true },
			({ from, isFallback }) =>
				build(hasRowSecurity && !isFallback ? similar : from),
			{ name, plan: "generic" },
		);
	const statement = compile(build());
	const { rows } = await db.query<R>(statement, {
		idempotent: true,
		name: name && statementName(name, statement.text),
		plan: "generic",
	});
	return rows;
}

/**
 * To read and plan the statement takes longer than to run it: 3 ms of 5, for
 * 1,400 rows. So a connection stores it, where the same plan suits every tenant.
 */
async function mayBePrepared(
	search: SearchContext,
	{ text, name }: HybridLists,
): Promise<boolean> {
	if (!isFrequent(search) || text?.statistics.isUsual !== true) return false;
	const { db, table, statistics } = search;
	const { schema, entity } = table;
	if (name === undefined || !entity.createKvTrigger) return true;
	const tenantId = entity.tenantScoped ? search.tenantId : sharedTenant;
	return statistics.names.isUsual(db, { schema, tenantId });
}

interface HybridRecord extends HitRecord, WithReached {
	/** `null` in the one row that comes when there is no hit. */
	readonly rem_score: number | null;
	readonly rem_vector: number | null;
	readonly rem_words: number | null;
	readonly rem_name: number | null;
}

function toHit(
	table: EntityTable,
	record: HybridRecord,
): HybridHit | undefined {
	const { rem_score: score } = record;
	if (score === null) return undefined;
	const { rem_vector: vector, rem_words: text, rem_name: trigram } = record;
	return {
		...toRow(table.entity, record),
		score,
		ranks: {
			...(vector === null ? {} : { vector }),
			...(text === null ? {} : { text }),
			...(trigram === null ? {} : { trigram }),
		},
		...(vector === null ? {} : matchOf(record)),
	};
}

/** Errors of the hook are the cause of one that names it. */
async function scored(
	query: string,
	hits: readonly HybridHit[],
	rerank: Rerank<HybridHit>,
): Promise<readonly number[]> {
	try {
		return await rerank(query, hits);
	} catch (cause) {
		if (isRemError(cause)) throw cause;
		throw new RemError("VALIDATION", "rerank threw an error", {
			hint: "the cause is what it threw",
			cause,
		});
	}
}

async function reranked(
	query: string,
	hits: readonly HybridHit[],
	rerank: Rerank<HybridHit>,
): Promise<HybridHit[]> {
	if (hits.length === 0) return [];
	const scores = await scored(query, hits, rerank);
	const isWhole =
		Array.isArray(scores) &&
		scores.length === hits.length &&
		scores.every((score) => Number.isFinite(score));
	if (!isWhole)
		throw new RemError(
			"VALIDATION",
			`rerank did not return a number for each of ${hits.length} hits`,
		);
	// A stable sort: equal scores keep their order.
	return hits
		.map((hit, at) => ({ ...hit, rerankScore: elementAt(scores, at) }))
		.sort((a, b) => b.rerankScore - a.rerankScore);
}
