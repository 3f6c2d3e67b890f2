import { type Environment, readEnvironment } from "../config.ts";
import type { TlsSettings } from "../db/tls.ts";
import {
	type AiSdkEmbeddingModel,
	fromAiSdk,
	isAiSdkModel,
} from "../embeddings/ai-sdk.ts";
import { checkProvider } from "../embeddings/check-provider.ts";
import { isModuleProvider, loadProvider } from "../embeddings/load-provider.ts";
import type { EmbeddingProvider } from "../embeddings/provider.ts";
import type { ProviderSettings } from "../embeddings/resolve-provider.ts";
import { findDimensions } from "../embeddings/transformers.ts";
import { modelsByCard } from "../embeddings/transformers-card.ts";
import { RemError } from "../errors.ts";
import type { IndexerSettings } from "../indexer/build-memory.ts";
import { type Logger, shielded, silentLogger } from "../logger.ts";
import type { HnswOptions } from "../schema/index-types/definition.ts";
import { checkConnectOptions } from "./check-connect-options.ts";
import type {
	ConnectOptions,
	EmbeddingCalls,
	EmbeddingOptions,
} from "./connect-options.ts";
import { type DatabaseSettings, resolveDatabase } from "./database-settings.ts";
import { connectTimeoutMsOf } from "./server-address.ts";

/** Every setting of a service, resolved once: option over environment over default. */
export interface Settings {
	readonly database: DatabaseSettings;
	/** Of every host. */
	readonly tls: TlsSettings;
	readonly poolSize: number;
	readonly connectTimeoutMs: number;
	readonly retryTimeoutMs: number;
	readonly queryTimeoutMs: number;
	/** Longest wait of a read for the replica to have what this service wrote. */
	readonly readWaitMs: number;
	/** With buckets: of the table that lists them, and the beginning of their names. */
	readonly schema: string;
	/** Schemas that tenants are spread over; `undefined`: all are in `schema`. */
	readonly buckets: number | undefined;
	readonly defaultTenant: string | null;
	readonly rowLevelSecurity: boolean;
	readonly coalesceLookups: boolean;
	readonly kvPersistence: "unlogged" | "logged";
	readonly hnsw: HnswOptions;
	/** Minimum of candidates in an approximate search. */
	readonly efSearch: number;
	/** Text search configuration of hybrid searches and their index. */
	readonly language: string;
	readonly embedding: ProviderSettings | EmbeddingProvider;
	/** Whether `local` was taken because there is no key, which is logged. */
	readonly isLocalByDefault: boolean;
	readonly embeddingBatchSize: number;
	readonly embeddingCalls: EmbeddingCalls;
	/** The providers' own keys, for calls that name another than the service's. */
	readonly embeddingKeys: Readonly<Record<string, string | undefined>>;
	readonly backgroundIndex: IndexerSettings;
	readonly logger: Logger;
}

/** The settings, with the provider that is named by its module, and the length that only a model's files state. */
export async function loadSettings(options: ConnectOptions): Promise<Settings> {
	const settings = resolveSettings(options);
	const { embedding } = settings;
	if ("embed" in embedding) return settings;
	if (isModuleProvider(embedding))
		return { ...settings, embedding: await loadProvider(embedding) };
	const { provider, model, dimensions } = embedding;
	if (provider !== "transformers" || model === undefined) return settings;
	if (dimensions !== undefined || Object.hasOwn(modelsByCard(model), model))
		return settings;
	const found = await findDimensions(model);
	return { ...settings, embedding: { ...embedding, dimensions: found } };
}

export function resolveSettings(
	options: ConnectOptions,
	environment: Environment = readEnvironment(),
): Settings {
	checkConnectOptions(options);
	const database = resolveDatabase(options, environment);
	const embedding = resolveEmbedding(options, environment, database.kind);
	const logger =
		options.logger === undefined ? silentLogger : shielded(options.logger);
	if (isUndefined(options)) warnOfUndefined(logger, database);
	return {
		database,
		tls: {
			mode: environment.POSTGRES__SSLMODE,
			rootCert: environment.POSTGRES__SSLROOTCERT,
		},
		poolSize: options.poolSize ?? environment.POSTGRES__POOL_SIZE,
		connectTimeoutMs:
			options.connectTimeoutMs ??
			connectTimeoutMs(database) ??
			environment.POSTGRES__CONNECT_TIMEOUT_MS ??
			defaultConnectTimeoutMs[database.kind],
		retryTimeoutMs:
			options.retryTimeoutMs ?? environment.POSTGRES__RETRY_TIMEOUT_MS,
		queryTimeoutMs:
			options.queryTimeoutMs ?? environment.POSTGRES__QUERY_TIMEOUT_MS,
		readWaitMs: options.readWaitMs ?? environment.POSTGRES__READ_WAIT_MS,
		schema: options.schema ?? environment.POSTGRES__SCHEMA,
		buckets: options.buckets ?? environment.POSTGRES__BUCKETS,
		defaultTenant:
			options.strictTenancy === true
				? null
				: (options.defaultTenant ?? environment.POSTGRES__DEFAULT_TENANT),
		coalesceLookups: options.coalesceLookups ?? true,
		rowLevelSecurity:
			options.rowLevelSecurity ?? environment.POSTGRES__ROW_LEVEL_SECURITY,
		kvPersistence: environment.KV_STORE__PERSISTENCE,
		hnsw: {
			m: environment.HNSW__M,
			efConstruction: environment.HNSW__EF_CONSTRUCTION,
			quantized: environment.HNSW__QUANTIZED,
		},
		efSearch: environment.HNSW__EF_SEARCH,
		language: options.language ?? environment.FULL_TEXT__LANGUAGE,
		...embedding,
		backgroundIndex: resolveBackgroundIndex(options, environment),
		logger,
	};
}

/** As of `connectionString: process.env.NAME`, where the variable is not set. */
function isUndefined(options: ConnectOptions): boolean {
	return (
		"connectionString" in options && options.connectionString === undefined
	);
}

function warnOfUndefined(logger: Logger, database: DatabaseSettings): void {
	const used =
		database.kind === "server"
			? "the server that the environment names"
			: database.folder === undefined
				? "an embedded database in memory, as the environment has it,"
				: `the embedded database in ${database.folder}`;
	logger.warn(
		{},
		`the option connectionString is given, but undefined: ${used} is used; leave the option out if that is meant`,
	);
}

function resolveBackgroundIndex(
	{ backgroundIndex: options = {} }: ConnectOptions,
	environment: Environment,
): IndexerSettings {
	return {
		enabled: options.enabled ?? environment.BACKGROUND_INDEX__ENABLED,
		concurrency:
			options.concurrency ?? environment.BACKGROUND_INDEX__CONCURRENCY,
		minRows: options.minRows ?? environment.BACKGROUND_INDEX__MIN_ROWS,
		memoryMb: options.memoryMb ?? environment.BACKGROUND_INDEX__MEMORY_MB,
		parallelWorkers:
			options.parallelWorkers ?? environment.BACKGROUND_INDEX__PARALLEL_WORKERS,
		lockTimeoutMs:
			options.lockTimeoutMs ??
			environment.BACKGROUND_INDEX__LOCK_TIMEOUT_S * 1000,
		retryMs: options.retryMs ?? 2000,
	};
}

function connectTimeoutMs(database: DatabaseSettings): number | undefined {
	const url =
		database.kind === "server" ? database.address.connectionString : undefined;
	return url === undefined ? undefined : connectTimeoutMsOf(url);
}

// A call that waits for the embedded database's one connection waits for a whole load.
const defaultConnectTimeoutMs = { server: 10_000, embedded: 60_000 } as const;

type EmbeddingSettings = Pick<
	Settings,
	| "embedding"
	| "isLocalByDefault"
	| "embeddingBatchSize"
	| "embeddingCalls"
	| "embeddingKeys"
>;

function resolveEmbedding(
	{ embedding = {} }: ConnectOptions,
	environment: Environment,
	kind: "server" | "embedded",
): EmbeddingSettings {
	const own = ownProvider(embedding);
	const options = isProvider(embedding) ? {} : embedding;
	const isLocalByDefault =
		own === undefined && lacksKey(options, environment, kind);
	return {
		embedding: own ?? namedProvider(options, environment, isLocalByDefault),
		isLocalByDefault,
		embeddingBatchSize: options.batchSize ?? environment.EMBEDDING__BATCH_SIZE,
		embeddingCalls: {
			parallelCalls: options.parallelCalls,
			maxTokensPerText:
				options.maxTokensPerText ?? environment.EMBEDDING__MAX_TOKENS_PER_TEXT,
			requestsPerMinute:
				options.requestsPerMinute ?? environment.EMBEDDING__REQUESTS_PER_MINUTE,
			tokensPerMinute:
				options.tokensPerMinute ?? environment.EMBEDDING__TOKENS_PER_MINUTE,
			retry: options.retry,
		},
		embeddingKeys: ownKeys(environment),
	};
}

/** The provider that is an object: given as it is, or with how it is to be called. */
function ownProvider(
	embedding: NonNullable<ConnectOptions["embedding"]>,
): EmbeddingProvider | undefined {
	if (isProvider(embedding)) return toProvider(embedding, "embedding");
	const { provider, model, dimensions } = embedding;
	if (typeof provider !== "object") return undefined;
	const own = toProvider(provider, "embedding.provider", dimensions);
	if (model !== undefined && model !== own.model)
		throw notItsOwn("model", own.model);
	if (dimensions !== undefined && dimensions !== own.dimensions)
		throw notItsOwn("dimensions", String(own.dimensions));
	return own;
}

function isProvider(
	embedding: NonNullable<ConnectOptions["embedding"]>,
): embedding is EmbeddingProvider | AiSdkEmbeddingModel {
	return isAiSdkModel(embedding) || "embed" in embedding;
}

function toProvider(
	given: EmbeddingProvider | AiSdkEmbeddingModel,
	origin: string,
	dimensions?: number,
): EmbeddingProvider {
	return isAiSdkModel(given)
		? fromAiSdk(given, dimensions === undefined ? {} : { dimensions })
		: checkProvider(given, origin);
}

function notItsOwn(name: string, own: string): RemError {
	return new RemError(
		"CONFIG_INVALID",
		`embedding.${name}: the provider that is given has ${own}`,
		{ hint: `leave ${name} out: it is the provider's` },
	);
}

/** No provider is configured, and the default one would have no key: `local` needs none. */
function lacksKey(
	options: EmbeddingOptions,
	environment: Environment,
	kind: "server" | "embedded",
): boolean {
	const { OPENAI_API_KEY, EMBEDDING__API_KEY } = environment;
	const key = options.apiKey ?? EMBEDDING__API_KEY ?? OPENAI_API_KEY;
	const url = options.baseUrl ?? environment.EMBEDDING__BASE_URL;
	const named = nameOf(options) ?? environment.EMBEDDING__PROVIDER;
	return (
		kind === "embedded" &&
		[named, key, url].every((setting) => setting === undefined)
	);
}

function namedProvider(
	options: EmbeddingOptions,
	environment: Environment,
	isLocalByDefault: boolean,
): ProviderSettings {
	const named = nameOf(options) ?? environment.EMBEDDING__PROVIDER;
	const provider = named ?? (isLocalByDefault ? "local" : "openai");
	// Variables of one provider do not apply to another one.
	const isItsOwn =
		!isLocalByDefault &&
		provider === (environment.EMBEDDING__PROVIDER ?? provider);
	const from = isItsOwn ? environment : undefined;
	return {
		provider,
		model: options.model ?? from?.EMBEDDING__MODEL,
		dimensions: options.dimensions ?? from?.EMBEDDING__DIMENSIONS,
		apiKey:
			options.apiKey ??
			from?.EMBEDDING__API_KEY ??
			ownKeys(environment)[provider],
		baseUrl: options.baseUrl ?? from?.EMBEDDING__BASE_URL,
	};
}

function nameOf({ provider }: EmbeddingOptions): string | undefined {
	return typeof provider === "string" ? provider : undefined;
}

function ownKeys(
	environment: Environment,
): Readonly<Record<string, string | undefined>> {
	return {
		openai: environment.OPENAI_API_KEY,
		cohere: environment.COHERE_API_KEY,
	};
}
