import * as z from "zod";
import {
	type Environment,
	readEnvironment,
	schemaName,
	tenantName,
} from "../config.ts";
import type { ServerAddress } from "../db/server.ts";
import type { EmbeddingProvider } from "../embeddings/provider.ts";
import type { ProviderSettings } from "../embeddings/resolve-provider.ts";
import { RemError } from "../errors.ts";
import { type Logger, silentLogger } from "../logger.ts";
import type { Entity } from "../models/entity.ts";
import type { HnswOptions } from "../schema/indexes.ts";

/** How to connect; what is not given comes from the environment (docs/configuration.md). */
export interface ConnectOptions<
	M extends readonly Entity[] = readonly Entity[],
> {
	/** `postgresql://user:password@host:port/name`; `file:PATH` or `memory:` for the embedded database. */
	readonly connectionString?: string;
	/** @default 20; the embedded database always has 1 */
	readonly poolSize?: number;
	/** The entities there are. @default the built-in ones */
	readonly models?: M;
	/** A provider by name, or one of your own. */
	readonly embedding?: EmbeddingOptions | EmbeddingProvider;
	/** Schema of our tables. @default "public" */
	readonly schema?: string;
	/** Tenant of entities and calls that name none. @default "default" */
	readonly defaultTenant?: string;
	/** Refuse entities and calls without a tenant. @default false */
	readonly strictTenancy?: boolean;
	/** Longest wait for a connection, in milliseconds. @default 10000; embedded, where there is one, 60000 */
	readonly connectTimeoutMs?: number;
	/** @default silent */
	readonly logger?: Logger;
}

export interface EmbeddingOptions {
	readonly provider?: string;
	readonly model?: string;
	/** Length of the vectors. @default the model's own */
	readonly dimensions?: number;
	readonly apiKey?: string;
	readonly baseUrl?: string;
	/** Upper bound of texts in one call. @default 2048 */
	readonly batchSize?: number;
}

/** Every setting of a service, resolved once: option over environment over default. */
export interface Settings {
	readonly database:
		| { readonly kind: "server"; readonly address: ServerAddress }
		| { readonly kind: "embedded"; readonly folder: string | undefined };
	readonly poolSize: number;
	readonly connectTimeoutMs: number;
	readonly schema: string;
	readonly defaultTenant: string | null;
	readonly kvPersistence: "unlogged" | "logged";
	readonly hnsw: HnswOptions;
	readonly embedding: ProviderSettings | EmbeddingProvider;
	/** Whether `local` was taken because there is no key, which is worth a word. */
	readonly isLocalByDefault: boolean;
	readonly embeddingBatchSize: number;
	readonly logger: Logger;
}

export function resolveSettings(
	options: ConnectOptions,
	environment: Environment = readEnvironment(),
): Settings {
	checkOptions(options);
	const database = resolveDatabase(options.connectionString, environment);
	const embedding = resolveEmbedding(options, environment, database.kind);
	return {
		database,
		poolSize: options.poolSize ?? environment.POSTGRES__POOL_SIZE,
		connectTimeoutMs:
			options.connectTimeoutMs ?? defaultConnectTimeoutMs[database.kind],
		schema: options.schema ?? environment.POSTGRES__SCHEMA,
		defaultTenant:
			options.strictTenancy === true
				? null
				: (options.defaultTenant ?? environment.POSTGRES__DEFAULT_TENANT),
		kvPersistence: environment.KV_STORE__PERSISTENCE,
		hnsw: {
			m: environment.HNSW__M,
			efConstruction: environment.HNSW__EF_CONSTRUCTION,
		},
		...embedding,
		logger: options.logger ?? silentLogger,
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
	schema: z.optional(schemaName),
	defaultTenant: z.optional(tenantName),
	embedding: z.optional(
		z.looseObject({ dimensions: whole(1), batchSize: whole(1) }),
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

function resolveDatabase(
	option: string | undefined,
	environment: Environment,
): Settings["database"] {
	const url =
		option ??
		environment.POSTGRES__CONNECTION_STRING ??
		environment.DATABASE_URL;
	if (url !== undefined) return fromUrl(url);
	const { POSTGRES__HOST: host } = environment;
	if (host === undefined) return { kind: "embedded", folder: "./.rem" };
	const { POSTGRES__USER: user, POSTGRES__PASSWORD: password } = environment;
	return {
		kind: "server",
		address: {
			host,
			port: environment.POSTGRES__PORT,
			database: environment.POSTGRES__DATABASE,
			...(user === undefined ? {} : { user }),
			...(password === undefined ? {} : { password }),
		},
	};
}

function fromUrl(url: string): Settings["database"] {
	if (url === "memory:" || url === "memory://")
		return { kind: "embedded", folder: undefined };
	if (url.startsWith("file:")) {
		const folder = decode(url.replace(/^file:(\/\/)?/, ""));
		if (folder) return { kind: "embedded", folder };
	}
	if (/^postgres(ql)?:\/\//.test(url))
		return { kind: "server", address: { connectionString: url } };
	throw new RemError(
		"CONFIG_INVALID",
		"the connection string is none we know",
		{
			hint: "expected postgresql://user:password@host:port/name, file:PATH or memory:",
		},
	);
}

function decode(text: string): string | undefined {
	try {
		return decodeURIComponent(text);
	} catch {
		return undefined; // a % that is none: the address is refused
	}
}

function resolveEmbedding(
	{ embedding = {} }: ConnectOptions,
	environment: Environment,
	kind: "server" | "embedded",
): Pick<Settings, "embedding" | "isLocalByDefault" | "embeddingBatchSize"> {
	const embeddingBatchSize = environment.EMBEDDING__BATCH_SIZE;
	if ("embed" in embedding)
		return { embedding, isLocalByDefault: false, embeddingBatchSize };
	const named = embedding.provider ?? environment.EMBEDDING__PROVIDER;
	const isLocalByDefault =
		named === undefined &&
		kind === "embedded" &&
		keyFor("openai", embedding, environment) === undefined &&
		(embedding.baseUrl ?? environment.EMBEDDING__BASE_URL) === undefined;
	const provider = named ?? (isLocalByDefault ? "local" : "openai");
	// What the environment says of one provider is not another one's.
	const other = environment.EMBEDDING__PROVIDER ?? provider;
	const from = other === provider ? environment : undefined;
	return {
		embedding: {
			provider,
			model: embedding.model ?? from?.EMBEDDING__MODEL,
			dimensions: embedding.dimensions ?? from?.EMBEDDING__DIMENSIONS,
			apiKey: keyFor(provider, embedding, environment),
			baseUrl: embedding.baseUrl ?? from?.EMBEDDING__BASE_URL,
		},
		isLocalByDefault,
		embeddingBatchSize: embedding.batchSize ?? embeddingBatchSize,
	};
}

function keyFor(
	provider: string,
	embedding: EmbeddingOptions,
	environment: Environment,
): string | undefined {
	const own: Readonly<Record<string, string | undefined>> = {
		openai: environment.OPENAI_API_KEY,
		cohere: environment.COHERE_API_KEY,
	};
	return embedding.apiKey ?? environment.EMBEDDING__API_KEY ?? own[provider];
}
