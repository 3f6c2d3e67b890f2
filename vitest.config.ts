import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { findChromium } from "./scripts/chromium.ts";
import { acquireTestServer, findPostgres } from "./scripts/postgres-server.ts";
import {
	bucketedProofs,
	inOneBucket,
	withoutBuckets,
} from "./test/support/bucketed-tests.ts";

/**
 * `npm test` runs the projects unit, embedded, server and cli; `npm run proofs`
 * those that begin with `proofs-`: what lives in test/proofs, the long forms of
 * random tests, and `onOneEngine` on its second engine. test/engine runs twice:
 * on the embedded database and on a PostgreSQL 18 server (REM_TEST_DATABASE_URL,
 * else one that is started here).
 * The project `proofs-chaos` crashes servers of its own. With
 * REM_TEST_REQUIRE_SERVER set, as in CI, it fails without one, and with
 * REM_TEST_REQUIRE_BROWSER without a Chromium for `proofs-studio`.
 */
export default defineConfig(async () => {
	machine.remTestMachine ??= lookAtMachine();
	const { url, canCrashServers } = await machine.remTestMachine;
	const project = (
		name: string,
		include: readonly string[],
		{
			engine = "none",
			env = {},
			isolate = true,
			exclude = [],
		}: ProjectOptions = {},
	) => ({
		extends: true as const,
		test: {
			name,
			include: [...include],
			exclude: [...exclude],
			isolate,
			globalSetup:
				engine === "server" ? ["test/support/template-database.ts"] : [],
			setupFiles: [
				...(engine === "none" ? [] : ["test/support/check-statements.ts"]),
				...("POSTGRES__BUCKETS" in env ? ["test/support/in-buckets.ts"] : []),
			],
			env: {
				...env,
				REM_TEST_ENGINE: engine,
				...(url === undefined ? {} : { REM_TEST_DATABASE_URL: url }),
			},
		},
	});
	const onServer = <P>(one: P): P[] => (url === undefined ? [] : [one]);
	const crashes = canCrashServers ? ["test/proofs/chaos"] : [];
	const { embedded, server: ofServer } = onOneEngine;
	const engineProofs = [
		"test/proofs/engine/**/*.test.ts",
		...inEngine(longForms),
	];
	const shared = { isolate: false };
	const long = { env: longEnv };
	return {
		test: {
			pool: "forks" as const,
			// A test waits for the server, a timer or a process now and then.
			maxWorkers: 3,
			// The projects load the same modules, and each would transform them again.
			experimental: { fsModuleCache: true },
			// A machine may have ten times the work that it has cores: a limit is
			// there to end what hangs, not to measure.
			testTimeout: 300_000,
			hookTimeout: 300_000,
			teardownTimeout: 60_000,
			expect: { poll: { timeout: 120_000 } },
			setupFiles: [
				"test/support/no-deprecation.ts",
				"test/support/after-file.ts",
			],
			typecheck: { enabled: false },
			sequence: { sequencer: LongProjectsFirst },
			projects: [
				project("unit", ["test/unit/**/*.test.ts"], shared),
				project("embedded", ["test/engine/**/*.test.ts"], {
					...shared,
					engine: "embedded",
					exclude: onServer([...ofServer, ...provedOnEmbedded]).flat(),
				}),
				...onServer(
					project("server", ["test/engine/**/*.test.ts"], {
						...shared,
						engine: "server",
						exclude: embedded,
					}),
				),
				project("cli", ["test/cli/**/*.test.ts"], shared),
				project("proofs-unit", longUnitForms, long),
				project("proofs-embedded", engineProofs, {
					env: { ...longEnv, ...longEnvEmbedded },
					engine: "embedded",
				}),
				...onServer(
					project("proofs-server", engineProofs, { ...long, engine: "server" }),
				),
				...onServer(
					project("proofs-second-embedded", ofServer, {
						...shared,
						engine: "embedded",
					}),
				),
				...onServer(
					project("proofs-second-server", embedded, {
						...shared,
						engine: "server",
					}),
				),
				...onServer(
					project("proofs-second-cli", fewEngines, {
						...shared,
						env: { REM_TEST_SECOND_ENGINE: "1" },
					}),
				),
				...withBuckets.map(({ name, include, exclude = [], buckets }) =>
					project(`${name}-embedded`, include, {
						...shared,
						engine: "embedded",
						env: { POSTGRES__BUCKETS: buckets },
						exclude: [...exclude],
					}),
				),
				...onServer(
					withBuckets.map(({ name, include, exclude = [], buckets }) =>
						project(`${name}-server`, include, {
							...shared,
							engine: "server",
							env: { POSTGRES__BUCKETS: buckets },
							exclude: [...exclude],
						}),
					),
				).flat(),
				project("proofs-cli", ["test/proofs/cli/**/*.test.ts"]),
				project("proofs-citus", ["test/proofs/citus/**/*.test.ts"]),
				project("proofs-studio", ["test/proofs/studio/**/*.test.ts"]),
				project("proofs-package", ["test/proofs/package/**/*.test.ts"]),
				...crashes.map((folder) =>
					project("proofs-chaos", [`${folder}/**/*.test.ts`], {
						engine: "server",
					}),
				),
			],
		},
	};
});

/**
 * The projects whose files take minutes: behind the others, by the names of the
 * projects, one file of 5 minutes is the last and runs alone.
 */
const longProjects = ["proofs-studio", "proofs-package", "proofs-unit"];

class LongProjectsFirst extends BaseSequencer {
	override async sort(files: TestSpecification[]) {
		const sorted = await super.sort(files);
		const isLong = ({ project }: TestSpecification) =>
			longProjects.includes(project.name);
		return [
			...sorted.filter(isLong),
			...sorted.filter((file) => !isLong(file)),
		];
	}
}

/** What the tests can run on. */
interface Machine {
	readonly url: string | undefined;
	readonly canCrashServers: boolean;
}

/** Of the process: vitest evaluates this file once more for each project, and each would start a server. */
const machine = globalThis as { remTestMachine?: Promise<Machine> };

async function lookAtMachine(): Promise<Machine> {
	const server = await acquireTestServer();
	if ("reason" in server)
		sayWhatIsMissing(
			server.reason,
			"THE SERVER HALF OF THE SUITE DOES NOT RUN: set REM_TEST_DATABASE_URL or install docker",
		);
	const installation = await findPostgres();
	if ("reason" in installation)
		sayWhatIsMissing(
			installation.reason,
			"NO SERVER IS CRASHED: install PostgreSQL 18 with pgvector, or docker",
		);
	warnWithoutBrowser();
	return {
		url: "url" in server ? server.url : undefined,
		canCrashServers: !("reason" in installation),
	};
}

interface ProjectOptions {
	readonly engine?: "embedded" | "server" | "none";
	readonly env?: Readonly<Record<string, string>>;
	/** `false`: the files of a worker share one process and its modules. */
	readonly isolate?: boolean;
	readonly exclude?: readonly string[];
}

const inEngine = (names: readonly string[]) =>
	names.map((name) => `test/engine/${name}.test.ts`);

/**
 * Tests of test/engine whose subject is a provider, a protocol, a page, a tool or a result that
 * is compared with another one of the same engine: `npm test` runs them on the named
 * engine, or on the only one there is, and `npm run proofs` on the other.
 */
const onOneEngine = {
	server: inEngine([
		"ai-tools",
		"arguments",
		"embedding-models",
		"embedding-providers",
		"evaluate",
		"filters-oracle",
		"fuzzy-scale",
		"langchain",
		"local-models",
		"mcp",
		"mcp-access",
		"no-row-content",
		"normalized-keys",
		"passages",
		"provider-deviations",
		"read-oracle",
		"read-plans",
		"read-plans-large-tenant",
		"recall",
		"register-type",
		"search-dimensions",
		"search-oracle",
		"studio",
		"telemetry",
		"text-ranking",
		"upsert-abort",
	]),
	embedded: inEngine(["docs", "usage-examples"]),
};

/**
 * The tests of test/engine with buckets: all of them but those that
 * test/support/bucketed-tests.ts names, by `npm run proofs:buckets`; `npm run proofs`
 * runs a part of them.
 */
const withBuckets = [
	{
		name: "buckets-spread",
		buckets: "3",
		include: ["test/engine/**/*.test.ts"],
		exclude: inEngine([
			...Object.keys(inOneBucket),
			...Object.keys(withoutBuckets),
		]),
	},
	{
		name: "buckets-one",
		buckets: "1",
		include: inEngine(Object.keys(inOneBucket)),
	},
	{
		name: "proofs-buckets",
		buckets: "3",
		include: inEngine(bucketedProofs),
	},
];

/** Tests of test/cli with `fewEngines`: one engine in `npm test`, the other as proofs. */
const fewEngines = [
	"buckets",
	"doctor",
	"embeddings",
	"eval",
	"indexes",
	"kv",
	"many-faults",
	"named-tenant",
	"query",
	"rows",
	"streams",
].map((name) => `test/cli/${name}.test.ts`);

/** Tests of test/engine and test/unit that run longer as a proof. */
const longForms = ["model", "model-versions", "query"];
/** Those of them that take minutes on the embedded database, in their short form too. */
const provedOnEmbedded = inEngine(["model-versions"]);
const longUnitForms = [
	"test/unit/linear-time.test.ts",
	"test/unit/query-fuzz.test.ts",
];
const longEnv = {
	REM_TEST_SEQUENCES: "2000",
	REM_TEST_STEPS: "120",
	REM_TEST_QUERY_RUNS: "5000",
	REM_TEST_QUERY_TEXTS: "100000",
	REM_TEST_LINEAR: "all",
};
/** There the versions of a model take turns, and each turn opens the folder. */
const longEnvEmbedded = { REM_TEST_STEPS: "60", REM_TEST_QUERY_RUNS: "500" };

function sayWhatIsMissing(reason: string, consequence: string): void {
	const message = `PostgreSQL 18 is not available: ${reason}`;
	if (process.env.REM_TEST_REQUIRE_SERVER !== undefined)
		throw new Error(message);
	console.warn(`\n*** ${message}\n*** ${consequence}\n`);
}

function warnWithoutBrowser(): void {
	const browser = findChromium();
	if ("path" in browser) return;
	if (process.env.REM_TEST_REQUIRE_BROWSER !== undefined)
		throw new Error(browser.reason);
	console.warn(
		`\n*** ${browser.reason}\n*** THE STUDIO'S PAGE IS NOT TESTED: install Chromium, or name one in CHROMIUM_PATH\n`,
	);
}
