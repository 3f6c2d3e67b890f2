import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = join(root, "node_modules/.cache/remdb-tests");
const bundles = new Map<string, Promise<string>>();

/**
 * The address of one file with the exports of these modules, as they are now, for child
 * processes to import: it takes 0.3 s of processor time to load, where the 400 files of
 * src/ take 0.7 s, and 10 s the first time. It is written once in each worker of vitest,
 * whole or not at all: another worker's child may be loading it.
 */
export function bundleUrl(
	...modules: readonly [string, ...string[]]
): Promise<string> {
	const key = modules.join();
	const written = bundles.get(key) ?? write(modules);
	bundles.set(key, written);
	return written;
}

async function write(modules: readonly string[]): Promise<string> {
	const { outputFiles } = await build({
		stdin: {
			contents: modules.map((path) => `export * from "./${path}";`).join("\n"),
			resolveDir: root,
		},
		write: false,
		bundle: true,
		format: "esm",
		platform: "node",
		packages: "external",
		keepNames: true,
		logLevel: "error",
	});
	const path = join(folder, `${modules.join("+").replaceAll("/", "-")}.mjs`);
	const draft = `${path}.${process.pid}`;
	await mkdir(folder, { recursive: true });
	await writeFile(draft, outputFiles[0]?.contents ?? "");
	await rename(draft, path);
	return pathToFileURL(path).href;
}
