import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { samplePath } from "../../src/cli/quickstart/run-sample.ts";
import { rem, temporaryFolder } from "./run-rem.ts";

test("quickstart does the main job in memory and leaves nothing behind", async () => {
	const folder = temporaryFolder();
	const { code, stdout, stderr } = await rem(["quickstart"], { cwd: folder });
	expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
	expect(stdout).toContain("29 entities, 58 texts");
	expect(stdout).toContain("29 entities unchanged, 0 texts embedded");
	expect(stdout).toMatch(/LOOKUP "Deployment Guide".* ms\n +deployment-guide/);
	expect(stdout).toMatch(
		/FUZZY {2}"deploymnt gide".* ms\n +0\.\d\d deployment-guide/,
	);
	expect(stdout).toMatch(/SEARCH .* ms\n +0\.\d\d brake-inspection-checklist/);
	expect(stdout).toContain("knows what English words mean, but not sentences");
	expect(stdout.split("\n").length).toBeLessThan(40);
	expect(readdirSync(folder)).toEqual([]);
});

test("quickstart works offline even where a key is set, and as JSON", async () => {
	const env = { OPENAI_API_KEY: "no-such-key" };
	const { code, stdout } = await rem(["quickstart", "--json"], { env });
	expect(code).toBe(0);
	expect(JSON.parse(stdout)).toMatchObject({
		engine: "embedded",
		provider: "local",
		load: { inserted: 29, embeddings_generated: 58, kv_entries: 29 },
		again: { updated: 29, unchanged: 29, embeddings_generated: 0 },
		lookup: { hits: [{ entity_key: "deployment-guide" }] },
	});
});

test("every edge of the sample points to an entity of it", () => {
	const rows: { name: string; graph_edges?: { dst: string }[] }[] = JSON.parse(
		readFileSync(samplePath, "utf8"),
	);
	const names = new Set(rows.map(({ name }) => name));
	const targets = rows.flatMap(({ graph_edges = [] }) => graph_edges);
	expect(targets.filter(({ dst }) => !names.has(dst))).toEqual([]);
});
