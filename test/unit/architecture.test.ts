import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

// docs/decisions/0001-layers-and-doors.md: lowest layer first. What stands on one line never
// imports each other; a file imports from its own folder or a lower line.
const layers = [
	["errors.ts", "logger.ts", "util"],
	["telemetry", "http"],
	["models", "sql.ts", "sql-grammar.ts", "config.ts"],
	["calls"],
	["db"],
	["schema", "embeddings", "filters", "vectors"],
	["store", "query", "kv", "indexer", "embed-sync", "migrate"],
	["settings"],
	["core"],
	["buckets"],
	["verbs"],
	["isolation"],
	["doctor"],
	["service"],
	["tools"],
	["index.ts", "ai", "langchain", "mcp", "studio"],
	["cli"],
];

const src = fileURLToPath(new URL("../../src", import.meta.url));

const compilerOptions = {
	removeComments: true,
	target: ts.ScriptTarget.ESNext,
};

const files = readdirSync(src, { recursive: true, encoding: "utf8" })
	.filter((path) => path.endsWith(".ts"))
	.map((path) => {
		const text = readFileSync(join(src, path), "utf8");
		// Without comments, which may speak of what the code must not do.
		const code = ts.transpileModule(text, { compilerOptions }).outputText;
		return { path: path.replaceAll(sep, "/"), text, code };
	});

/** Modules the file names, `import type` and `import()` included; our own as paths in src. */
function importsOf({ path, text }: (typeof files)[number]): string[] {
	return ts
		.preProcessFile(text)
		.importedFiles.map(({ fileName }) =>
			fileName.startsWith(".")
				? relative(src, join(src, dirname(path), fileName)).replaceAll(sep, "/")
				: fileName,
		);
}

const imports = new Map(files.map((file) => [file.path, importsOf(file)]));
const ownImports = (path: string) =>
	(imports.get(path) ?? []).filter((other) => imports.has(other));
const unitOf = (path: string) => path.split("/", 1)[0] ?? "";
const layerOf = (path: string) =>
	layers.findIndex((units) => units.includes(unitOf(path)));

test("every file stands on a layer", () => {
	expect(files.filter(({ path }) => layerOf(path) < 0)).toEqual([]);
});

test("files import from their own folder or a lower layer", () => {
	const wrong = [...imports.keys()].flatMap((path) =>
		ownImports(path)
			.filter((other) => unitOf(other) !== unitOf(path))
			.filter((other) => layerOf(other) >= layerOf(path))
			.map((other) => `${path} imports ${other}`),
	);
	expect(wrong).toEqual([]);
});

test("no imports go in a circle", () => {
	const done = new Set<string>();
	const walk = (path: string, trail: readonly string[]): string[] => {
		if (trail.includes(path)) return [[...trail, path].join(" > ")];
		if (done.has(path)) return [];
		done.add(path);
		return ownImports(path).flatMap((next) => walk(next, [...trail, path]));
	};
	expect([...imports.keys()].flatMap((path) => walk(path, []))).toEqual([]);
});

/** Files outside the folder whose code has the pattern. */
function outside(door: string, pattern: RegExp): string[] {
	return files
		.filter(({ path }) => path !== door && !path.startsWith(`${door}/`))
		.filter(({ code }) => pattern.test(code))
		.map(({ path }) => path);
}

test("only db imports a driver", () => {
	const drivers = [...imports].filter(
		([path, names]) =>
			!path.startsWith("db/") &&
			names.some((name) => /^(pg([-/].*)?|@electric-sql\/.*)$/.test(name)),
	);
	expect(drivers.map(([path]) => path)).toEqual([]);
});

test("only db/catalogue reads the catalogue of indexes, and drops indexes", () => {
	const indexes =
		/\bpg_index\b|\bpg_get_(indexdef|viewdef|triggerdef)\b|\bDROP INDEX CONCURRENTLY\b/;
	expect(outside("db/catalogue", indexes)).toEqual([]);
});

test("only embeddings touches the network", () => {
	const network =
		/\bfetch\(|globalThis\.fetch|WebSocket|["'](node:)?(https?|http2|net|tls|dgram)["']|["']undici["']/;
	expect(outside("embeddings", network).sort()).toEqual([
		// Asks nobody: it answers the probes of `rem worker`.
		"cli/worker/health-server.ts",
		// Sockets of this machine: they tell whether a folder's owner lives.
		"db/life-sign.ts",
		// Listens for the clients of `rem mcp --http` and `rem studio`.
		"http/http-server.ts",
		// The keys of an issuer, whose tokens `rem mcp` accepts.
		"mcp/access/issuer.ts",
		// Answers the clients of `rem mcp --http`: `fetch` is a method that it has.
		"mcp/http/http-server.ts",
	]);
});

test("the studio has no SQL: what it shows comes from the service's verbs", () => {
	const own = files.filter(({ path }) => /^(cli\/)?studio\//.test(path));
	expect(own.length).toBeGreaterThan(20);
	const withSql =
		/\bsql`|\.execute\(|from "[./]*\/(db|store|schema|kv|indexer|embed-sync|sql\.ts)/;
	expect(
		own.filter(({ code }) => withSql.test(code)).map(({ path }) => path),
	).toEqual([]);
});

test("only vectors stores vectors: batch upsert and worker share one flow", () => {
	const storing = /\b(writeVectors|deleteOutdated)Sql\b/;
	expect(outside("vectors", storing)).toEqual([]);
});

test("pauses double in one place", () => {
	expect(outside("util/backoff.ts", /\b2 \*\* *[a-zA-Z(]/)).toEqual([]);
});

/** Files with a lock of one row, or of rows that are locked already, for each such lock. */
const locksWithoutOrder: Readonly<Record<string, number>> = {
	"indexer/fill-words.ts": 1,
	"kv/rebuild.ts": 1,
	"kv/repair.ts": 1,
	"schema/embedding-trigger.ts": 1,
};

test("rows are locked in order, or those skipped that are locked: or two writers wait for each other", () => {
	const found: Record<string, number> = {};
	for (const { path, code } of files)
		for (const { index } of code.matchAll(
			/\bFOR (?:SHARE|UPDATE|NO KEY UPDATE)\b(?!(?: OF \w+)?(?: SKIP LOCKED|\$\{raw\(rowLock))/g,
		)) {
			const statement = code.slice(Math.max(0, index - 100), index);
			if (!/\bORDER BY [^;]*$/.test(statement))
				found[path] = (found[path] ?? 0) + 1;
		}
	expect(found).toEqual(locksWithoutOrder);
});

test("only config.ts reads process.env", () => {
	expect(outside("config.ts", /process\.env|["'](node:)?process["']/)).toEqual(
		[],
	);
});

test("only cli prints or sets an exit code", () => {
	const printing =
		/\bconsole\.|process\.(stdout|stderr|exit|exitCode|emitWarning)\b/;
	expect(outside("cli", printing)).toEqual([]);
});
