import { type VectorFormName, vectorForms } from "../schema/index-types.ts";

/** What is known, roughly, of a field's vectors in the scope of a search. */
export interface FieldStatistics {
	readonly field: string;
	/** Vectors in the scope that fulfil the filter. */
	readonly vectors: number;
	/** All vectors in the scope; omitted: as many. */
	readonly scope?: number | undefined;
	/** Of the index that can be searched: its kind, and the vectors in it. */
	readonly index?: IndexStatistics | undefined;
	/** Vectors to look at for each entity: more than 1 where passages of one text crowd the nearest. */
	readonly perEntity: number;
}

export interface IndexStatistics {
	readonly kind: VectorFormName;
	readonly vectors: number;
}

export const searchModes = ["auto", "exact", "approximate"] as const;

export type SearchMode = (typeof searchModes)[number];

export interface PlanOptions {
	readonly limit: number;
	readonly mode: SearchMode;
	/** Exactly so many candidates; omitted: as many as the scope's share of the index asks for. */
	readonly efSearch?: number | undefined;
	/** Candidates when nothing asks for more. */
	readonly defaultEfSearch: number;
}

/** How the nearest vectors of some fields are found. */
export interface Branch {
	readonly fields: readonly string[];
	readonly how: "exact" | IndexStatistics["kind"];
	/** How many of the nearest; `undefined`: all there are. */
	readonly take: number | undefined;
	readonly efSearch?: number;
	/** Of a scan with a filter: up to so many rows their vectors are looked up one by one; of more, those of the scope are read. */
	readonly maxByEntity?: number;
}

/** What a branch read: vectors, and the entities that they belong to. */
export interface Reached {
	readonly vectors: number;
	readonly entities: number;
}

/**
 * An index only where it is faster and still right. A graph knows nothing of
 * tenants: to meet `limit` of a scope's vectors it has to visit
 * limit × index / scope of them, and in rounds it misses some that were near.
 * So one round has to meet them all but by chance, and an exact scan is taken up
 * to the size at which that costs the same.
 */
export function planSearch(
	statistics: readonly FieldStatistics[],
	options: PlanOptions,
): Branch[] {
	const indexed = statistics.filter((field) => usesIndex(field, options));
	const exact = statistics.filter((field) => !indexed.includes(field));
	const scan: Branch = {
		fields: exact.map(({ field }) => field),
		how: "exact",
		take: exactTake(exact, options),
		maxByEntity: maxByEntity(exact),
	};
	return [
		...(exact.length === 0 ? [] : [scan]),
		...indexed.map((field) => indexBranch(field, options)),
	];
}

function usesIndex(statistics: FieldStatistics, options: PlanOptions): boolean {
	if (statistics.index === undefined || options.mode === "exact") return false;
	return (
		options.mode === "approximate" ||
		statistics.vectors > vectorsPerCandidate * candidates(statistics, options)
	);
}

// Comparing a scope's vector costs so much less than a candidate of an HNSW scan:
// 17 to 32 times less in processor time, at 384 and 1,536 dimensions. Where both
// take as long, the scan misses nothing.
const vectorsPerCandidate = 30;

function candidates({ vectors, index }: FieldStatistics, options: PlanOptions) {
	const indexed = index?.vectors ?? 0;
	const visits = (toMeet(options) * indexed) / Math.max(1, vectors);
	return Math.max(minCandidates(indexed, options), visits);
}

/**
 * How many of the scope a round shall meet. Candidates are of the scope by
 * chance: two standard deviations above the limit, all but one round in forty
 * meet as many as are asked for.
 */
function toMeet({ limit }: PlanOptions): number {
	return limit + 2 * Math.sqrt(limit);
}

/** Candidates of a scope that is the whole index: a small graph needs fewer for the same recall. */
function minCandidates(
	indexed: number,
	{ defaultEfSearch, efSearch }: PlanOptions,
): number {
	if (efSearch !== undefined) return efSearch;
	const share = Math.sqrt(indexed / largeIndex);
	return Math.min(
		defaultEfSearch,
		Math.max(fewestCandidates, Math.ceil(defaultEfSearch * share)),
	);
}

const largeIndex = 20_000;
const fewestCandidates = 50;

/** The size of a scope up to which it is scanned whatever it is exactly. */
export function exactUpTo(
	index: IndexStatistics,
	options: PlanOptions,
): number {
	return Math.ceil(
		Math.max(
			vectorsPerCandidate * minCandidates(index.vectors, options),
			Math.sqrt(vectorsPerCandidate * toMeet(options) * index.vectors),
		),
	);
}

function indexBranch(
	statistics: FieldStatistics,
	options: PlanOptions,
): Branch {
	const { kind } = statistics.index as IndexStatistics;
	const { reranked, maxCandidates } = vectorForms[kind];
	const wanted = options.limit * statistics.perEntity;
	const take = Math.max(reranked.factor * wanted, reranked.min);
	const efSearch = Math.min(
		maxCandidates,
		options.efSearch ??
			Math.ceil(Math.max(take, candidates(statistics, options))),
	);
	return {
		fields: [statistics.field],
		how: kind,
		take,
		efSearch,
		maxByEntity: maxByEntity([statistics]),
	};
}

/**
 * Measured with 1,000,000 vectors: to look up a row's vector costs what it takes
 * to read eight of a scope. Of a small scope it is all the same.
 */
function maxByEntity(statistics: readonly FieldStatistics[]): number {
	const scopes = statistics.map(({ vectors, scope = vectors }) => scope);
	return Math.max(1000, Math.ceil(Math.max(0, ...scopes) / 8));
}

/** Enough vectors for so many entities, whichever of their fields and passages are the nearest. */
function exactTake(
	statistics: readonly FieldStatistics[],
	{ limit }: PlanOptions,
) {
	const perEntity = Math.max(...statistics.map((field) => field.perEntity));
	const take = limit * perEntity * statistics.length;
	return take > maxTaken ? undefined : take;
}

/**
 * The same branch looking further, or `undefined` when nothing nearer can be
 * left out: it met enough entities, or all vectors there are.
 */
export function widen(
	branch: Branch,
	{ vectors, entities }: Reached,
	limit: number,
): Branch | undefined {
	const { take, how, fields, ...rest } = branch;
	if (take === undefined || entities >= limit) return undefined;
	const isCrowded = vectors >= take;
	if (how === "exact" && !isCrowded) return undefined;
	const wider = take * widening;
	return isCrowded && wider <= maxTaken
		? { ...branch, take: wider }
		: {
				fields,
				how: "exact",
				take: undefined,
				...(rest.maxByEntity === undefined
					? {}
					: { maxByEntity: rest.maxByEntity }),
			};
}

const widening = 8;
/** Beyond it all vectors are sorted by their entities. */
const maxTaken = 20_000;

/** The statistics that would have led to these branches at once. */
export function inferredStatistics(
	statistics: readonly FieldStatistics[],
	branches: readonly Branch[],
	planned: readonly Branch[],
	limit: number,
): FieldStatistics[] {
	const branchOf = (field: string, all: readonly Branch[]) =>
		all.find(({ fields }) => fields.includes(field)) as Branch;
	return statistics.map((known) => {
		const { how, take, fields } = branchOf(known.field, branches);
		const perEntity =
			take === undefined
				? maxTaken + 1
				: Math.ceil(take / (limit * fields.length));
		return how === branchOf(known.field, planned).how
			? { ...known, perEntity }
			: { ...known, vectors: 0 };
	});
}
