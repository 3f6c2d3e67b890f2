import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { environmentSchema, readEnvironment } from "../../src/config.ts";
import { localProvider } from "../../src/embeddings/local.ts";
import { RemError } from "../../src/errors.ts";
import type {
	ConnectOptions,
	ProviderName,
} from "../../src/settings/connect-options.ts";
import { resolveSettings } from "../../src/settings/settings.ts";

const settingsOf = (
	options: ConnectOptions,
	variables: Record<string, string> = {},
) => resolveSettings(options, readEnvironment(variables));

function configError(work: () => unknown): RemError {
	try {
		work();
	} catch (error) {
		if (error instanceof RemError && error.code === "CONFIG_INVALID")
			return error;
		throw error;
	}
	throw new Error("nothing was thrown");
}

test("without variables there are only the defaults", () => {
	expect(readEnvironment({})).toEqual({
		POSTGRES__PORT: 5432,
		POSTGRES__DATABASE: "remdb",
		POSTGRES__READ_WAIT_MS: 500,
		POSTGRES__POOL_SIZE: 20,
		POSTGRES__RETRY_TIMEOUT_MS: 5000,
		POSTGRES__QUERY_TIMEOUT_MS: 60_000,
		POSTGRES__SCHEMA: "public",
		POSTGRES__DEFAULT_TENANT: "default",
		POSTGRES__ROW_LEVEL_SECURITY: false,
		EMBEDDING__BATCH_SIZE: 2048,
		KV_STORE__PERSISTENCE: "unlogged",
		HNSW__M: 16,
		HNSW__EF_CONSTRUCTION: 64,
		HNSW__EF_SEARCH: 100,
		HNSW__QUANTIZED: false,
		FULL_TEXT__LANGUAGE: "english",
		BACKGROUND_INDEX__ENABLED: true,
		BACKGROUND_INDEX__CONCURRENCY: 2,
		BACKGROUND_INDEX__MIN_ROWS: 5000,
		BACKGROUND_INDEX__MEMORY_MB: 1024,
		BACKGROUND_INDEX__LOCK_TIMEOUT_S: 1800,
	});
});

const set: Record<string, [text: string, value: unknown]> = {
	POSTGRES__CONNECTION_STRING: ["postgres://u:p@h:1/d", "postgres://u:p@h:1/d"],
	DATABASE_URL: ["file:./x", "file:./x"],
	POSTGRES__HOST: ["db.example", "db.example"],
	POSTGRES__PORT: ["6432", 6432],
	POSTGRES__DATABASE: ["other", "other"],
	POSTGRES__USER: ["me", "me"],
	POSTGRES__PASSWORD: ["p w", "p w"],
	POSTGRES__DIRECT_HOST: ["direct", "direct"],
	POSTGRES__READ_HOST: ["replica", "replica"],
	POSTGRES__READ_WAIT_MS: ["0", 0],
	POSTGRES__CITUS_NODES: ["direct", "direct"],
	POSTGRES__SSLMODE: ["verify-full", "verify-full"],
	POSTGRES__SSLROOTCERT: ["/etc/ca.crt", "/etc/ca.crt"],
	POSTGRES__POOL_SIZE: ["7", 7],
	POSTGRES__CONNECT_TIMEOUT_MS: ["2000", 2000],
	POSTGRES__RETRY_TIMEOUT_MS: ["90000", 90_000],
	POSTGRES__QUERY_TIMEOUT_MS: ["1000", 1000],
	POSTGRES__SCHEMA: ["rem", "rem"],
	POSTGRES__BUCKETS: ["64", 64],
	POSTGRES__DEFAULT_TENANT: ["acme", "acme"],
	POSTGRES__ROW_LEVEL_SECURITY: ["1", true],
	EMBEDDING__PROVIDER: ["cohere", "cohere"],
	EMBEDDING__MODEL: ["embed-english-v3.0", "embed-english-v3.0"],
	EMBEDDING__DIMENSIONS: ["1024", 1024],
	EMBEDDING__BATCH_SIZE: ["96", 96],
	EMBEDDING__MAX_TOKENS_PER_TEXT: ["512", 512],
	EMBEDDING__REQUESTS_PER_MINUTE: ["3000", 3000],
	EMBEDDING__TOKENS_PER_MINUTE: ["1000000", 1000000],
	EMBEDDING__API_KEY: ["k1", "k1"],
	EMBEDDING__BASE_URL: ["http://localhost:1/v1", "http://localhost:1/v1"],
	OPENAI_API_KEY: ["k2", "k2"],
	COHERE_API_KEY: ["k3", "k3"],
	MCP__TOKENS: ["{}", "{}"],
	KV_STORE__PERSISTENCE: ["logged", "logged"],
	HNSW__M: ["24", 24],
	HNSW__EF_CONSTRUCTION: ["128", 128],
	HNSW__EF_SEARCH: ["200", 200],
	HNSW__QUANTIZED: ["true", true],
	FULL_TEXT__LANGUAGE: ["german", "german"],
	BACKGROUND_INDEX__ENABLED: ["false", false],
	BACKGROUND_INDEX__CONCURRENCY: ["4", 4],
	BACKGROUND_INDEX__MIN_ROWS: ["20000", 20000],
	BACKGROUND_INDEX__MEMORY_MB: ["4096", 4096],
	BACKGROUND_INDEX__PARALLEL_WORKERS: ["0", 0],
	BACKGROUND_INDEX__LOCK_TIMEOUT_S: ["60", 60],
	MODELS__PATH: ["src/models", "src/models"],
};

test("the tables above and below name every variable there is", () => {
	const all = Object.keys(environmentSchema.shape).sort();
	expect(Object.keys(set).sort()).toEqual(all);
	for (const schema of Object.values(environmentSchema.shape))
		expect(schema.meta()?.description).toMatch(/^[A-Zu]/);
});

test.each(Object.entries(set))("%s is read", (name, [text, value]) => {
	const environment = readEnvironment({ [name]: text });
	expect(environment).toHaveProperty(name, value);
});

test.each(Object.keys(set))("%s counts as not set when it is empty", (name) => {
	expect(readEnvironment({ [name]: "" })).toEqual(readEnvironment({}));
});

test.each([
	["1", true],
	["0", false],
	["true", true],
])("a flag may be %s", (text, value) => {
	const environment = readEnvironment({ BACKGROUND_INDEX__ENABLED: text });
	expect(environment.BACKGROUND_INDEX__ENABLED).toBe(value);
});

// No value may be part of another word of the message.
test.each([
	["POSTGRES__CONNECTION_STRING", "mysql://u:canary@h/d"],
	["DATABASE_URL", "canary"],
	["POSTGRES__PORT", "canary"],
	["POSTGRES__PORT", "0"],
	["POSTGRES__PORT", "65536"],
	["POSTGRES__PORT", "5432.5"],
	["POSTGRES__PORT", "-1"],
	["POSTGRES__PORT", " 5432"],
	["POSTGRES__PORT", "0x10"],
	["POSTGRES__READ_WAIT_MS", "60001"],
	["POSTGRES__CONNECT_TIMEOUT_MS", "0"],
	["POSTGRES__SSLMODE", "canary"],
	["POSTGRES__SSLMODE", "prefer"],
	["POSTGRES__POOL_SIZE", "1001"],
	["POSTGRES__POOL_SIZE", "canary"],
	["POSTGRES__SCHEMA", "Canary"],
	["POSTGRES__SCHEMA", "canary;drop"],
	["POSTGRES__SCHEMA", "c".repeat(64)],
	["POSTGRES__BUCKETS", "0"],
	["POSTGRES__BUCKETS", "1025"],
	["POSTGRES__DEFAULT_TENANT", "*"],
	["POSTGRES__DEFAULT_TENANT", "c".repeat(101)],
	["EMBEDDING__DIMENSIONS", "16001"],
	["EMBEDDING__DIMENSIONS", "1e3"],
	["EMBEDDING__BATCH_SIZE", "0"],
	["EMBEDDING__MAX_TOKENS_PER_TEXT", "15"],
	["EMBEDDING__BASE_URL", "ftp://canary"],
	["KV_STORE__PERSISTENCE", "canary"],
	["HNSW__M", "101"],
	["HNSW__EF_CONSTRUCTION", "3"],
	["HNSW__EF_SEARCH", "canary"],
	["FULL_TEXT__LANGUAGE", "canary'"],
	["BACKGROUND_INDEX__ENABLED", "canary"],
	["BACKGROUND_INDEX__CONCURRENCY", "65"],
	["BACKGROUND_INDEX__MIN_ROWS", "0"],
	["BACKGROUND_INDEX__MEMORY_MB", "15"],
	["BACKGROUND_INDEX__PARALLEL_WORKERS", "-1"],
	["BACKGROUND_INDEX__LOCK_TIMEOUT_S", "0"],
])("%s = %j is refused by its name", (name, text) => {
	const error = configError(() => readEnvironment({ [name]: text }));
	expect(error.message).toMatch(new RegExp(`^${name}: expected |^${name}: `));
	expect(error.issues.map(({ field }) => field)).toEqual([name]);
	expect(error.hint).toBeDefined();
	const all = [error.message, error.hint, JSON.stringify(error)].join(" ");
	if (text.length > 4) expect(all).not.toContain(text);
	expect(all).not.toContain("canary");
});

test("every malformed variable is named at once", () => {
	const error = configError(() =>
		readEnvironment({ POSTGRES__PORT: "x", HNSW__M: "y", DATABASE_URL: "z" }),
	);
	expect(error.issues.map(({ field }) => field).sort()).toEqual([
		"DATABASE_URL",
		"HNSW__M",
		"POSTGRES__PORT",
	]);
});

test("a variable of another program is left alone", () => {
	expect(readEnvironment({ PATH: "/bin", PGHOST: "x" })).toEqual(
		readEnvironment({}),
	);
});

describe("the process's environment", () => {
	beforeEach(() => {
		process.env.POSTGRES__POOL_SIZE = "3";
	});
	afterEach(() => {
		delete process.env.POSTGRES__POOL_SIZE;
	});

	test("is what is read when nothing else is given", () => {
		expect(readEnvironment().POSTGRES__POOL_SIZE).toBe(3);
	});
});

describe("the database", () => {
	const everything = {
		POSTGRES__CONNECTION_STRING: "postgres://a@string/d",
		DATABASE_URL: "postgres://a@url/d",
		POSTGRES__HOST: "host",
	};

	test("is the option's, then the connection string's, then DATABASE_URL's, then the host's, else embedded", () => {
		const server = (connectionString: string) => ({
			kind: "server",
			address: { connectionString },
		});
		const { POSTGRES__CONNECTION_STRING: _, ...withoutString } = everything;
		const { DATABASE_URL: __, ...onlyHost } = withoutString;
		const connectionString = "postgresql://a@option/d";
		expect(settingsOf({ connectionString }, everything).database).toEqual(
			server(connectionString),
		);
		expect(settingsOf({}, everything).database).toEqual(
			server("postgres://a@string/d"),
		);
		expect(settingsOf({}, withoutString).database).toEqual(
			server("postgres://a@url/d"),
		);
		expect(settingsOf({}, onlyHost).database).toEqual({
			kind: "server",
			address: { host: "host", port: 5432, database: "remdb" },
		});
		expect(settingsOf({}).database).toEqual({
			kind: "embedded",
			folder: "./.rem",
		});
	});

	test("takes user, password, port and name from their own variables", () => {
		expect(
			settingsOf(
				{},
				{
					POSTGRES__HOST: "h",
					POSTGRES__PORT: "1",
					POSTGRES__DATABASE: "d",
					POSTGRES__USER: "u",
					POSTGRES__PASSWORD: "p",
				},
			).database,
		).toEqual({
			kind: "server",
			address: { host: "h", port: 1, database: "d", user: "u", password: "p" },
		});
	});

	test.each([
		["replica", { host: "replica", port: 5432 }],
		["replica:6000", { host: "replica", port: 6000 }],
		["[::1]:6000", { host: "::1", port: 6000 }],
		["::1", { host: "::1", port: 5432 }],
	])("POSTGRES__READ_HOST=%s is the same database elsewhere", (host, place) => {
		const rest = { database: "remdb", user: "u", password: "p" };
		const variables = {
			POSTGRES__HOST: "h",
			POSTGRES__USER: "u",
			POSTGRES__PASSWORD: "p",
			POSTGRES__READ_HOST: host,
			POSTGRES__DIRECT_HOST: host,
		};
		expect(settingsOf({}, variables).database).toEqual({
			kind: "server",
			address: { host: "h", port: 5432, ...rest },
			readAddress: { ...place, ...rest },
			directAddress: { ...place, ...rest },
		});
	});

	test.each([
		["postgres://u:p%20w@h:1/d", "postgres://u:p%20w@replica:2/d"],
		[
			"postgres://h/d?sslmode=require",
			"postgres://replica:2/d?sslmode=require",
		],
		["postgres://u@h/d?host=/tmp&port=3", "postgres://u@replica:2/d"],
		["postgres:///d", "postgres://replica:2/d"],
	])("%s has its replica at %s", (connectionString, replica) => {
		const variables = {
			DATABASE_URL: connectionString,
			POSTGRES__READ_HOST: "replica:2",
		};
		const expected = {
			kind: "server",
			address: { connectionString },
			readAddress: { connectionString: replica },
		};
		expect(settingsOf({}, variables).database).toEqual(expected);
		const options = { connectionString, readHost: "replica:2" };
		expect(settingsOf(options).database).toEqual(expected);
	});

	test("nodes of a Citus cluster are reached by their own addresses, or by those of a list", () => {
		const connectionString = "postgres://u:p@coordinator:1/d";
		const addresses = (citusNodes: string, node: string) => {
			const { database } = settingsOf({ connectionString, citusNodes });
			return database.kind === "server" && database.nodeAddress?.(node);
		};
		const at = (place: string) => ({
			connectionString: `postgres://u:p@${place}/d`,
		});
		expect(addresses("direct", "10.0.0.6:5432")).toEqual(at("10.0.0.6:5432"));
		expect(addresses("direct", "fd00::6:5432")).toEqual(at("[fd00::6]:5432"));
		const list = "10.0.0.6:5432=db6:6432, fd00::7:5432=[::1]:6433";
		expect(addresses(list, "10.0.0.6:5432")).toEqual(at("db6:6432"));
		expect(addresses(list, "fd00::7:5432")).toEqual(at("[::1]:6433"));
		expect(addresses(list, "10.0.0.8:5432")).toBeUndefined();
		const { database } = settingsOf({ connectionString });
		expect(database).not.toHaveProperty("nodeAddress");
	});

	test("hosts of the environment are not those of another connection string", () => {
		const variables = {
			POSTGRES__HOST: "h",
			POSTGRES__READ_HOST: "replica",
			POSTGRES__DIRECT_HOST: "direct",
		};
		const connectionString = "postgres://a@option/d";
		expect(settingsOf({ connectionString }, variables).database).toEqual({
			kind: "server",
			address: { connectionString },
		});
	});

	test.each([
		["memory:", undefined],
		["memory://", undefined],
		["file:./x", "./x"],
		["file:/a/b", "/a/b"],
		["file:///a/b", "/a/b"],
		["file:with%20space", "with space"],
	])("%s is embedded", (connectionString, folder) => {
		expect(settingsOf({ connectionString }).database).toEqual({
			kind: "embedded",
			folder,
		});
	});

	test.each(["", "file:", "mysql://u:canary@h", "canary", "POSTGRES://canary"])(
		"%j is refused, and not repeated",
		(connectionString) => {
			const error = configError(() => settingsOf({ connectionString }));
			expect(JSON.stringify(error)).not.toContain("canary");
		},
	);

	test("a file address that is badly encoded is CONFIG_INVALID", () => {
		configError(() => settingsOf({ connectionString: "file:%E0%A4%A" }));
	});
});

describe("other settings", () => {
	test("come from options before the environment", () => {
		const variables = {
			POSTGRES__POOL_SIZE: "7",
			POSTGRES__SCHEMA: "rem",
			POSTGRES__DEFAULT_TENANT: "acme",
			EMBEDDING__BATCH_SIZE: "96",
			EMBEDDING__MAX_TOKENS_PER_TEXT: "512",
		};
		expect(settingsOf({}, variables)).toMatchObject({
			poolSize: 7,
			schema: "rem",
			defaultTenant: "acme",
			embeddingBatchSize: 96,
			embeddingCalls: { maxTokensPerText: 512 },
			connectTimeoutMs: 60_000,
		});
		expect(
			settingsOf(
				{
					poolSize: 8,
					schema: "s",
					defaultTenant: "t",
					connectTimeoutMs: 5,
					embedding: { batchSize: 2 },
				},
				variables,
			),
		).toMatchObject({
			poolSize: 8,
			schema: "s",
			defaultTenant: "t",
			embeddingBatchSize: 2,
			connectTimeoutMs: 5,
		});
	});

	test("the wait for a connection is longer where there is only one", () => {
		const server = { connectionString: "postgres://h/d" };
		const memory = { connectionString: "memory:" };
		const variables = { POSTGRES__CONNECT_TIMEOUT_MS: "7" };
		expect(settingsOf(server).connectTimeoutMs).toBe(10_000);
		expect(settingsOf(memory).connectTimeoutMs).toBe(60_000);
		for (const options of [server, memory])
			expect(settingsOf(options, variables).connectTimeoutMs).toBe(7);
		const option = { ...server, connectTimeoutMs: 9 };
		expect(settingsOf(option, variables).connectTimeoutMs).toBe(9);
	});

	test("strictTenancy leaves no default tenant", () => {
		const options = { strictTenancy: true, defaultTenant: "acme" };
		expect(settingsOf(options).defaultTenant).toBeNull();
	});

	test("HNSW and the cache's persistence come from the environment", () => {
		expect(
			settingsOf(
				{},
				{
					HNSW__M: "24",
					HNSW__EF_CONSTRUCTION: "128",
					KV_STORE__PERSISTENCE: "logged",
				},
			),
		).toMatchObject({
			hnsw: { m: 24, efConstruction: 128 },
			kvPersistence: "logged",
		});
	});

	test.each<ConnectOptions>([
		{ poolSize: 0 },
		{ poolSize: Number.NaN },
		{ poolSize: 2.5 },
		{ readHost: "" },
		{ connectionString: "postgres://h/d", citusNodes: "" },
		{ connectionString: "postgres://h/d", citusNodes: "all" },
		{ connectionString: "postgres://h/d", citusNodes: "a:1=b:2,c" },
		{ connectionString: "postgres://h/d", citusNodes: "a:1=b,c" },
		{ connectionString: "postgres://h/d", citusNodes: "a:1=b:x" },
		{ readWaitMs: -1 },
		{ connectTimeoutMs: -1 },
		{ schema: 'rem"; DROP SCHEMA public; --' },
		{ schema: "s".repeat(64) },
		{ schema: "" },
		{ defaultTenant: "*" },
		{ defaultTenant: "" },
		{ defaultTenant: "t".repeat(101) },
		{ embedding: { provider: "local", dimensions: 0 } },
		{ embedding: { provider: "local", dimensions: 1.5 } },
		{ embedding: { provider: "local", batchSize: 0 } },
	])("the option %j is refused as the variable is", (options) => {
		configError(() => settingsOf(options));
	});
});

describe("the embedding provider", () => {
	const memory = { connectionString: "memory:" };
	const server = { connectionString: "postgres://h/d" };

	test("is local on the embedded database without a key, and that is worth a word", () => {
		expect(settingsOf(memory)).toMatchObject({
			embedding: { provider: "local" },
			isLocalByDefault: true,
		});
	});

	test.each<[string, ConnectOptions, Record<string, string>]>([
		["on a server", server, {}],
		["with its key", memory, { OPENAI_API_KEY: "k" }],
		["with the general key", memory, { EMBEDDING__API_KEY: "k" }],
		["with a key as an option", { ...memory, embedding: { apiKey: "k" } }, {}],
		["with an address", memory, { EMBEDDING__BASE_URL: "http://h" }],
		["when it is named", memory, { EMBEDDING__PROVIDER: "openai" }],
	])("is openai %s", (_, options, variables) => {
		expect(settingsOf(options, variables)).toMatchObject({
			embedding: { provider: "openai" },
			isLocalByDefault: false,
		});
	});

	test("named local is nothing to speak of", () => {
		const options = { ...memory, embedding: { provider: "local" } } as const;
		expect(settingsOf(options).isLocalByDefault).toBe(false);
	});

	test("takes each setting from the option before the environment", () => {
		const variables = {
			EMBEDDING__PROVIDER: "openai",
			EMBEDDING__MODEL: "m1",
			EMBEDDING__DIMENSIONS: "1",
			EMBEDDING__API_KEY: "k1",
			EMBEDDING__BASE_URL: "http://one",
		};
		expect(settingsOf(server, variables).embedding).toEqual({
			provider: "openai",
			model: "m1",
			dimensions: 1,
			apiKey: "k1",
			baseUrl: "http://one",
		});
		const embedding = {
			provider: "openai",
			model: "m2",
			dimensions: 2,
			apiKey: "k2",
			baseUrl: "http://two",
		} as const;
		expect(settingsOf({ ...server, embedding }, variables).embedding).toEqual(
			embedding,
		);
	});

	test("does not take another provider's model, dimensions and address from the environment", () => {
		const { embedding } = settingsOf(
			{ ...server, embedding: { provider: "cohere" } },
			{
				EMBEDDING__PROVIDER: "openai",
				EMBEDDING__MODEL: "text-embedding-3-large",
				EMBEDDING__DIMENSIONS: "3072",
				EMBEDDING__BASE_URL: "http://one",
			},
		);
		expect(embedding).toMatchObject({ provider: "cohere", model: undefined });
	});

	test("has its own key where no general one is given", () => {
		const keys = { OPENAI_API_KEY: "o", COHERE_API_KEY: "c" };
		const keyOf = (provider: ProviderName, variables: Record<string, string>) =>
			settingsOf({ ...server, embedding: { provider } }, variables).embedding;
		expect(keyOf("openai", keys)).toMatchObject({ apiKey: "o" });
		expect(keyOf("cohere", keys)).toMatchObject({ apiKey: "c" });
		expect(keyOf("cohere", { ...keys, EMBEDDING__API_KEY: "e" })).toMatchObject(
			{ apiKey: "e" },
		);
		expect(keyOf("local", keys)).toMatchObject({ apiKey: undefined });
	});

	test("may be an object of one's own", () => {
		const own = localProvider({ model: "lexical-v1", dimensions: 8 });
		expect(settingsOf({ ...memory, embedding: own })).toMatchObject({
			embedding: own,
			isLocalByDefault: false,
		});
	});
});
