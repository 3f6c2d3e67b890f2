import type { KvProgress } from "../../kv/progress.ts";
import type { VerifyOptions } from "../../kv/verify.ts";
import {
	anyText,
	flag,
	isRecord,
	listOf,
	longestWaitMs,
	oneOf,
	record,
	signal,
	text,
	typeName,
	wholeNumber,
} from "../../models/checks.ts";
import { model } from "../../models/entity.ts";
import {
	type OptionChecks,
	progressCallback,
	required,
	withParts,
} from "../../models/options.ts";
import type { GenerateBatchOptions } from "../embedder.ts";
import type { SyncEmbeddingsOptions } from "../embeddings.ts";
import {
	argument,
	async,
	type MethodArguments,
	optional,
	optionalOptions,
	options,
	sync,
} from "./argument.ts";
import { indexRequest, migrateChecks } from "./service-methods.ts";

type Methods = Readonly<Record<string, MethodArguments>>;

const none = async();

const verify: OptionChecks<VerifyOptions> = {
	repair: flag,
	sample: wholeNumber(1),
	limit: wholeNumber(0),
	onProgress: progressCallback,
	signal,
};

interface Rebuild {
	readonly onProgress?: ((progress: KvProgress) => void) | undefined;
	readonly signal?: AbortSignal | undefined;
}

const rebuild: OptionChecks<Rebuild> = {
	onProgress: progressCallback,
	signal,
};

export const kvMethods: Methods = {
	status: none,
	rebuild: async(optionalOptions(rebuild)),
	ensureReady: async(optionalOptions(rebuild)),
	verify: async(optionalOptions(verify)),
	vacuum: none,
};

export const indexerMethods: Methods = {
	queueIndex: async(options(indexRequest)),
	build: async(options(indexRequest)),
	run: none,
	stop: async(
		optionalOptions<{ waitMs?: number }>({
			waitMs: wholeNumber(0, longestWaitMs),
		}),
	),
	drain: none,
	status: none,
	repair: async(optionalOptions<{ missing?: boolean }>({ missing: flag })),
	check: sync(optional("table", record)),
	noteRows: sync(
		argument("table", record),
		optional("space", record),
		argument("rows", wholeNumber(0)),
	),
};

const { migrations, to } = migrateChecks;

export const schemaMethods: Methods = {
	diff: none,
	plan: async(optionalOptions({ migrations, to })),
	status: async(optionalOptions({ migrations })),
	repair: async(
		options<{ migrations: string; names: readonly string[] }>({
			migrations: required(text),
			names: required(listOf(text)),
		}),
	),
};

const generateBatch: OptionChecks<GenerateBatchOptions> = {
	provider: text,
	model: text,
	dimensions: wholeNumber(1, 16_000),
	purpose: oneOf("document", "query"),
};

const sync_: OptionChecks<SyncEmbeddingsOptions> = {
	model: modelName,
	onProgress: progressCallback,
	signal,
};

export const embeddingsMethods: Methods = {
	registerProvider: sync(argument("provider", readable)),
	generateBatch: async(
		argument("texts", listOf(anyText)),
		optionalOptions(generateBatch),
	),
	status: none,
	sync: async(optionalOptions(sync_)),
	estimate: async(optionalOptions({ model: modelName, signal })),
	retry: none,
	start: sync(),
	stop: none,
	switch: async(argument("name", modelName)),
	prune: async(argument("name", modelName), optionalOptions({ signal })),
};

export const registryMethods: Methods = {
	add: sync(argument("entity", model)),
	remove: sync(argument("entity", model)),
	has: sync(argument("entity", model)),
	get: sync(argument("tableName", anyText)),
	all: sync(),
};

const ofModel = withParts({
	model: text,
	provider: text,
	dimensions: wholeNumber(1, 16_000),
});

/** A model's name, or an object with its provider and length. */
function modelName(value: unknown): string | undefined {
	if (typeof value === "string") return text(value);
	if (!isRecord(value))
		return `must be a string or { model, provider, dimensions }, not ${typeName(value)}`;
	return value.model === undefined ? "has no model" : ofModel(value);
}

/** What a provider must have is checked where it is registered; here, that it can be read at all. */
function readable(value: unknown): string | undefined {
	Array.isArray(value);
	return value === undefined ? "is missing" : undefined;
}
