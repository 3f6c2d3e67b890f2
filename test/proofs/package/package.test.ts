import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { describe, expect, test } from "vitest";
import * as remdb from "../../../src/index.ts";
import { emptyDatabase } from "../../cli/run-rem.ts";
import { manifest, npm, root, run, usersProject } from "./project.ts";

const project = usersProject();

describe("the packed package", () => {
	const installed = () => join(project.folder, "node_modules/remdb");

	test("contains what runs and what it refers to, nothing else", async () => {
		const files = await packedFiles();
		const others = files.filter(
			(path) =>
				!/^dist\/.*\.(js|cjs|d\.ts|d\.cts)$/.test(path) &&
				!/^dist\/studio\/page\/(index\.html|assets\/[\w-]+\.(css|svg))$/.test(
					path,
				) &&
				!/^(docs|deploy|samples|sql)\//.test(path) &&
				!/^assets\/(embedded-snapshot\.(json|tar\.gz)|semantic-v1\.(bin|txt))$/.test(
					path,
				) &&
				!/^(README|CHANGELOG)\.md$|^(LICENSE|package\.json)$/.test(path),
		);
		expect(others).toEqual([]);
		const scripts = files.filter((path) => /^dist\/.*\.c?js$/.test(path));
		for (const path of scripts)
			expect(readFileSync(join(installed(), path), "utf8"), path).not.toContain(
				"sourceMappingURL",
			);
	});

	test("has each type that the public types refer to, and no other", async () => {
		const files = await packedFiles();
		const needed = new Set(
			["dist", "dist/ai", "dist/langchain", "dist/studio"].flatMap((folder) => [
				`${folder}/index.d.ts`,
				`${folder}/index.d.cts`,
			]),
		);
		for (const path of needed)
			for (const [, to = ""] of readFileSync(
				join(installed(), path),
				"utf8",
			).matchAll(/(?:from |import\()"(\.[^"]*)"/g))
				needed.add(
					join(dirname(path), to.replace(/(\.d)?\.[tj]s$/, ".d.ts")).replaceAll(
						"\\",
						"/",
					),
				);
		const types = files.filter((path) => /\.d\.c?ts$/.test(path));
		expect([...types].sort()).toEqual([...needed].sort());
	});

	test("is installed without a warning, and runs no script for it", () => {
		expect(project.warnings).toBe("");
		const lock = JSON.parse(
			readFileSync(join(project.folder, "package-lock.json"), "utf8"),
		) as { packages: Record<string, { hasInstallScript?: boolean }> };
		const withScripts = Object.entries(lock.packages)
			.filter(([, { hasInstallScript }]) => hasInstallScript)
			.map(([path]) => path);
		expect(withScripts).toEqual([]);
	});

	test("has the command, from a folder with a space in its name", async () => {
		const { stdout } = await npm(
			project.folder,
			"exec",
			"--offline",
			"--",
			"rem",
			"--version",
		);
		expect(stdout).toBe(`${manifest.version}\n`);
		const quickstart = await npm(
			project.folder,
			"exec",
			"--",
			"rem",
			"quickstart",
		);
		expect(quickstart.stdout).toContain("battery");
	});

	test("names its home, and npm ci has no engine to warn of", async () => {
		for (const field of [
			"repository",
			"homepage",
			"bugs",
			"author",
			"license",
			"engines",
		])
			expect(manifest).toHaveProperty(field);
		for (const path of [
			manifest.main,
			manifest.types,
			...Object.values(manifest.bin),
		])
			expect(existsSync(join(installed(), path as string)), `${path}`).toBe(
				true,
			);
		const { stderr } = await npm(root, "ci", "--dry-run", "--ignore-scripts");
		expect(stderr).toBe("");
	});
});

describe("CommonJS and ES modules", () => {
	test("find the same objects, without a warning", async () => {
		const program = `
const required = require("remdb");
import("remdb").then((imported) => {
	const names = Object.keys(imported);
	const same = names.filter((name) => required[name] === imported[name]);
	console.log(JSON.stringify([names, same, Object.keys(required)]));
});`;
		writeFileSync(join(project.folder, "both.cjs"), program);
		const { stdout, stderr } = await run(process.execPath, ["both.cjs"], {
			cwd: project.folder,
		});
		const names = Object.keys(remdb).sort();
		expect(JSON.parse(stdout)).toEqual([names, names, names]);
		expect(stderr).toBe("");
	});

	test("have functions and classes of their own names", async () => {
		const program = `
const exported = Object.entries(require("remdb"));
const renamed = exported.filter(([name, value]) => typeof value === "function" && value.name !== name);
console.log(JSON.stringify(renamed.map(([name, { name: other }]) => [name, other])));`;
		const { stdout } = await run(process.execPath, ["-e", program], {
			cwd: project.folder,
		});
		expect(stdout).toBe("[]\n");
	});

	test("declare the same names", () => {
		const types = readFileSync(
			join(project.folder, "node_modules/remdb/dist/index.d.cts"),
			"utf8",
		);
		const declared = [...types.matchAll(/^export declare const (\w+):/gm)];
		expect(declared.map(([, name]) => name).sort()).toEqual(
			Object.keys(remdb).sort(),
		);
	});

	test.each(["esm", "cjs"] as const)(
		"run the program unbundled: %s",
		async (format) => {
			const file = join(
				project.folder,
				`program.${format === "esm" ? "mjs" : "cjs"}`,
			);
			await build({
				entryPoints: [join(project.folder, "programs/program.ts")],
				outfile: file,
				format,
				logLevel: "silent",
			});
			expect(await runProgram(file, await emptyDatabase("embedded"))).toBe(
				"river 1\n",
			);
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
			const away = join(project.folder, "node_modules/@electric-sql");
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
		const folder = join(project.folder, "elsewhere");
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
			project.folder,
			`bundle-${external.length}.${format === "esm" ? "mjs" : "cjs"}`,
		);
		const { warnings } = await build({
			entryPoints: [join(project.folder, "programs", program)],
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

/** `node --import` this and it prints the address of each file that is loaded. */
const listLoaded = `
import { createRequire, register } from "node:module";
register("data:text/javascript," + encodeURIComponent(\`
import { writeSync } from "node:fs";
export async function load(url, context, next) {
	writeSync(1, url + "\\\\n");
	return next(url, context);
}\`));
process.on("exit", () => {
	for (const path of Object.keys(createRequire(import.meta.url).cache)) console.log(path);
});`;

describe("what is loaded", () => {
	test("by an import is the package, zod and pg", async () => {
		const loaded = await loadedBy("");
		expect(loaded.packages.filter((name) => !isOfPg(name))).toEqual([
			"remdb",
			"zod",
		]);
		expect(
			loaded.files.filter((path) => path.includes("/remdb/dist/cli/")),
		).toEqual([]);
	});

	test("by opening an embedded database is PGlite as well", async () => {
		const { packages } = await loadedBy(
			'const service = await PostgresService.connect({ connectionString: "memory:" }); await service.close();',
		);
		expect(packages).toContain("@electric-sql/pglite");
		expect(packages).not.toContain("commander");
	});

	const isOfPg = (name: string) =>
		/^(pg|pg-.*|pgpass|postgres-.*|split2|xtend)$/.test(name);

	async function loadedBy(
		program: string,
	): Promise<{ packages: string[]; files: string[] }> {
		const hook = join(project.folder, "list-loaded.mjs");
		const file = join(project.folder, "loads.mjs");
		writeFileSync(hook, listLoaded);
		writeFileSync(file, `import { PostgresService } from "remdb"; ${program}`);
		const { stdout } = await run(
			process.execPath,
			["--import", "./list-loaded.mjs", file],
			{ cwd: project.folder, maxBuffer: 16 * 1024 * 1024 },
		);
		const files = [...new Set(stdout.split("\n"))].filter((path) =>
			path.includes("/node_modules/"),
		);
		const packages = files.map(
			(path) => /.*\/node_modules\/((?:@[^/]*\/)?[^/]*)/.exec(path)?.[1] ?? "",
		);
		return { packages: [...new Set(packages)].sort(), files };
	}
});

async function packedFiles(): Promise<string[]> {
	const { stdout } = await npm(
		root,
		"pack",
		"--dry-run",
		"--ignore-scripts",
		"--json",
	);
	const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
	return files.map(({ path }) => path);
}

/** What the program prints; it prints no warning. */
async function runProgram(file: string, url: string): Promise<string> {
	const { stdout, stderr } = await run(process.execPath, [file], {
		cwd: project.folder,
		env: { PATH: process.env.PATH, DATABASE_URL: url },
	});
	expect(stderr).toBe("");
	return stdout;
}
