import { beforeAll, beforeEach, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, RemError } from "../../src/index.ts";
import { silentLogger } from "../../src/logger.ts";
import { codeOf, useService } from "../support/engine.ts";
import { FakeProvider } from "../support/fake-provider.ts";
import { call, serveMcp } from "../support/mcp.ts";

// While the provider makes no vectors, recall answers by names, words and edges.

const fields = { name: z.string(), content: z.string().optional() };
const Film = defineEntity("films", fields, { entityKeyField: "name" });
const Memo = defineEntity("memos", fields, { entityKeyField: "name" });
const provider = new FakeProvider();
const warnings: string[] = [];
const logger = {
	...silentLogger,
	warn: (_: unknown, message: string) => warnings.push(message),
};
const db = useService({
	models: [Film, Memo],
	embedding: { provider, retry: { attempts: 1 } },
	logger,
});
const tenantId = "acme";

beforeAll(async () => {
	const { service } = db;
	await service.batchUpsert({
		tableName: "films",
		tenantId,
		entities: [
			{
				name: "Metropolis",
				content: "A zeppelin flies over the tower.",
				graphEdges: [{ dst: "Fritz Lang", rel_type: "directed_by" }],
			},
		],
	});
	await service.batchUpsert({
		tableName: "memos",
		tenantId,
		entities: [{ name: "Fritz Lang", content: "Born in Vienna." }],
	});
});
beforeEach(() => {
	provider.reset();
	warnings.length = 0;
});

test.each([
	[503, "PROVIDER_FAILED"],
	[429, "PROVIDER_RATE_LIMITED"],
	[401, "PROVIDER_NOT_CONFIGURED"],
])(
	"a provider that answers %i leaves out meaning alone, and the result and the log state that",
	async (status, code) => {
		provider.fail(status);
		const { service } = db;
		const query = `who made Metropolis, status ${status}`;
		const found = await service.recall({ query, tenantId });
		expect(found.items.map(({ entityKey }) => entityKey)).toEqual([
			"Metropolis",
			"Fritz Lang",
		]);
		expect(found.incomplete).toEqual([
			{ step: "vector", code, message: expect.stringContaining('"fake"') },
		]);
		expect(warnings).toEqual([expect.stringContaining("without vectors")]);
		const words = await service.recall({
			query: `a zeppelin ${status}`,
			tables: ["films"],
			tenantId,
			explain: true,
		});
		expect(words.items[0]?.reasons).toContainEqual({ step: "text", rank: 1 });
		expect(words.incomplete).toHaveLength(1);
		expect(words.explain.tables.films?.lists?.text).toBeTruthy();
	},
);

test("a complete answer has no mark", async () => {
	const found = await db.service.recall({ query: "Metropolis", tenantId });
	expect(found).not.toHaveProperty("incomplete");
	expect(warnings).toEqual([]);
});

test("the dialect and the MCP tools have the mark", async () => {
	provider.fail();
	const { service } = db;
	const asked = await service
		.scope({ tenantId })
		.query('RECALL "Metropolis in the dialect"');
	expect(asked).toMatchObject({ incomplete: [{ code: "PROVIDER_FAILED" }] });
	const mcp = await serveMcp({
		service,
		tokens: { "token-of-acme-writer": { tenant: tenantId } },
		surface: "full",
	});
	try {
		const client = await mcp.connect("token-of-acme-writer");
		for (const [name, query] of [
			["recall", "Metropolis of the tool"],
			["query", 'RECALL "Metropolis of the query"'],
		] as const) {
			const { content, text } = await call(client, name, { query });
			expect(content.items.length, name).toBeGreaterThan(0);
			expect(content.incomplete, name).toMatchObject([
				{ step: "vector", code: "PROVIDER_FAILED" },
			]);
			expect(text, name).toContain("PROVIDER_FAILED");
		}
	} finally {
		await mcp.close();
	}
});

test("searches, evaluations and aborted calls fail", async () => {
	provider.fail();
	const { service } = db;
	const query = "zeppelins that fail";
	const failing = [
		() => service.hybridSearch({ query, tenantId }),
		() => service.hybridSearch({ tableName: "films", query, tenantId }),
		() => service.vectorSearch({ queryText: query, tenantId }),
		() =>
			service.evaluate({
				tableName: "films",
				tenantId,
				queries: [{ query, relevant: ["Metropolis"] }],
				modes: ["recall"],
			}),
	];
	for (const one of failing)
		expect(await codeOf(one())).toBe("PROVIDER_FAILED");
	const controller = new AbortController();
	provider.onCall = () => {
		controller.abort();
		return new Promise(() => {});
	};
	const aborted = service.recall({
		query: "aborted",
		tenantId,
		signal: controller.signal,
	});
	expect(await codeOf(aborted)).toBe("CANCELLED");
});

test("the hint of a read has no remedy for writes", async () => {
	provider.fail();
	const hintOf = (work: Promise<unknown>) =>
		work.then(
			() => "no error",
			(error: unknown) =>
				error instanceof RemError ? (error.hint ?? "") : "other",
		);
	const { service } = db;
	const entities = [{ name: "new", content: "not stored" }];
	const write = { tableName: "films", tenantId, entities } as const;
	expect(await hintOf(service.batchUpsert(write))).toContain(
		"nothing was stored",
	);
	const queryText = "a query that fails";
	const read = await hintOf(service.vectorSearch({ queryText, tenantId }));
	expect(read).toBe("try again later");
});
