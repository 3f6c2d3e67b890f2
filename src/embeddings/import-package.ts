import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { membersOf } from "../util/present.ts";

export interface ImportedModule {
	readonly default?: unknown;
}

export function importModule(specifier: string): Promise<ImportedModule> {
	return import(specifier);
}

/** Paths are relative to the working directory, and packages are looked up from there. */
export function workingDirectory(): string {
	return pathToFileURL(join(process.cwd(), "/")).href;
}

/**
 * A package that is installed beside us, else the working directory's own: with
 * pnpm these are not the same.
 */
export async function importPackage(name: string): Promise<ImportedModule> {
	try {
		return await importModule(name);
	} catch (error) {
		if (membersOf(error).code !== "ERR_MODULE_NOT_FOUND") throw error;
	}
	const path = createRequire(workingDirectory()).resolve(name);
	const found = await importModule(pathToFileURL(path).href);
	// What `require` finds may be CommonJS made of a module.
	const inner = found.default as ImportedModule | undefined;
	return inner?.default === undefined ? found : inner;
}
