import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

// A process ends at its last line, whatever goes on in the background; and it
// does not end while a caller waits for a call of ours.
import { nodeArguments } from "../support/child-arguments.ts";
import { createDatabase, engine } from "../support/engine.ts";
import { bundleUrl } from "../support/library-bundle.ts";

let url: string;
let drop: () => Promise<void>;

beforeAll(async () => {
	if (engine === "server") {
		({ url, drop } = await createDatabase());
	} else {
		const folder = mkdtempSync(join(tmpdir(), "remdb-process-"));
		url = `file:${folder}`;
		drop = async () => rmSync(folder, { recursive: true, force: true });
	}
	const prepared = await run("await service.migrate();");
	expect(prepared).toMatchObject({ code: 0 });
});
afterAll(() => drop());

describe("a process that does not close its service ends at its last line", () => {
	const background: Readonly<Record<string, string>> = {
		"after reads and writes": `
await service.batchUpsert({ tableName: "pages", entities: [{ name: "a", content: "one" }] });
await service.lookupEntity({ entityKey: "a" });`,
		"with an idle worker": "service.embeddings.start();",
		"with a worker whose provider fails": `
register(async () => { throw new TypeError("fetch failed"); });
await queue(20);
service.embeddings.start();
await new Promise((resolve) => setTimeout(resolve, 300));`,
		"with a worker whose provider never answers": `
register(() => new Promise(() => {}));
await queue(20);
service.embeddings.start();
await new Promise((resolve) => setTimeout(resolve, 300));`,
		"with a worker that has much to do": `
register((texts) => new Promise((resolve) => setTimeout(() => resolve(texts.map(() => new Float32Array(612).fill(1))), 20).unref()));
await queue(2000);
service.embeddings.start();`,
		"with indexes to build": `
await service.indexer.queueIndex({ tableName: "pages", indexType: "hnsw" });
service.indexer.check();`,
		"with a cache to rebuild": "service.kv.rebuildInBackground();",
	};
	test.each(Object.keys(background))("%s", async (name) => {
		const { output, code } = await run(
			`${background[name]}\nconst last = idleMs();
process.on("exit", () => console.log(Math.round(idleMs() - last)));`,
		);
		expect(code).toBe(0);
		expect(output).toMatch(/^\d+\n$/);
		expect(Number(output)).toBeLessThan(9000);
	});
});

describe("a process does not end while a caller waits for", () => {
	const waits: Readonly<Record<string, readonly [string, string]>> = {
		"embeddings.sync() with a failing provider": [
			`register(async () => { throw new TypeError("fetch failed"); });
await queue(3);
console.log(await codeOf(service.embeddings.sync()));`,
			"PROVIDER_FAILED\n",
		],
		"embeddings.sync() with a provider that never answers": [
			`register(() => new Promise(() => {}));
await queue(3);
console.log(await codeOf(service.embeddings.sync()));`,
			"PROVIDER_FAILED\n",
		],
		"embeddings.generateBatch() with a provider that never answers": [
			`register(() => new Promise(() => {}));
console.log(await codeOf(service.embeddings.generateBatch(["a"])));`,
			"PROVIDER_FAILED\n",
		],
		"an upsert whose provider never answers": [
			`register(() => new Promise(() => {}));
console.log(await codeOf(service.repository(Page).upsert({ name: "never", content: "c" })));`,
			"PROVIDER_FAILED\n",
		],
		"a connection of the pool": [
			`let end;
const held = service.transaction(() => new Promise((resolve) => { end = resolve; }));
await new Promise((resolve) => setTimeout(resolve, 50));
console.log(await codeOf(service.execute("SELECT 1")));
end();
await held;
console.log("done");`,
			"POOL_TIMEOUT\ndone\n",
		],
		"a transaction whose work waits for a timer without a reference": [
			`await service.transaction(() => new Promise((resolve) => setTimeout(resolve, 500).unref()));
console.log("done");`,
			"done\n",
		],
		"a call without its transaction's handle": [
			`console.log(await codeOf(service.transaction(() => service.execute("SELECT 1"))));`,
			"VALIDATION\n",
		],
		"lookups, iterators, drain, status, doctor and close": [
			`await service.embeddings.retry();
await Promise.all(["a", "b"].map((entityKey) => service.lookupEntity({ entityKey })));
for await (const row of service.repository(Page).iterate()) void row;
await service.indexer.drain();
await service.indexer.status();
await service.kv.rebuild();
await service.doctor();
await service.close();
console.log("done");`,
			"done\n",
		],
		"indexer.run()": [
			`setTimeout(() => service.indexer.stop(), 500).unref();
await service.indexer.run();
console.log("done");`,
			"done\n",
		],
	};
	test.each(Object.keys(waits))("%s", async (name) => {
		const [statements, expected] = waits[name] ?? ["", ""];
		const { output, code } = await run(statements);
		expect({ output, code }).toEqual({ output: expected, code: 0 });
	});
});

/** Runs statements with a `service` on the database, to the end of the process. */
async function run(statements: string): Promise<{
	output: string;
	code: number | null;
}> {
	const script = `
import * as z from "zod";
import { defineEntity, PostgresService } from "${await bundleUrl("src/index.ts")}";
const Page = defineEntity("pages", { name: z.string(), content: z.string().optional() }, { entityKeyField: "name" });
const service = await PostgresService.connect({
	connectionString: ${JSON.stringify(url)},
	models: [Page],
	embedding: { provider: "local", retry: { deadlineMs: 1500 } },
	poolSize: 1,
	connectTimeoutMs: 1000,
});
const register = (embed) => service.embeddings.registerProvider({ name: "local", model: "semantic-v1", dimensions: 612, limits: { maxTexts: 10 }, embed });
const queue = (count) => service.batchUpsert({
	tableName: "pages",
	entities: Array.from({ length: count }, () => ({ name: crypto.randomUUID(), content: "text " + crypto.randomUUID() })),
	generateEmbeddings: false,
});
// A machine that has other work to do lengthens everything but this.
const idleMs = () => performance.eventLoopUtilization().idle;
const codeOf = (promise) => promise.then(() => "no error", (error) => error.code);
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
