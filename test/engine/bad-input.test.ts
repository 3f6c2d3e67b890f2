import { randomBytes } from "node:crypto";
import { inspect } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import {
	defineEntity,
	PostgresService,
	RemError,
	registerType,
} from "../../src/index.ts";
import { codeOf, useService } from "../support/engine.ts";

const Page = defineEntity(
	"pages",
	{
		name: z.string(),
		content: z.string().optional(),
		title: z.string().optional(),
		year: z.int().optional(),
		labels: z.array(z.string()).optional(),
		data: z.record(z.string(), z.unknown()).optional(),
	},
	{ entityKeyField: "name", indexes: [["title"]] },
);
const Part = defineEntity(
	"parts",
	{ uri: z.string(), part: z.string() },
	{ entityKeyField: ["uri", "part"] },
);

const db = useService({
	models: [Page, Part],
	embedding: { provider: "local", dimensions: 16 },
});

const tenantId = "bad input";

/** One table that must be there, as it was, after every attack. */
const intact = async () => {
	const { rows } = await db.service.execute(
		"SELECT (SELECT count(*) FROM pages WHERE tenant_id = 'victim') AS rows, EXISTS (SELECT FROM pg_class WHERE relname = 'kv_store') AS kv, (SELECT count(*) FROM pg_class WHERE relname LIKE 'pwned%') AS pwned",
	);
	expect(rows).toEqual([{ rows: 1, kv: true, pwned: 0 }]);
};

beforeAll(() =>
	db.service.batchUpsert({
		tableName: "pages",
		entities: [{ name: "victim" }],
		tenantId: "victim",
	}),
);

const hostile = [
	"'",
	'"',
	"''\"\"``",
	"'; DROP TABLE pages; --",
	'"; CREATE TABLE pwned (a INT); --',
	"' OR '1'='1",
	"') OR TRUE --",
	"$1 $2 $$ $tag$",
	"%",
	"v_ctim",
	"%' OR name LIKE '%",
	"\\",
	"\\' \\\\ \\x00 \\u0000",
	'{a,b} {"c"} (x) [y]',
	"NULL",
	"null",
	"undefined",
	"🙂👩‍👧 é e\u0301 \u202eabc",
	"日本語 العربية",
	"\n\r\t\u0001\u007f\u0085\u2028",
	"a\ufeff bom \ufffd",
	"/* */ -- #",
	":name ? @>",
	"../../etc/passwd",
	"<script>alert(1)</script>",
	"constructor",
	"toString",
];

describe("a hostile text", () => {
	test.each(hostile)("%j is data, wherever it is given", async (text) => {
		const { service } = db;
		const scope = { tenantId: `${text} t`, userId: `${text} u` };
		const [id] = (
			await service.batchUpsert({
				tableName: "pages",
				entities: [
					{
						name: `${text} key`,
						content: `${text} content`,
						title: text,
						labels: [text, `${text},${text}`],
						data: { [text]: { nested: [text] } },
						metadata: { [text]: text },
						tags: [text],
						graphEdges: [
							{ dst: text, rel_type: text, properties: { [text]: text } },
						],
					},
				],
				...scope,
			})
		).ids;
		expect(
			await service.lookupEntity({ entityKey: `${text} key`, ...scope }),
		).toMatchObject({
			entityId: id,
			entityKey: `${text} key`,
			metadata: { [text]: text },
			graphEdges: [{ dst: text, rel_type: text }],
		});
		await service.fuzzySearch({ query: text, ...scope, threshold: 0.01 });
		const [hit] = await service.vectorSearch({
			tableName: "pages",
			queryText: `${text} content`,
			...scope,
			where: {
				title: text,
				labels: { contains: [text] },
				tags: { overlaps: [text] },
				data: { contains: { [text]: { nested: [text] } } },
			},
		});
		expect(hit).toMatchObject({
			id,
			...scope,
			title: text,
			labels: [text, `${text},${text}`],
			data: { [text]: { nested: [text] } },
			tags: [text],
		});
		const again = await service.lookupEntities({
			entityKeys: [text, `${text} key`],
			...scope,
			entityType: "pages",
		});
		expect(again.map(({ entityId }) => entityId)).toEqual([id]);
		await intact();
	});

	test("is data in both parts of a key", async () => {
		await db.service.batchUpsert({
			tableName: "parts",
			entities: hostile.map((text) => ({ uri: text, part: text })),
			tenantId,
		});
		for (const text of hostile)
			expect(
				await db.service.lookupEntity({
					entityKey: `${text}#${text}`,
					tenantId,
				}),
			).toMatchObject({ entityKey: `${text}#${text}` });
	});

	test.each(hostile)(
		"%j is no name of a table, field, provider or model",
		async (text) => {
			const { service } = db;
			const codes = await Promise.all(
				[
					service.batchUpsert({
						tableName: text as "pages",
						entities: [],
						tenantId,
					}),
					service.vectorSearch({
						tableName: text as "pages",
						queryText: "x",
						tenantId,
					}),
					service.vectorSearch({
						tableName: "pages",
						queryText: "x",
						fieldName: text as "content",
						tenantId,
					}),
					service.vectorSearch({
						tableName: "pages",
						queryText: "x",
						where: { [text]: 1 },
						tenantId,
					}),
					service.vectorSearch({
						tableName: "pages",
						queryText: "x",
						where: { year: { [text]: 1 } },
						tenantId,
					}),
					service.vectorSearch({
						tableName: "pages",
						queryText: "x",
						provider: text,
						tenantId,
					}),
					service.lookupEntity({ entityKey: "x", entityType: text, tenantId }),
					service.fuzzySearch({ query: "x", entityType: text, tenantId }),
					service.batchUpsert({
						tableName: "pages",
						entities: [{ name: "x", [text]: 1 }],
						tenantId,
					}),
					service.batchUpsert({
						tableName: "pages",
						entities: [{ name: "x", content: "x" }],
						embeddingProvider: text,
						tenantId,
					}),
					service.batchUpsert({
						tableName: "pages",
						entities: [],
						entityKeyField: text,
						tenantId,
					}),
				].map(codeOf),
			);
			expect(codes).toEqual([
				"UNKNOWN_ENTITY",
				"UNKNOWN_ENTITY",
				"UNKNOWN_FIELD",
				"UNKNOWN_FIELD",
				"FILTER_REFUSED",
				"PROVIDER_NOT_CONFIGURED",
				"UNKNOWN_ENTITY",
				"UNKNOWN_ENTITY",
				"UNKNOWN_FIELD",
				"PROVIDER_NOT_CONFIGURED",
				"VALIDATION",
			]);
			await intact();
		},
	);

	test.each(hostile)("%j is no name in a definition", (text) => {
		const table = defineEntity(
			text,
			{ name: z.string() },
			{ entityKeyField: "name" },
		);
		const field = defineEntity(
			"a",
			{ name: z.string(), [text]: z.string() },
			{ entityKeyField: "name" },
		);
		for (const entity of [table, field])
			if (entity.problems.length > 0)
				expect(() => registerType(entity)).toThrow(
					expect.objectContaining({ code: "VALIDATION" }),
				);
			else expect(text).toMatch(/^[a-zA-Z_]+$/);
	});
});

test("a text that begins with U+FEFF is read as it was written", async () => {
	const text = "\ufeffbom";
	await db.service.batchUpsert({
		tableName: "pages",
		entities: [{ name: "bom", content: "bom", title: text }],
		tenantId: "bom",
	});
	const [row] = await db.service.vectorSearch({
		tableName: "pages",
		queryText: "bom",
		tenantId: "bom",
	});
	expect(row?.title).toBe(text);
});

test("a text of 10 MB is stored, found by its vector, and the same to the next upsert", async () => {
	const content = "kubernetes karpenter ".repeat(500_000);
	const upsert = () =>
		db.service.batchUpsert({
			tableName: "pages",
			entities: [{ name: "large", content }],
			tenantId,
		});
	expect(await upsert()).toMatchObject({ inserted: 1, embeddingsGenerated: 1 });
	expect(await upsert()).toMatchObject({
		unchanged: 1,
		embeddingsGenerated: 0,
	});
	const [hit] = await db.service.vectorSearch({
		tableName: "pages",
		queryText: "karpenter",
		tenantId,
	});
	expect(hit?.content?.length).toBe(content.length);
	const found = await db.service.lookupEntity({ entityKey: "large", tenantId });
	expect(found?.contentSummary).toBe(content.slice(0, 500));
});

test("a text of 10 MB is data wherever data may be long", async () => {
	const huge = "naïve 🙂 ".repeat(800_000);
	const { service } = db;
	const scope = { tenantId: "huge" };
	await service.batchUpsert({
		tableName: "pages",
		entities: [
			{
				name: "huge",
				content: "x",
				labels: [huge],
				data: { huge },
				metadata: { huge },
				tags: [huge],
				graphEdges: [{ dst: "a", rel_type: "b", properties: { huge } }],
			},
		],
		...scope,
	});
	const hit = await service.lookupEntity({ entityKey: "huge", ...scope });
	expect(hit?.metadata).toEqual({ huge });
	const [row] = await service.vectorSearch({
		tableName: "pages",
		queryText: huge.slice(0, 10_000),
		where: { labels: { contains: [huge] }, content: { ne: huge } },
		...scope,
	});
	expect(row?.tags).toEqual([huge]);
	const { rows } = await service.execute("SELECT length($1) AS n", [huge]);
	expect(rows).toEqual([{ n: [...huge].length }]);
});

test("a text of 10 MB where it has no business is refused at once", async () => {
	const huge = "x".repeat(10_000_000);
	const { service } = db;
	const codes = await Promise.all(
		[
			service.lookupEntity({ entityKey: huge, tenantId }),
			service.fuzzySearch({ query: huge, tenantId }),
			service.vectorSearch({ tableName: "pages", queryText: huge, tenantId }),
			service.hybridSearch({ tableName: "pages", query: huge, tenantId }),
			service.query(`SEARCH "${huge}" IN pages`, { tenantId }),
			service.lookupEntity({ entityKey: "x", tenantId: huge }),
			service.fuzzySearch({ query: "x", tenantId, userId: huge }),
			service.batchUpsert({
				tableName: "pages",
				entities: [{ name: huge }],
				tenantId,
			}),
		].map(codeOf),
	);
	expect(codes).toEqual([
		"INPUT_LIMIT",
		"INPUT_LIMIT",
		"INPUT_LIMIT",
		"INPUT_LIMIT",
		"INPUT_LIMIT",
		"VALIDATION",
		"VALIDATION",
		"INPUT_LIMIT",
	]);
});

test("a text too long for its index is stored, or INPUT_LIMIT", async () => {
	const title = randomBytes(9000).toString("base64");
	const code = await codeOf(
		db.service.batchUpsert({
			tableName: "pages",
			entities: [{ name: "indexed", title }],
			tenantId,
		}),
	);
	expect(["no error", "INPUT_LIMIT"]).toContain(code);
});

test("a text of 10 MB is not a name, and is refused quickly", async () => {
	const huge = "x".repeat(10_000_000);
	const { service } = db;
	for (const call of [
		() => service.batchUpsert({ tableName: huge as "pages", entities: [] }),
		() => service.lookupEntity({ entityKey: "a", entityType: huge }),
		() =>
			service.vectorSearch({
				tableName: "pages",
				queryText: "a",
				where: { [huge]: 1 },
			}),
	]) {
		const error = await failureOf(call());
		expect(["UNKNOWN_ENTITY", "UNKNOWN_FIELD"]).toContain(error.code);
		expect(error.message.length).toBeLessThan(1000);
	}
});

test("every bad row is named and nothing is written, whatever is wrong with it", async () => {
	const entities = [
		{ name: "fine" },
		{ name: 1 },
		{ content: "no key" },
		{ name: "k".repeat(256) },
		{ name: "nul\0" },
		{ name: "lone \ud83d" },
		{ name: "unknown", yaer: 1 },
		{ name: "typed", year: "1999" },
		{ name: "deep", data: nested(101) },
		{ name: "tenant", tenantId: "other" },
		"text",
		null,
	];
	const error = await failureOf(
		db.service.batchUpsert({
			tableName: "pages",
			entities: entities as never,
			tenantId: "bad rows",
		}),
	);
	expect(error.code).toBe("VALIDATION");
	expect(error.issues.map(({ index, field }) => [index, field])).toEqual([
		[1, "name"],
		[2, "name"],
		[3, "name"],
		[4, "name"],
		[5, "name"],
		[6, "yaer"],
		[7, "year"],
		[8, "data"],
		[9, "tenantId"],
		[10, undefined],
		[11, undefined],
	]);
	expect(
		await db.service.lookupEntity({ entityKey: "fine", tenantId: "bad rows" }),
	).toBeUndefined();
});

test("a JSON of 100 levels is stored and read, one of 101 refused", async () => {
	const upsert = (levels: number) =>
		db.service.batchUpsert({
			tableName: "pages",
			entities: [{ name: "deep", content: "deep", data: nested(levels) }],
			tenantId: "deep",
		});
	await upsert(100);
	const [row] = await db.service.vectorSearch({
		tableName: "pages",
		queryText: "deep",
		tenantId: "deep",
	});
	expect(row?.data).toEqual(nested(100));
	expect(await codeOf(upsert(101))).toBe("INPUT_LIMIT");
});

test("a key __proto__ in metadata is stored and read as data", async () => {
	const metadata = JSON.parse('{"__proto__":{"polluted":true},"a":1}');
	await db.service.batchUpsert({
		tableName: "pages",
		entities: [{ name: "proto", metadata }],
		tenantId,
	});
	const hit = await db.service.lookupEntity({ entityKey: "proto", tenantId });
	expect({}).not.toHaveProperty("polluted");
	expect(JSON.stringify(hit?.metadata)).toContain("__proto__");
});

describe("what the types forbid and JavaScript does all the same", () => {
	const { upsert, search } = {
		upsert: (options: object) =>
			db.service.batchUpsert({
				tableName: "pages",
				entities: [],
				tenantId,
				...options,
			}),
		search: (options: object) =>
			db.service.vectorSearch({
				tableName: "pages",
				queryText: "x",
				tenantId,
				...options,
			}),
	};

	test.each<[string, () => Promise<unknown>]>([
		[
			"a number as key",
			() => db.service.lookupEntity({ entityKey: 1 as never, tenantId }),
		],
		["no key", () => db.service.lookupEntity({ tenantId } as never)],
		[
			"a number as query",
			() => db.service.fuzzySearch({ query: 1 as never, tenantId }),
		],
		["no query", () => db.service.fuzzySearch({ tenantId } as never)],
		[
			"a number as tenant",
			() => db.service.lookupEntity({ entityKey: "a", tenantId: 1 as never }),
		],
		[
			"a number as user",
			() =>
				db.service.lookupEntity({
					entityKey: "a",
					tenantId,
					userId: 1 as never,
				}),
		],
		["a text as limit", () => search({ limit: "1" })],
		[
			"a text as threshold",
			() =>
				db.service.fuzzySearch({
					query: "a",
					tenantId,
					threshold: "x" as never,
				}),
		],
		[
			"a number as the call's tenant in a write",
			() => upsert({ entities: [{ name: "n" }], tenantId: 1 }),
		],
		["a text as entities", () => upsert({ entities: "text" })],
	])("%s is a RemError", async (_, call) => {
		await expectRemError(call);
	});

	test.each<[string, () => Promise<unknown>]>([
		["no entities", () => upsert({ entities: undefined })],
		["an entity instead of a list", () => upsert({ entities: { name: "a" } })],
		[
			"a text as entityKeys",
			() => db.service.lookupEntities({ entityKeys: "ab" as never, tenantId }),
		],
		[
			"a list of texts as vector",
			() =>
				search({
					queryText: undefined,
					queryEmbedding: Array.from({ length: 16 }, () => "1"),
				}),
		],
		["a number as query text", () => search({ queryText: 1 })],
		["null as filter", () => search({ where: null })],
		["no table", () => upsert({ tableName: undefined })],
		["no options", () => db.service.lookupEntity(undefined as never)],
	])("%s is a RemError", async (_, call) => {
		await expectRemError(call);
	});

	async function expectRemError(call: () => Promise<unknown>): Promise<void> {
		const error = await (async () => call())().then(
			() => "no error",
			(e) => e,
		);
		expect(error, inspect(error)).toBeInstanceOf(RemError);
	}
});

test.each(["", "x", "http://h", "postgres:/h", "mysql://h/d"])(
	"the address %j is CONFIG_INVALID",
	async (connectionString) => {
		expect(await codeOf(PostgresService.connect({ connectionString }))).toBe(
			"CONFIG_INVALID",
		);
	},
);

async function failureOf(promise: Promise<unknown>): Promise<RemError> {
	return promise.then(
		() => expect.unreachable("it did not fail"),
		(error) => error,
	);
}

/** An object in an object …, so many levels of it. */
function nested(levels: number): Record<string, unknown> {
	let value: Record<string, unknown> = { end: 1 };
	for (let level = 1; level < levels; level++) value = { level: value };
	return value;
}
