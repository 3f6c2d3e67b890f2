import { execFile } from "node:child_process";
import {
	mkdtempSync,
	readFileSync,
	renameSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { cp, mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { emptyDatabase } from "../../cli/run-rem.ts";

const run = promisify(execFile);
const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL("../../..", import.meta.url));
const programs = fileURLToPath(new URL("programs", import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** A project of a user: the packed package and zod, nothing else. */
const project = mkdtempSync(join(tmpdir(), "rem-package-"));
afterAll(() => rmSync(project, { recursive: true, force: true }));

beforeAll(async () => {
	const { stdout } = await npm(
		root,
		"pack",
		"--ignore-scripts",
		"--json",
		"--pack-destination",
		project,
	);
	const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
	await cp(programs, join(project, "programs"), { recursive: true });
	await npm(project, "init", "--yes");
	await npm(project, "pkg", "set", "type=module");
	await npm(
		project,
		"install",
		"--no-audit",
		"--no-fund",
		"--prefer-offline",
		join(project, basename(filename)),
		`zod@${manifest.devDependencies.zod}`,
	);
});

describe("the published types", () => {
	const compilers = ["typescript-5.4", "typescript-5.9", "typescript"];
	const modes = [
		{ module: "nodenext", moduleResolution: "nodenext" },
		{ module: "esnext", moduleResolution: "bundler" },
	];
	const cases = compilers.flatMap((compiler) =>
		modes.map((mode) => ({ compiler, ...mode })),
	);

	// Neither @types/node nor @types/pg is installed in the project.
	test.each(cases)(
		"compile without skipLibCheck: $compiler, $moduleResolution",
		async ({ compiler, module, moduleResolution }) => {
			const tsc = join(
				dirname(require.resolve(`${compiler}/package.json`)),
				"bin/tsc",
			);
			const config = join(
				project,
				`tsconfig-${compiler}-${moduleResolution}.json`,
			);
			writeFileSync(
				config,
				JSON.stringify({
					compilerOptions: {
						module,
						moduleResolution,
						target: "es2022",
						strict: true,
						exactOptionalPropertyTypes: true,
						skipLibCheck: false,
						noEmit: true,
						// Not those of a folder above this one.
						types: [],
					},
					files: ["programs/consumer.ts"],
				}),
			);
			const { stdout } = await run(process.execPath, [tsc, "-p", config], {
				cwd: project,
			}).catch((error: { stdout: string }) => error);
			expect(stdout).toBe("");
		},
	);
});

describe("a bundle", () => {
	const engine =
		process.env.REM_TEST_DATABASE_URL === undefined ? "embedded" : "server";
	const formats = ["esm", "cjs"] as const;

	// The packages that docs/bundling.md names.
	const ofServer = ["pg", "libpg-query"];
	const ofEmbedded = [
		...ofServer,
		"@electric-sql/pglite",
		"@electric-sql/pglite-pgvector",
	];

	test.skipIf(engine === "embedded").each(formats)(
		"for a server runs without the packages of the embedded engine: %s",
		async (format) => {
			const file = await bundle("program.ts", format, ofServer);
			const away = join(project, "node_modules/@electric-sql");
			renameSync(away, `${away}-away`);
			try {
				expect(await runProgram(file, await emptyDatabase("server"))).toBe(
					"river 1\n",
				);
			} finally {
				renameSync(`${away}-away`, away);
			}
		},
	);

	test.each(formats)("for the embedded engine runs: %s", async (format) => {
		const file = await bundle("program.ts", format, ofEmbedded);
		expect(await runProgram(file, await emptyDatabase("embedded"))).toBe(
			"river 1\n",
		);
	});

	test("without libpg-query reports the package that is missing", async () => {
		const file = await bundle(
			"program.ts",
			"cjs",
			ofEmbedded.filter((name) => name !== "libpg-query"),
		);
		const folder = join(project, "elsewhere");
		await mkdir(folder, { recursive: true });
		await expect(runProgram(file, "memory:")).rejects.toMatchObject({
			stderr: expect.stringContaining("libpg-query"),
		});
	});

	async function bundle(
		program: string,
		format: "esm" | "cjs",
		external: readonly string[],
	): Promise<string> {
		const outfile = join(
			project,
			`bundle-${external.length}.${format === "esm" ? "mjs" : "cjs"}`,
		);
		const { warnings } = await build({
			entryPoints: [join(project, "programs", program)],
			bundle: true,
			platform: "node",
			format,
			external: [...external],
			outfile,
			logLevel: "silent",
		});
		expect(
			warnings
				.map(({ text }) => text)
				.filter((text) => !text.includes("import.meta")),
		).toEqual([]);
		return outfile;
	}
});

test("importing the package needs neither the embedded engine nor the grammar", async () => {
	const kept = join(project, "node_modules");
	const optional = [
		"@electric-sql",
		"libpg-query",
		"jiti",
		"commander",
		"yaml",
		"csv-parse",
	];
	for (const name of optional)
		renameSync(join(kept, name), join(kept, `${name}-away`));
	try {
		const { stdout } = await run(
			process.execPath,
			[
				"--input-type=module",
				"--eval",
				'console.log(typeof (await import("remdb")).PostgresService)',
			],
			{ cwd: project },
		);
		expect(stdout).toBe("function\n");
	} finally {
		for (const name of optional)
			renameSync(join(kept, `${name}-away`), join(kept, name));
	}
});

test("the program runs unbundled", async () => {
	const file = join(project, "program.mjs");
	await build({
		entryPoints: [join(project, "programs/program.ts")],
		outfile: file,
		logLevel: "silent",
	});
	expect(await runProgram(file, await emptyDatabase("embedded"))).toBe(
		"river 1\n",
	);
});

test("the manifest names its home, and npm ci has no engine to warn of", async () => {
	for (const field of [
		"repository",
		"homepage",
		"bugs",
		"author",
		"license",
		"engines",
	])
		expect(manifest).toHaveProperty(field);
	const { stderr } = await npm(root, "ci", "--dry-run", "--ignore-scripts");
	expect(stderr).not.toContain("EBADENGINE");
});

/** Runs npm as a user's shell would, without the variables of the npm that runs this. */
function npm(cwd: string, ...args: readonly string[]) {
	const env = Object.fromEntries(
		Object.entries(process.env).filter(
			([name]) =>
				!/^(npm_(package|lifecycle|command)|INIT_CWD|NODE_ENV)/.test(name),
		),
	);
	return run("npm", args, { cwd, env, maxBuffer: 64 * 1024 * 1024 });
}

async function runProgram(file: string, url: string): Promise<string> {
	const { stdout } = await run(process.execPath, [file], {
		cwd: project,
		env: { PATH: process.env.PATH, DATABASE_URL: url },
	});
	return stdout;
}
