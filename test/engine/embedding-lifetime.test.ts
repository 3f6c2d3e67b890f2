import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { silentLogger } from "../../src/logger.ts";
import { nodeArguments } from "../support/child-arguments.ts";
import { createDatabase, engine } from "../support/engine.ts";
import { FakeProvider } from "../support/fake-provider.ts";
import { bundleUrl } from "../support/library-bundle.ts";

// One process after the other on a database that stays.

const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string().optional() },
	{ entityKeyField: "name" },
);
const models = [Page] as const;

let url: string;
let drop: () => Promise<void>;

beforeAll(async () => {
	if (engine === "server") {
		({ url, drop } = await createDatabase());
	} else {
		const folder = mkdtempSync(join(tmpdir(), "remdb-lifetime-"));
		url = `file:${folder}`;
		drop = async () => rmSync(folder, { recursive: true, force: true });
	}
});
afterAll(() => drop());

describe("a process with a background worker", () => {
	test("embeds while it does other work, and ends without the worker being stopped", async () => {
		const { output, code } = await run(`
await service.migrate();
await service.execute("INSERT INTO pages (tenant_id, name, content) VALUES ('default', 'a', 'one'), ('default', 'b', 'two')");
service.embeddings.start();
for (;;) {
	const [field] = (await service.embeddings.status()).fields;
	if (field.embedded === 2) break;
	await new Promise((resolve) => setTimeout(resolve, 50));
}
console.log("embedded");
${engine === "embedded" ? "await service.close()" : "" /* the engine itself lives until it is closed */}`);
		expect({ output, code }).toEqual({ output: "embedded\n", code: 0 });
	});

	test("ends as well when it is closed in the middle of a call, and gives back what it had", async () => {
		const { output, code } = await run(`
await service.execute("UPDATE pages SET content = content || '!'");
service.embeddings.registerProvider({ name: "local", model: "semantic-v1", dimensions: 612, limits: { maxTexts: 10 }, embed: () => { console.log("called"); service.close().then(() => { console.log("closed"); clearTimeout(alive); }); return new Promise(() => {}); } });
const alive = setTimeout(() => console.log("not closed in time"), 120_000);
service.embeddings.start();`);
		expect({ output, code }).toEqual({ output: "called\nclosed\n", code: 0 });
		const service = await PostgresService.connect({
			connectionString: url,
			models,
			embedding: { provider: "local" },
		});
		expect(await service.embeddings.sync()).toMatchObject({ embedded: 2 });
		await service.close();
	});
});

test("a service that is configured for another model than the stored one logs that when it connects", async () => {
	const warnings: string[] = [];
	const service = await PostgresService.connect({
		connectionString: url,
		models,
		embedding: new FakeProvider("fake", "m1", 8),
		logger: {
			...silentLogger,
			warn: (_: unknown, message: string) => warnings.push(message),
		},
	});
	const { mismatched, configured } = await service.embeddings.status();
	await service.close();
	expect(warnings).toEqual([
		'the configured model is fake m1 (8), but vectors are stored of "pages" in local semantic-v1 (612): these are searched and written until `rem embeddings sync --model m1` and `rem embeddings switch m1`',
	]);
	expect({ mismatched, configured }).toEqual({
		mismatched: ["pages"],
		configured: { provider: "fake", model: "m1", dimensions: 8 },
	});
});

/** Runs statements with a `service` on the database, to the end of the process. */
async function run(
	statements: string,
): Promise<{ output: string; code: number | null }> {
	const library = await bundleUrl("test/support/in-buckets.ts", "src/index.ts");
	const script = `
import * as z from "zod";
import { defineEntity, PostgresService } from "${library}";
const Page = defineEntity("pages", { name: z.string(), content: z.string().optional() }, { entityKeyField: "name" });
const service = await PostgresService.connect({ connectionString: ${JSON.stringify(url)}, models: [Page], embedding: { provider: "local" } });
${statements}`;
	return new Promise((resolve) => {
		const child = spawn(
			process.execPath,
			[...nodeArguments, "--input-type=module", "-e", script],
			{ stdio: ["ignore", "pipe", "pipe"], timeout: 240_000 },
		);
		let output = "";
		for (const stream of [child.stdout, child.stderr])
			stream.setEncoding("utf8").on("data", (text) => {
				output += text;
			});
		child.on("close", (code) => resolve({ output, code }));
	});
}
