import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterFile } from "../support/after-file.ts";
import { nodeArguments } from "../support/child-arguments.ts";
import { runInProcess } from "./in-process.mjs";

/** The built program: `npm test` builds it first. */
export const main = fileURLToPath(
	new URL("../../dist/cli/main.js", import.meta.url),
);

export interface Ended {
	readonly code: number | null;
	readonly stdout: string;
	readonly stderr: string;
}

export interface RunOptions {
	/** Folder to run in. @default the system's temporary folder */
	readonly cwd?: string;
	readonly env?: Readonly<Record<string, string>>;
	/** Called as soon as its process runs. */
	readonly onStart?: (child: ChildProcess) => void;
}

/**
 * Runs the built `rem` in this process, without the settings of the shell that
 * runs the tests; with `onStart` in a process of its own.
 */
export function rem(
	args: readonly string[],
	options: RunOptions = {},
): Promise<Ended> {
	if (options.onStart !== undefined) return remProcess(args, options);
	const { cwd = tmpdir(), env = {} } = options;
	const result = lastRun.then(() =>
		runInProcess(main, args, { cwd, env: { PATH, ...env } }),
	);
	lastRun = result.catch(() => {});
	return result;
}

/** The output, the folder and the environment of this process serve one command at a time. */
let lastRun: Promise<unknown> = Promise.resolve();

const { PATH = "" } = process.env;

/** The same in a process of its own, where the process is what is tested. */
export function remProcess(
	args: readonly string[],
	{ cwd = tmpdir(), env = {}, onStart }: RunOptions = {},
): Promise<Ended> {
	return new Promise((resolve, reject) => {
		const child = spawn(process.execPath, [...nodeArguments, main, ...args], {
			cwd,
			env: { PATH, ...env },
			stdio: ["ignore", "pipe", "pipe"],
		});
		let stdout = "";
		let stderr = "";
		child.stdout.setEncoding("utf8").on("data", (text) => {
			stdout += text;
		});
		child.stderr.setEncoding("utf8").on("data", (text) => {
			stderr += text;
		});
		child.on("error", reject);
		child.on("close", (code) => resolve({ code, stdout, stderr }));
		onStart?.(child);
	});
}

/** A folder that goes when the file's tests are done; files by name and text. */
export function temporaryFolder(
	files: Readonly<Record<string, string | Uint8Array>> = {},
): string {
	const folder = mkdtempSync(join(tmpdir(), "rem-cli-"));
	for (const [name, text] of Object.entries(files))
		writeFileSync(join(folder, name), text);
	afterFile(() => rmSync(folder, { recursive: true, force: true }));
	return folder;
}

/** The engines there are: the embedded one, and a server if one is given. */
export const engines: readonly ("embedded" | "server")[] =
	process.env.REM_TEST_DATABASE_URL === undefined
		? ["embedded"]
		: ["embedded", "server"];

/**
 * For a command that does the same on each engine: a server if there is one, and the
 * other one in `npm run proofs`. A file that uses it is listed in vitest.config.ts.
 */
export const fewEngines =
	process.env.REM_TEST_SECOND_ENGINE === undefined
		? engines.slice(-1)
		: engines.slice(0, -1);

/** The address of an empty database of the engine; it goes when the file's tests are done. */
export async function emptyDatabase(engine: string): Promise<string> {
	return engine === "embedded"
		? `file:${join(temporaryFolder(), "db")}`
		: serverDatabase("template0");
}

/**
 * The address of a database with the tables of the built-in entities, of the provider
 * `local`, as `rem migrate` makes it; it is made once for the file, and copied.
 */
export async function migratedDatabase(engine: string): Promise<string> {
	const original = originals.get(engine) ?? migrated(engine);
	if (!originals.has(engine)) {
		originals.set(engine, original);
		afterFile(() => originals.delete(engine));
	}
	const url = await original;
	if (engine === "server")
		return serverDatabase(new URL(url).pathname.slice(1));
	const copy = await emptyDatabase(engine);
	await cp(folderOf(url), folderOf(copy), { recursive: true });
	return copy;
}

const originals = new Map<string, Promise<string>>();

async function migrated(engine: string): Promise<string> {
	const url = await emptyDatabase(engine);
	const env = { EMBEDDING__PROVIDER: "local" };
	const { code, stderr } = await rem(["migrate", "--url", url], { env });
	if (code !== 0) throw new Error(stderr);
	return url;
}

const folderOf = (url: string) => url.slice("file:".length);

async function serverDatabase(template: string): Promise<string> {
	const server = new URL(process.env.REM_TEST_DATABASE_URL ?? "");
	const name = `rem_cli_${process.pid}_${Date.now()}_${++databases}`;
	await execute(server.href, `CREATE DATABASE ${name} TEMPLATE ${template}`);
	afterFile(() => execute(server.href, `DROP DATABASE ${name} WITH (FORCE)`));
	const url = new URL(server);
	url.pathname = `/${name}`;
	return url.href;
}

let databases = 0;

export async function execute(url: string, text: string): Promise<void> {
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	try {
		await client.query(text);
	} finally {
		await client.end();
	}
}
