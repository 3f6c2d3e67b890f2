import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * The path of a file of this package, from any of its chunks; `undefined` in a
 * program that contains the package in a bundle of its own.
 */
export function packageFile(path: string): string | undefined {
	folder ??= { path: findFolder() };
	return folder.path === undefined ? undefined : join(folder.path, path);
}

let folder: { readonly path: string | undefined } | undefined;

/** The nearest folder above this code with the package's own manifest. */
function findFolder(): string | undefined {
	const here: string | undefined = import.meta.url;
	// A bundle has no address, or one that is no file.
	if (here?.startsWith("file:") !== true) return undefined;
	try {
		for (let at = dirname(fileURLToPath(here)); ; at = dirname(at)) {
			if (manifestIn(at)?.name === "remdb") return at;
			if (at === dirname(at)) return undefined;
		}
	} catch {
		// On Windows, an address that a bundler made up has no drive.
		return undefined;
	}
}

/** `undefined`: there is none, or it cannot be read. */
function manifestIn(path: string): { readonly name?: unknown } | undefined {
	try {
		return JSON.parse(readFileSync(join(path, "package.json"), "utf8"));
	} catch {
		return undefined;
	}
}

/** Of the package; a bundle has no such file. */
export function packageVersion(): string {
	const path = packageFile("package.json");
	if (path === undefined) return "unknown";
	return String(JSON.parse(readFileSync(path, "utf8")).version);
}
