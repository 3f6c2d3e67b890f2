import { transactionChecks } from "../../db/transaction-options.ts";
import type { IndexRequest } from "../../indexer/background-indexer.ts";
import type { MigrateOptions } from "../../migrate/migrate.ts";
import {
	anyText,
	callback,
	flag,
	listOf,
	longestWaitMs,
	numberOf,
	oneOf,
	oneOrList,
	record,
	signal,
	tenantName,
	text,
	transactionHandle,
	typeName,
	userName,
	vector,
	wholeNumber,
} from "../../models/checks.ts";
import { model } from "../../models/entity.ts";
import { limits } from "../../models/limits.ts";
import {
	type OptionChecks,
	progressCallback,
	required,
} from "../../models/options.ts";
import { indexTypeNames } from "../../schema/index-types.ts";
import { scopeChecks } from "../bound-scope.ts";
import type {
	BatchUpsertOptions,
	CallScope,
	FuzzySearchOptions,
	HybridSearchOptions,
	LookupOptions,
	Models,
	ReadOptions,
	VectorSearchOptions,
} from "../call-options.ts";
import type { DoctorOptions } from "../doctor/check.ts";
import type { LinkCall, TraverseCall, UnlinkCall } from "../graph.ts";
import {
	argument,
	async,
	type MethodArguments,
	optional,
	optionalOptions,
	options,
	sync,
} from "./argument.ts";

export const callScope: OptionChecks<CallScope> = {
	tenantId: tenantName,
	userId: userName,
	transaction: transactionHandle,
};

export const consistency = oneOf("primary", "replica");

const readOptions: OptionChecks<ReadOptions> = { ...callScope, consistency };

/** What a batch upsert and a repository's upsert have in common. */
export const upsertChecks = {
	generateEmbeddings: flag,
	onEmbeddingError: oneOf("fail", "queue"),
	merge: listOf(oneOf("metadata", "graphEdges")),
};

const batchUpsert: OptionChecks<BatchUpsertOptions<Models, string>> = {
	...callScope,
	...upsertChecks,
	tableName: required(anyText),
	entities: required(rows),
	entityKeyField: oneOrList(anyText),
	embeddingProvider: text,
	embeddingModel: text,
	atomic: oneOf(true, "chunk"),
	bulk: flag,
	onProgress: progressCallback,
	signal,
};

const lookup: OptionChecks<LookupOptions> = {
	...readOptions,
	entityType: anyText,
	hydrate: flag,
};

const fuzzy: OptionChecks<FuzzySearchOptions> = {
	...readOptions,
	query: required(anyText),
	threshold: numberOf("a number from 0 to 1"),
	mode: oneOf("key", "word", "content"),
	limit: numberOf(`a whole number from 1 to ${limits.resultRows}`),
	entityType: anyText,
};

const search = {
	...readOptions,
	tableName: required(anyText),
	queryEmbedding: vector,
	limit: numberOf(`a whole number from 1 to ${limits.resultRows}`),
	where: record,
	provider: text,
	model: text,
	mode: oneOf("auto", "exact", "approximate"),
	efSearch: numberOf("a whole number from 1 to 1000"),
	quantized: flag,
	explain: flag,
};

type Explained<T> = T & { readonly explain?: boolean };

const vectorSearch: OptionChecks<
	Explained<VectorSearchOptions<Models, string>>
> = {
	...search,
	queryText: anyText,
	fieldName: anyText,
	minSimilarity: numberOf("a number from -1 to 1"),
};

const hybridSearch: OptionChecks<
	Explained<HybridSearchOptions<Models, string>>
> = {
	...search,
	query: required(anyText),
	language: anyText,
	rerank: callback,
};

const traverse: OptionChecks<TraverseCall> = {
	...readOptions,
	from: required(anyText),
	edgeTypes: listOf(anyText),
	depth: numberOf(`a whole number from 0 to ${limits.traverseDepth}`),
	direction: oneOf("out", "in", "both"),
	limit: numberOf(`a whole number from 1 to ${limits.resultRows}`),
	nodeBudget: numberOf("a whole number from 1"),
	orderBy: oneOrList(anyText),
};

const link: OptionChecks<LinkCall> = {
	...callScope,
	from: required(anyText),
	edges: required(oneOrList(record)),
};

const unlink: OptionChecks<UnlinkCall> = {
	...callScope,
	from: required(anyText),
	dst: required(anyText),
	relType: anyText,
};

export const indexRequest: OptionChecks<IndexRequest> = {
	tableName: required(anyText),
	indexType: required(oneOf(...indexTypeNames)),
};

export const migrateChecks: OptionChecks<MigrateOptions> = {
	migrations: text,
	to: text,
	lockTimeoutMs: wholeNumber(1, longestWaitMs),
	lockAttempts: wholeNumber(1, 1_000_000),
	onProgress: progressCallback,
	signal,
};

/** What every call of a scope's verbs may say, and the service's: the same. */
export const scopedVerbs = {
	batchUpsert: async(options(batchUpsert)),
	lookupEntity: async(
		options<LookupOptions & { readonly entityKey: string }>({
			...lookup,
			entityKey: required(anyText),
		}),
	),
	lookupEntities: async(
		options<LookupOptions & { readonly entityKeys: readonly string[] }>({
			...lookup,
			entityKeys: required(listOf(anyText)),
		}),
	),
	fuzzySearch: async(options(fuzzy)),
	vectorSearch: async(options(vectorSearch)),
	hybridSearch: async(options(hybridSearch)),
	traverse: async(options(traverse)),
	link: async(options(link)),
	unlink: async(options(unlink)),
} as const satisfies Readonly<Record<string, MethodArguments>>;

export const scopedQuery = async(
	argument("text", anyText),
	optionalOptions(readOptions),
);

const none = async();

export const serviceMethods: Readonly<Record<string, MethodArguments>> = {
	...scopedVerbs,
	query: scopedQuery,
	scope: sync(options(scopeChecks)),
	repository: sync(argument("entity", model)),
	migrate: async(optionalOptions(migrateChecks)),
	register: async(argument("entity", model)),
	createIndexConcurrently: async(options(indexRequest)),
	doctor: async(optionalOptions<DoctorOptions>({ migrations: text })),
	checkIsolation: none,
	execute: async(argument("text", text), optional("values", sqlValues)),
	transaction: {
		...async(argument("work", callback), optionalOptions(transactionChecks)),
		runsWork: true,
	},
	close: none,
};

/** Many rows; each of them is checked against its model. */
function rows(value: unknown): string | undefined {
	const isMany =
		typeof value === "object" &&
		value !== null &&
		(Symbol.iterator in value || Symbol.asyncIterator in value);
	return isMany
		? undefined
		: `must be an array or another iterable, also for a single entity, not ${typeName(value)}`;
}

// The protocol counts them in 16 bits.
const mostValues = 65_535;

function sqlValues(value: unknown): string | undefined {
	return Array.isArray(value) && value.length > mostValues
		? `must have at most ${mostValues} items, not ${value.length}`
		: listOf(sqlValue)(value);
}

/** What the driver cannot write would fail halfway, and take the connection with it. */
function sqlValue(value: unknown): string | undefined {
	if (typeof value === "string") return text(value);
	if (typeof value === "function" || typeof value === "symbol")
		return `cannot be a ${typeof value}`;
	if (typeof value !== "object" || value === null || Buffer.isBuffer(value))
		return undefined;
	try {
		JSON.stringify(value);
		return undefined;
	} catch {
		return "must be a value that JSON can represent";
	}
}
