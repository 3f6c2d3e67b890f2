import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { generatedFiles } from "../../scripts/generated-files.ts";

test.each(generatedFiles())("$path is what the code writes", async (file) => {
	const committed = new URL(`../../${file.path}`, import.meta.url);
	const text = await readFile(committed, "utf8").catch(() => "");
	expect(
		text === file.text,
		`${file.path} is not what the code writes: run npm run generate`,
	).toBe(true);
});
