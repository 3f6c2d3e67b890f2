import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
	type EmbeddingServer,
	startEmbeddingServer,
} from "../support/embedding-server.ts";
import {
	emptyDatabase,
	engines,
	fewEngines,
	rem,
	temporaryFolder,
} from "./run-rem.ts";

const folder = temporaryFolder({
	"models.ts": `
import * as z from "zod";
import { defineEntity } from "remdb";
export const Plant = defineEntity("plants", { name: z.string(), content: z.string().optional() }, { entityKeyField: "name" });`,
	"plants.json": JSON.stringify([
		{ name: "oak", content: "a tall tree" },
		{ name: "ivy", content: "poison" },
	]),
});

let server: EmbeddingServer;
beforeAll(async () => {
	server = await startEmbeddingServer({ apiKey: "sk-secret" });
});
afterAll(() => server.close());

describe.each(fewEngines)("rem embeddings on the %s", (engine) => {
	let url: string;
	const run = (...args: string[]) =>
		rem([...args, "--models", "models.ts", "--url", url], {
			cwd: folder,
			env: {
				EMBEDDING__PROVIDER: "openai",
				EMBEDDING__BASE_URL: server.openaiUrl,
				OPENAI_API_KEY: "sk-secret",
			},
		});
	const json = async (...args: string[]) => {
		const { code, stdout, stderr } = await run(...args, "--json");
		expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
		return JSON.parse(stdout);
	};

	test("texts that a load left without vectors are embedded; those that cannot be are dead-lettered and reported", async () => {
		url = await emptyDatabase(engine);
		server.reset();
		server.outage(true);
		const load = await run(
			...["load", "plants.json", "--table", "plants", "--no-embeddings"],
		);
		expect(load.stdout).toContain("2 queued");
		server.outage(false);
		server.refuse((text) => text === "poison");
		const dryRun = await run("embeddings", "sync", "--dry-run");
		expect(dryRun.stdout).toBe("2 texts to embed, about 6 tokens\n");
		expect(await json("embeddings", "sync")).toEqual({
			embedded: 1,
			settled: 0,
			dead: 1,
			tokens: 4,
			removed: 0,
		});
		const { stdout } = await run("embeddings", "status");
		expect(stdout).toMatch(
			/^TEXTS OF +MODEL +STATE +TEXTS +EMBEDDED +DEAD\nplants\.content +openai text-embedding-3-small \(1536\) +active +2 +1 +1\n/,
		);
		expect(stdout).toContain(
			'plants.content: 1 text: embedding provider "openai" refused the text (status 400)\n',
		);
		server.reset();
		expect(await json("embeddings", "retry")).toEqual({ queued: 1 });
		const sync = await run("embeddings", "sync");
		expect(sync.stdout).toBe("1 text embedded, about 2 tokens\n");
		expect(sync.stderr).toContain("1 text to embed, about 2 tokens");
	});

	test("rem recall answers by names while the provider is down, and states it", async () => {
		server.outage(true);
		try {
			const { code, stdout, stderr } = await run("recall", "oak", "--json");
			expect(code, stderr).toBe(0);
			expect(JSON.parse(stdout)).toMatchObject({
				items: [{ entity_key: "oak" }],
				incomplete: [{ step: "vector", code: "PROVIDER_FAILED" }],
			});
			expect(stderr).toContain("recall answered without vectors");
			const search = await run("search", "oak", "--table", "plants");
			expect(search.code).toBe(1);
			expect(search.stderr).not.toContain("stored for");
		} finally {
			server.outage(false);
		}
	});

	test("a model is filled, switched to and the former one pruned", async () => {
		const large = "text-embedding-3-large";
		const early = await run("embeddings", "switch", large);
		expect(early).toMatchObject({ code: 1, stdout: "" });
		expect(early.stderr).toContain(`rem embeddings sync --model ${large}\``);
		const short = await run(
			...["embeddings", "switch", large, "--dimensions", "256"],
		);
		expect(short.stderr).toContain(`--model ${large} --dimensions 256\``);
		expect(await json("embeddings", "sync", "--model", large)).toMatchObject({
			embedded: 2,
		});
		expect(await json("embeddings", "switch", large)).toEqual({
			switched: ["plants"],
		});
		const prune = await run("embeddings", "prune", "text-embedding-3-small");
		expect(prune.stdout).toBe("2 vectors of text-embedding-3-small removed\n");
		// The configuration still names the old one.
		expect(prune.stderr).toContain("the configured model is openai");
		// Of no use to a command that embeds nothing and compares no vectors.
		for (const command of [
			["lookup", "x"],
			["list", "plants"],
			["get", "plants/x"],
			["fuzzy", "x"],
			["traverse", "x"],
			["kv", "status"],
			["schema", "diff"],
			["indexes"],
			["export", "-o", "-"],
		]) {
			const { stderr } = await run(...command);
			expect(stderr, command[0]).not.toContain("the configured model is");
		}
		const status = await rem(
			["embeddings", "status", "--json", "--models", "models.ts", "--url", url],
			{
				cwd: folder,
				env: { EMBEDDING__MODEL: large, OPENAI_API_KEY: "sk-secret" },
			},
		);
		expect(JSON.parse(status.stdout)).toEqual({
			configured: { provider: "openai", model: large, dimensions: 3072 },
			running: false,
			mismatched: [],
			fields: [
				{
					table_name: "plants",
					field_name: "content",
					provider: "openai",
					model: large,
					dimensions: 3072,
					state: "active",
					texts: 2,
					embedded: 2,
					queued: 0,
					dead: 0,
					reasons: [],
				},
			],
		});
	});
});

test.runIf(engines.includes("server"))(
	"rem embeddings sync --watch embeds what others write, until it is stopped",
	async () => {
		server.reset();
		const url = await emptyDatabase("server");
		const client = new pg.Client({ connectionString: url });
		await rem(["migrate", "--models", "models.ts", "--url", url], {
			cwd: folder,
		});
		await client.connect();
		const watching = rem(
			["embeddings", "sync", "--watch", "--models", "models.ts", "--url", url],
			{
				cwd: folder,
				env: {
					EMBEDDING__BASE_URL: server.openaiUrl,
					OPENAI_API_KEY: "sk-secret",
				},
				onStart: (child) => {
					child.stderr?.on("data", async (text: string) => {
						if (!text.includes("watching")) return;
						await client.query(
							"INSERT INTO plants (tenant_id, name, content) VALUES ('t', 'elm', 'a tree')",
						);
						await expect
							.poll(
								async () =>
									(await client.query("SELECT FROM embeddings_plants"))
										.rowCount,
							)
							.toBe(1);
						child.kill("SIGINT");
					});
				},
			},
		);
		expect((await watching).code).toBe(130);
		await client.end();
	},
);

test("rem migrate fails with a provider that no one calls so, and creates nothing", async () => {
	const url = await emptyDatabase("embedded");
	for (const more of [[], ["--dry-run"]]) {
		const { code, stderr } = await rem(
			["migrate", "--models", "models.ts", "--url", url, ...more],
			{ cwd: folder, env: { EMBEDDING__PROVIDER: "opnai" } },
		);
		expect(code).not.toBe(0);
		expect(stderr).toContain('unknown embedding provider "opnai"');
		expect(stderr).toContain('did you mean "openai"?');
		expect(stderr).toContain("EMBEDDING__PROVIDER=module:");
	}
});
