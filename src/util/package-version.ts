import { readFileSync } from "node:fs";
import { packageFile } from "./package-file.ts";

/** Of the package; a bundle has no such file. */
export function packageVersion(): string {
	const path = packageFile("package.json");
	if (path === undefined) return "unknown";
	return String(JSON.parse(readFileSync(path, "utf8")).version);
}
