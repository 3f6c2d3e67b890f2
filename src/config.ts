import * as z from "zod";
import { type Issue, RemError } from "./errors.ts";

const wholeNumber = (minimum: number, maximum: number) =>
	z
		.string()
		.regex(/^\d+$/, `expected a whole number from ${minimum} to ${maximum}`)
		.transform(Number)
		.pipe(
			z
				.number()
				.min(minimum, `expected a number from ${minimum} to ${maximum}`)
				.max(maximum, `expected a number from ${minimum} to ${maximum}`),
		);

const flag = z
	.enum(["true", "false", "1", "0"], "expected true or false")
	.transform((text) => text === "true" || text === "1");

const url = (...protocols: string[]) =>
	z
		.string()
		.refine(
			(text) => protocols.some((protocol) => text.startsWith(protocol)),
			`expected an address that starts with ${protocols.join(" or ")}`,
		);

const databaseUrl = url("postgresql://", "postgres://", "file:", "memory:");

export const schemaName = z
	.string()
	.regex(
		/^[a-z_][a-z0-9_]{0,62}$/,
		"expected a lower-case PostgreSQL name of at most 63 characters",
	);

/** A schema of each has some dozens of relations. */
export const maxBuckets = 1024;

export const tenantName = z
	.string()
	.min(1, "expected a tenant name")
	.max(100, "expected at most 100 characters")
	.refine((name) => name !== "*", 'the tenant "*" is reserved');

export const languageName = z
	.string()
	.regex(
		/^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$/,
		"expected the name of a text search configuration, such as english or simple",
	);

/** libpq's, without those that go on unencrypted when the server has no TLS. */
export const sslModes = [
	"disable",
	"require",
	"verify-ca",
	"verify-full",
] as const;

export type SslMode = (typeof sslModes)[number];

/**
 * Every environment variable there is: its type, its default and its meaning.
 * docs/configuration.md is generated from this schema.
 */
export const environmentSchema = z.object({
	POSTGRES__CONNECTION_STRING: databaseUrl.optional().meta({
		description:
			"The database: postgresql://user:password@host:port/name, or file:PATH or memory: for the embedded one",
	}),
	DATABASE_URL: databaseUrl.optional().meta({
		description: "The same, read when POSTGRES__CONNECTION_STRING is not set",
	}),
	POSTGRES__HOST: z.string().optional().meta({
		description:
			"Server to connect to when no connection string is given; without any of these the embedded database in ./.rem is used",
	}),
	POSTGRES__PORT: wholeNumber(1, 65535).default(5432).meta({
		description: "Port of POSTGRES__HOST",
	}),
	POSTGRES__DATABASE: z.string().default("remdb").meta({
		description: "Database on POSTGRES__HOST",
	}),
	POSTGRES__USER: z.string().optional().meta({
		description: "User; without it, the name of the operating system's user",
	}),
	POSTGRES__PASSWORD: z.string().optional().meta({ description: "Password" }),
	POSTGRES__DIRECT_HOST: z.string().optional().meta({
		description:
			"Server behind the pooler, for migrations, index builds and workers: host, or host:port; without it, POSTGRES__HOST",
	}),
	POSTGRES__READ_HOST: z.string().optional().meta({
		description:
			"Replica for reads that allow it: host, or host:port; without it, POSTGRES__HOST",
	}),
	POSTGRES__READ_WAIT_MS: wholeNumber(0, 60_000).default(500).meta({
		description:
			"Longest wait, in milliseconds, of such a read for the replica to have what this process wrote; then the primary answers",
	}),
	POSTGRES__CITUS_NODES: z.string().optional().meta({
		description:
			"On Citus, send calls about one bucket to its node directly: direct, by the address that Citus has of it, or a list of node=address, each host:port; without it, everything goes to the coordinator",
	}),
	POSTGRES__SSLMODE: z
		.enum(sslModes, `expected one of ${sslModes.join(", ")}`)
		.optional()
		.meta({
			description:
				"TLS, of every host: require encrypts, verify-ca checks the certificate's authority, verify-full its name, too; without it none, or verify-full where POSTGRES__SSLROOTCERT is set. sslmode in a connection string goes before it",
		}),
	POSTGRES__SSLROOTCERT: z.string().optional().meta({
		description:
			"File with the certificate of the servers' authority, or system for those that Node.js trusts",
	}),
	POSTGRES__POOL_SIZE: wholeNumber(1, 1000).default(20).meta({
		description: "Connections in the pool (the embedded database always has 1)",
	}),
	POSTGRES__CONNECT_TIMEOUT_MS: wholeNumber(1, 3_600_000).optional().meta({
		description:
			"Longest wait, in milliseconds, for a connection, a free one of the pool included; without it, 10000, and 60000 for the embedded database",
	}),
	POSTGRES__RETRY_TIMEOUT_MS: wholeNumber(0, 3_600_000).default(5000).meta({
		description:
			"How long, in milliseconds, reads and batch upserts are retried while the server is unreachable; workers use 90000",
	}),
	POSTGRES__QUERY_TIMEOUT_MS: wholeNumber(1, 86_400_000).default(60_000).meta({
		description:
			"Longest time, in milliseconds, of a read's or a write's statement: then it is cancelled on the server; SQL of your own has no limit",
	}),
	POSTGRES__SCHEMA: schemaName
		.default("public")
		.meta({ description: "Schema of our tables" }),
	POSTGRES__BUCKETS: wholeNumber(1, maxBuckets).optional().meta({
		description:
			"Number of schemas that tenants are spread over, fixed when the database is first migrated; without it, all are in one schema (docs/buckets.md)",
	}),
	POSTGRES__DEFAULT_TENANT: tenantName
		.default("default")
		.meta({ description: "Tenant of entities and calls that name none" }),
	POSTGRES__ROW_LEVEL_SECURITY: flag.default(false).meta({
		description:
			"Whether a connection is refused to which the server's row level security does not apply",
	}),
	EMBEDDING__PROVIDER: z.string().min(1).optional().meta({
		description:
			"Embedding provider: openai, cohere, transformers, local, or module: and a path or package; openai unless set; on the embedded database without a key, the offline provider local",
	}),
	EMBEDDING__MODEL: z.string().min(1).optional().meta({
		description:
			"Model of the provider; without it, the provider's usual one (openai: text-embedding-3-small; local: semantic-v1); for transformers, a name at huggingface.co or a folder",
	}),
	EMBEDDING__DIMENSIONS: wholeNumber(1, 16000).optional().meta({
		description:
			"Length of the vectors; without it, the model's own (semantic-v1: 612)",
	}),
	EMBEDDING__BATCH_SIZE: wholeNumber(1, 100_000).default(2048).meta({
		description:
			"Maximum of texts in one provider call (the provider's own limit still applies)",
	}),
	EMBEDDING__MAX_TOKENS_PER_TEXT: wholeNumber(16, 1_000_000).optional().meta({
		description:
			"A text of more (estimated) tokens is stored as several passages; without it, what the model takes",
	}),
	EMBEDDING__REQUESTS_PER_MINUTE: wholeNumber(1, 1_000_000).optional().meta({
		description: "Calls the provider's account allows in a minute",
	}),
	EMBEDDING__TOKENS_PER_MINUTE: wholeNumber(1, 1_000_000_000).optional().meta({
		description: "Tokens the provider's account allows in a minute",
	}),
	EMBEDDING__API_KEY: z.string().min(1).optional().meta({
		description: "Key of the provider, whichever it is",
	}),
	EMBEDDING__BASE_URL: url("http://", "https://").optional().meta({
		description:
			"Address of the provider, or of an OpenAI-compatible server, up to /v1; a server of your own needs no key",
	}),
	OPENAI_API_KEY: z.string().min(1).optional().meta({
		description:
			"Key for the provider openai when EMBEDDING__API_KEY is not set",
	}),
	COHERE_API_KEY: z.string().min(1).optional().meta({
		description:
			"Key for the provider cohere when EMBEDDING__API_KEY is not set",
	}),
	MCP__TOKENS: z.string().min(1).optional().meta({
		description:
			"Bearer tokens of rem mcp --http, as JSON like that of its --tokens file",
	}),
	KV_STORE__PERSISTENCE: z
		.enum(["unlogged", "logged"])
		.default("unlogged")
		.meta({
			description:
				"unlogged: fastest, rebuilt after a crash; logged: readable on standbys",
		}),
	HNSW__M: wholeNumber(2, 100).default(16).meta({
		description: "Links per node of an HNSW index",
	}),
	HNSW__EF_CONSTRUCTION: wholeNumber(4, 1000).default(64).meta({
		description: "Candidates considered while an HNSW index is built",
	}),
	HNSW__EF_SEARCH: wholeNumber(1, 1000).default(100).meta({
		description:
			"Minimum of candidates in an approximate search of an index of 20,000 vectors or more; a smaller index needs fewer, a small tenant's share of it more",
	}),
	HNSW__QUANTIZED: flag.default(false).meta({
		description:
			"Whether HNSW indexes store one bit a dimension: 16 times smaller, a little less exact",
	}),
	FULL_TEXT__LANGUAGE: languageName.default("english").meta({
		description:
			"Text search configuration of PostgreSQL for hybrid searches and their index",
	}),
	BACKGROUND_INDEX__ENABLED: flag.default(true).meta({
		description: "Whether background indexes are built automatically",
	}),
	BACKGROUND_INDEX__CONCURRENCY: wholeNumber(1, 64).default(2).meta({
		description: "Tables whose indexes are built at the same time",
	}),
	BACKGROUND_INDEX__MIN_ROWS: wholeNumber(1, 1_000_000_000).default(5000).meta({
		description:
			"Rows, vectors or edges from which an index is built automatically: below, scans are as fast",
	}),
	BACKGROUND_INDEX__MEMORY_MB: wholeNumber(16, 1_000_000).default(1024).meta({
		description:
			"Maximum memory of one build, in MB: maintenance_work_mem is set as high as its HNSW graph needs, up to this",
	}),
	BACKGROUND_INDEX__PARALLEL_WORKERS: wholeNumber(0, 64).optional().meta({
		description:
			"Parallel workers of one build; without it, the server's max_parallel_maintenance_workers",
	}),
	BACKGROUND_INDEX__LOCK_TIMEOUT_S: wholeNumber(1, 1_000_000)
		.default(1800)
		.meta({
			description:
				"Longest wait of a build for other transactions, in seconds; then it is retried",
		}),
	MODELS__PATH: z.string().optional().meta({
		description:
			"For the command rem: file or folder of the modules that export your models, as --models, which goes before it; without both, the built-in models",
	}),
});

export type Environment = z.output<typeof environmentSchema>;

/**
 * Reads the environment once. An empty variable counts as not set; a malformed
 * one throws `CONFIG_INVALID` naming it (its value stays out of the message).
 */
export function readEnvironment(
	variables: Readonly<Record<string, string | undefined>> = process.env,
): Environment {
	const set = Object.fromEntries(
		Object.entries(variables).filter(([, value]) => value !== ""),
	);
	const parsed = environmentSchema.safeParse(set);
	if (parsed.success) return parsed.data;
	const issues = parsed.error.issues.map(
		(issue): Issue => ({
			field: String(issue.path[0]),
			message: issue.message,
		}),
	);
	throw new RemError(
		"CONFIG_INVALID",
		issues.map((issue) => `${issue.field}: ${issue.message}`).join("; "),
		{ hint: "correct or unset the environment variable", issues },
	);
}
