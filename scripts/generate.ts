// Writes the files that are made from code: sql/ and docs/configuration.md.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { generatedFiles } from "./generated-files.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
for (const { path, text } of generatedFiles()) {
	mkdirSync(dirname(join(root, path)), { recursive: true });
	writeFileSync(join(root, path), text);
}
