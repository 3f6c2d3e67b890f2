import * as z from "zod";
import {
	type Environment,
	languageName,
	readEnvironment,
	schemaName,
	tenantName,
} from "../config.ts";
import type { TlsSettings } from "../db/tls.ts";
import { fromAiSdk, isAiSdkModel } from "../embeddings/ai-sdk.ts";
import { isModuleProvider, loadProvider } from "../embeddings/load-provider.ts";
import type { EmbeddingProvider } from "../embeddings/provider.ts";
import type { ProviderSettings } from "../embeddings/resolve-provider.ts";
import { RemError } from "../errors.ts";
import type { IndexerSettings } from "../indexer/settings.ts";
import { type Logger, silentLogger } from "../logger.ts";
import type { HnswOptions } from "../schema/hnsw.ts";
import type {
	ConnectOptions,
	EmbeddingCalls,
	EmbeddingOptions,
} from "./connect-options.ts";
import { type DatabaseSettings, resolveDatabase } from "./database-settings.ts";

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
	readonly schema: string;
	readonly defaultTenant: string | null;
	readonly rowLevelSecurity: boolean;
	readonly coalesceLookups: boolean;
	readonly kvPersistence: "unlogged" | "logged";
	readonly hnsw: HnswOptions;
	/** Least candidates of an approximate search. */
	readonly efSearch: number;
	/** Text search configuration of hybrid searches and their index. */
	readonly language: string;
	readonly embedding: ProviderSettings | EmbeddingProvider;
	/** Whether `local` was taken because there is no key, which is worth a word. */
	readonly isLocalByDefault: boolean;
	readonly embeddingBatchSize: number;
	readonly embeddingCalls: EmbeddingCalls;
	/** The providers' own keys, for calls that name another than the service's. */
	readonly embeddingKeys: Readonly<Record<string, string | undefined>>;
	readonly backgroundIndex: IndexerSettings;
	readonly logger: Logger;
}

/** The settings, with the provider that is named by its module. */
export async function loadSettings(options: ConnectOptions): Promise<Settings> {
	const settings = resolveSettings(options);
	const { embedding } = settings;
	if ("embed" in embedding || !isModuleProvider(embedding)) return settings;
	return { ...settings, embedding: await loadProvider(embedding) };
}

export function resolveSettings(
	options: ConnectOptions,
	environment: Environment = readEnvironment(),
): Settings {
	checkOptions(options);
	const database = resolveDatabase(options, environment);
	const embedding = resolveEmbedding(options, environment, database.kind);
	return {
		database,
		tls: {
			mode: environment.POSTGRES__SSLMODE,
			rootCert: environment.POSTGRES__SSLROOTCERT,
		},
		poolSize: options.poolSize ?? environment.POSTGRES__POOL_SIZE,
		connectTimeoutMs:
			options.connectTimeoutMs ??
			environment.POSTGRES__CONNECT_TIMEOUT_MS ??
			defaultConnectTimeoutMs[database.kind],
		retryTimeoutMs:
			options.retryTimeoutMs ?? environment.POSTGRES__RETRY_TIMEOUT_MS,
		queryTimeoutMs:
			options.queryTimeoutMs ?? environment.POSTGRES__QUERY_TIMEOUT_MS,
		readWaitMs: options.readWaitMs ?? environment.POSTGRES__READ_WAIT_MS,
		schema: options.schema ?? environment.POSTGRES__SCHEMA,
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
		logger: options.logger ?? silentLogger,
	};
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

// Whoever waits for the embedded database's one connection waits for a whole load.
const defaultConnectTimeoutMs = { server: 10_000, embedded: 60_000 } as const;

const whole = (minimum: number) =>
	z.optional(z.int(`expected a whole number from ${minimum}`).min(minimum));

/** What the environment's variables are held to holds for the options as well. */
const optionsSchema = z.looseObject({
	poolSize: whole(1),
	connectTimeoutMs: whole(1),
	retryTimeoutMs: whole(0),
	queryTimeoutMs: whole(1),
	readHost: z.optional(z.string().min(1)),
	readWaitMs: whole(0),
	schema: z.optional(schemaName),
	defaultTenant: z.optional(tenantName),
	backgroundIndex: z.optional(
		z.looseObject({
			concurrency: whole(1),
			minRows: whole(1),
			memoryMb: whole(16),
			parallelWorkers: whole(0),
			lockTimeoutMs: whole(1),
			retryMs: whole(0),
		}),
	),
	language: z.optional(languageName),
	embedding: z.optional(
		z.looseObject({
			dimensions: whole(1),
			batchSize: whole(1),
			parallelCalls: whole(1),
			maxTokensPerText: whole(16),
			requestsPerMinute: whole(1),
			tokensPerMinute: whole(1),
			retry: z.optional(
				z.looseObject({
					attempts: whole(1),
					baseMs: whole(0),
					maxMs: whole(0),
					deadlineMs: whole(1),
					timeoutMs: whole(1),
				}),
			),
		}),
	),
});

function checkOptions(options: ConnectOptions): void {
	const checked = optionsSchema.safeParse(options);
	if (checked.success) return;
	const issues = checked.error.issues.map(({ path, message }) => ({
		field: path.join("."),
		message,
	}));
	throw new RemError(
		"CONFIG_INVALID",
		issues.map(({ field, message }) => `${field}: ${message}`).join("; "),
		{ hint: "correct the option", issues },
	);
}

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
	const options: EmbeddingOptions = own === undefined ? embedding : {};
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

function ownProvider(
	embedding: NonNullable<ConnectOptions["embedding"]>,
): EmbeddingProvider | undefined {
	if (isAiSdkModel(embedding)) return fromAiSdk(embedding);
	return "embed" in embedding ? embedding : undefined;
}

/** Nothing says which provider, and the usual one would have no key: `local` needs none. */
function lacksKey(
	options: EmbeddingOptions,
	environment: Environment,
	kind: "server" | "embedded",
): boolean {
	const { OPENAI_API_KEY, EMBEDDING__API_KEY } = environment;
	const key = options.apiKey ?? EMBEDDING__API_KEY ?? OPENAI_API_KEY;
	const url = options.baseUrl ?? environment.EMBEDDING__BASE_URL;
	const named = options.provider ?? environment.EMBEDDING__PROVIDER;
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
	const named = options.provider ?? environment.EMBEDDING__PROVIDER;
	const provider = named ?? (isLocalByDefault ? "local" : "openai");
	// What the environment says of one provider is not another one's.
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

function ownKeys(
	environment: Environment,
): Readonly<Record<string, string | undefined>> {
	return {
		openai: environment.OPENAI_API_KEY,
		cohere: environment.COHERE_API_KEY,
	};
}
