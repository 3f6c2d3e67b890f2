import { readFileSync } from "node:fs";

/** Of the package; a bundle has no such file. */
export function packageVersion(): string {
	try {
		const file = new URL("../../package.json", import.meta.url);
		return String(JSON.parse(readFileSync(file, "utf8")).version);
	} catch {
		return "unknown";
	}
}
