import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";

// pg_trgm asks LC_CTYPE what a letter is, whatever the locale provider is.

test.each([
	["deploy/compose.yaml", "--lc-ctype=C.UTF-8"],
	["deploy/cloudnativepg/base/10-cluster.yaml", "localeCType: C.UTF-8"],
])(
	"%s makes databases whose LC_CTYPE knows all letters",
	async (file, text) => {
		expect(await readFile(file, "utf8")).toContain(text);
	},
);
