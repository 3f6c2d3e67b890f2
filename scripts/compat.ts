// npm run compat: packs the package, installs the tarball into an empty project and runs a
// smoke test of every verb on each supported runtime, on both engines. The runtimes are npm
// packages; they are installed once, into a cache folder. Last come the examples of the pages on
// frameworks, in a project that has these.
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cp, mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { frameworkExamples, frameworkPackages } from "./frameworks.ts";
import { cacheFolder } from "./postgres-server/installation.ts";
import { acquireTestServer } from "./postgres-server.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..");
const cache = join(cacheFolder(), "runtimes");
const target = `${process.platform}-${process.arch}`;
const bunTarget = target.replace("arm64", "aarch64");
const denoTarget = process.platform === "linux" ? `${target}-glibc` : target;

interface Runtime {
	readonly name: string;
	/** The npm package that has the program, with its version. */
	readonly source: string;
	/** The program in that package. */
	readonly program: string;
	readonly args: readonly string[];
	/** Whether the AI SDK 7 runs on it. */
	readonly hasAgents?: boolean;
}

const node = (version: string): Runtime => ({
	name: `Node.js ${version}`,
	source: `node-${target}@${version}`,
	program: "bin/node",
	args: [],
});

/** The oldest that package.json allows of each line, and the newest. */
const runtimes: readonly Runtime[] = [
	node("20.19.0"),
	node("22.12.0"),
	{ ...node("22"), hasAgents: true },
	{ ...node("24"), hasAgents: true },
	{
		name: "Bun",
		source: `@oven/bun-${bunTarget}@1`,
		program: "bin/bun",
		args: ["run"],
	},
	{
		name: "Deno",
		source: `@deno/${denoTarget}@2`,
		program: "deno",
		args: ["run", "--allow-all"],
	},
];

const only = process.argv.slice(2);
const failures: string[] = [];
let databases = 0;
const project = mkdtempSync(join(tmpdir(), "rem compat-"));
const frameworks = mkdtempSync(join(tmpdir(), "rem frameworks-"));
const server = await acquireTestServer();
try {
	if ("reason" in server) {
		if (process.env.REM_TEST_REQUIRE_SERVER !== undefined)
			throw new Error(server.reason);
		console.log(`*** only the embedded engine is tried: ${server.reason}`);
	}
	const packed = await pack();
	// Beside one another: each waits for npm and for its processes.
	const tried = await Promise.allSettled([
		tryRuntimes(packed),
		isAsked({ name: "frameworks" }) ? tryFrameworks(packed) : undefined,
	]);
	for (const one of tried) if (one.status === "rejected") throw one.reason;
} finally {
	if ("url" in server) await server.stop();
	for (const folder of [project, frameworks])
		rmSync(folder, { recursive: true, force: true });
}
for (const failure of failures) console.error(`\n${failure}`);
process.exitCode = failures.length === 0 ? 0 : 1;

function isAsked({ name }: { name: string }): boolean {
	return only.length === 0 || only.some((word) => name.includes(word));
}

/** The tarball of the package. */
async function pack(): Promise<string> {
	const { stdout } = await run(
		"npm",
		["pack", "--ignore-scripts", "--json", "--pack-destination", project],
		{ cwd: root, maxBuffer: 64 * 1024 * 1024 },
	);
	const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
	return join(project, filename);
}

async function tryRuntimes(packed: string): Promise<void> {
	const asked = runtimes.filter(isAsked);
	if (asked.length > 0) await makeProject(packed);
	for (const runtime of asked) await tryRuntime(runtime);
}

async function makeProject(packed: string): Promise<void> {
	const { devDependencies } = JSON.parse(
		readFileSync(join(root, "package.json"), "utf8"),
	) as { devDependencies: Readonly<Record<string, string>> };
	const versions = ["zod", "@langchain/core"].map(
		(name) => `${name}@${devDependencies[name]}`,
	);
	await install(project, [packed, "ai@7", ...versions]);
	await cp(join(root, "scripts/compat"), project, { recursive: true });
}

async function tryRuntime(runtime: Runtime): Promise<void> {
	const program = await programOf(runtime);
	const { stdout } = await run(program, ["--version"]);
	const version = stdout.split("\n")[0];
	const start = performance.now();
	const works = await Promise.all([
		attempt(runtime, program, "require.cjs", "memory:"),
		attempt(runtime, program, "smoke.mjs", `file:./${runtime.source}`),
		...(runtime.hasAgents
			? [attempt(runtime, program, "agents.mjs", "memory:")]
			: []),
		...("url" in server ? [attemptOnServer(runtime, program, server.url)] : []),
	]);
	const seconds = ((performance.now() - start) / 1000).toFixed(0);
	console.log(
		`${works.includes(false) ? "failed" : "passed"}  ${runtime.name} (${version}), ${seconds} s`,
	);
}

async function tryFrameworks(packed: string): Promise<void> {
	const folder = frameworks;
	await install(folder, [packed, "zod@4", ...frameworkPackages]);
	await run("npm", ["pkg", "set", "type=module"], { cwd: folder });
	for (const [name, attemptIn] of Object.entries(frameworkExamples)) {
		const url =
			"url" in server ? await createDatabase(server.url) : "file:./memory";
		const start = performance.now();
		const env: NodeJS.ProcessEnv = {
			PATH: process.env.PATH,
			HOME: folder,
			NEXT_TELEMETRY_DISABLED: "1",
			EMBEDDING__PROVIDER: "local",
			POSTGRES__CONNECTION_STRING: url,
		};
		const failed = await attemptIn({ folder, env }).then(
			() => false,
			(error) => failures.push(`${name}: ${error}\n${error.stderr ?? ""}`),
		);
		if ("url" in server)
			await execute(server.url, `DROP DATABASE ${nameOf(url)} WITH (FORCE)`);
		const seconds = ((performance.now() - start) / 1000).toFixed(0);
		console.log(`${failed ? "failed" : "passed"}  ${name}, ${seconds} s`);
	}
}

async function attemptOnServer(
	runtime: Runtime,
	program: string,
	server: string,
): Promise<boolean> {
	const url = await createDatabase(server);
	const works = await attempt(runtime, program, "smoke.mjs", url);
	await execute(server, `DROP DATABASE ${nameOf(url)} WITH (FORCE)`);
	return works;
}

/** Whether the file prints "ok" and nothing else, no warning either. */
async function attempt(
	{ name, args }: Runtime,
	program: string,
	file: string,
	url: string,
): Promise<boolean> {
	const { stdout, stderr } = await run(program, [...args, file], {
		cwd: project,
		env: { PATH: process.env.PATH, HOME: project, DATABASE_URL: url },
		timeout: 180_000,
	}).catch((error: { stdout: string; stderr: string }) => error);
	if (stdout === "ok\n" && stderr === "") return true;
	failures.push(
		`${name}: ${file} on ${url.split(":")[0]}:\n${stdout}${stderr}`,
	);
	return false;
}

/** The runtime's program, installed if the cache does not have it. */
async function programOf({ source, program }: Runtime): Promise<string> {
	const folder = join(cache, source.replaceAll("/", "+"));
	const path = join(
		folder,
		"node_modules",
		source.slice(0, source.lastIndexOf("@")),
		program,
	);
	if (!existsSync(path)) {
		await mkdir(folder, { recursive: true });
		await install(folder, [source]);
	}
	return path;
}

async function install(
	folder: string,
	packages: readonly string[],
): Promise<void> {
	await writeFile(join(folder, "package.json"), '{ "private": true }\n');
	await run(
		"npm",
		["install", "--ignore-scripts", "--no-audit", "--no-fund", ...packages],
		{ cwd: folder },
	);
}

async function createDatabase(url: string): Promise<string> {
	const name = `remdb_compat_${process.pid}_${Date.now()}_${++databases}`;
	await execute(url, `CREATE DATABASE ${name} TEMPLATE template0`);
	const created = new URL(url);
	created.pathname = `/${name}`;
	return created.href;
}

function nameOf(url: string): string {
	return new URL(url).pathname.slice(1);
}

async function execute(url: string, text: string): Promise<void> {
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	await client.query(text);
	await client.end();
}
