import { type Dirent, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { RemError } from "../../errors.ts";

/** The modules of a file or folder, folders below it included, in one order everywhere. */
export function findModelFiles(path: string): string[] {
	const files = isFolder(path) ? modulesIn(path) : [path];
	if (files.length > 0) return files;
	throw new RemError("VALIDATION", `no modules in "${path}"`, {
		hint: "models are .ts, .mts, .js or .mjs modules, or JSON Schemas in .schema.json files",
	});
}

function isFolder(path: string): boolean {
	try {
		return statSync(path).isDirectory();
	} catch (cause) {
		throw new RemError("VALIDATION", `no models at "${path}"`, {
			hint: "--models takes a file or a folder",
			cause,
		});
	}
}

function modulesIn(folder: string): string[] {
	const entries = readdirSync(folder, { withFileTypes: true });
	return entries
		.sort((a, b) => (a.name < b.name ? -1 : 1))
		.flatMap((entry) => {
			const path = join(folder, entry.name);
			if (entry.isDirectory()) return isSkipped(entry) ? [] : modulesIn(path);
			return isModule(entry.name) ? [path] : [];
		});
}

function isSkipped({ name }: Dirent): boolean {
	return name.startsWith(".") || name === "node_modules";
}

function isModule(name: string): boolean {
	return (
		name.endsWith(".schema.json") ||
		(/\.m?[tj]s$/.test(name) && !/\.(?:d|test|spec)\.m?[tj]s$/.test(name))
	);
}
