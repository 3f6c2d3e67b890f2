// Bundles src/ into the modules of dist/, writes their types and the entry for
// CommonJS, bundles the studio's page and makes the embedded database's boot image.
import { execFileSync } from "node:child_process";
import {
	existsSync,
	mkdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build as bundle } from "esbuild";
import { createJiti } from "jiti";
import {
	forgetBuild,
	hashOfSources,
	isBuilt,
	recordBuild,
} from "./build-record.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const require = createRequire(import.meta.url);

const sources = hashOfSources(root);
if (!isBuilt(root)) {
	forgetBuild(root);
	await buildDist();
}

// The image belongs to one version of PGlite and one way to make it: another one
// needs its own.
const imageFormat = 3;
const { dependencies } = JSON.parse(
	readFileSync(join(root, "package.json"), "utf8"),
);
const engine = JSON.stringify([
	dependencies["@electric-sql/pglite"],
	dependencies["@electric-sql/pglite-pgvector"],
	imageFormat,
]);
const stamp = join(root, "assets/embedded-snapshot.json");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== engine) {
	const { import: load } = createJiti(import.meta.url);
	const { makeSnapshot, snapshotPath } = await load("../src/db/embedded.ts");
	mkdirSync(dirname(snapshotPath()), { recursive: true });
	writeFileSync(snapshotPath(), await makeSnapshot());
	writeFileSync(stamp, engine);
}
// A source that was saved during the build may be in dist or not.
if (hashOfSources(root) === sources) recordBuild(root);
else forgetBuild(root);

async function buildDist() {
	rmSync(join(root, "dist"), { recursive: true, force: true });
	const tsc = join(
		dirname(require.resolve("typescript-7/package.json")),
		"bin/tsc",
	);
	execFileSync(
		process.execPath,
		[tsc, "-p", join(root, "tsconfig.build.json")],
		{
			stdio: "inherit",
		},
	);
	const { finishTypes } = await import("./published-types.mjs");
	finishTypes(join(root, "dist"));

	// 400 files took 0.2 s more to load than these (docs/decisions/0090): what several
	// entries share is in chunks, so that each module exists once.
	await bundle({
		absWorkingDir: root,
		entryPoints: [
			"src/index.ts",
			"src/ai/index.ts",
			"src/langchain/index.ts",
			"src/studio/index.ts",
			"src/cli/main.ts",
		],
		outbase: "src",
		outdir: "dist",
		chunkNames: "chunks/[name]-[hash]",
		bundle: true,
		splitting: true,
		format: "esm",
		platform: "node",
		packages: "external",
		// A class that names itself would else be called _PostgresService.
		keepNames: true,
		logLevel: "warning",
	});

	const { build } = await import("vite");
	await build({
		configFile: join(root, "studio/vite.config.ts"),
		logLevel: "warn",
		build: { outDir: join(root, "dist/studio/page"), emptyOutDir: true },
	});
}
