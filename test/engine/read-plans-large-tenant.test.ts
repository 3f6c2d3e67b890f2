import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { operatorsOf } from "../../src/filters/operators.ts";
import { defineEntity, type PostgresService } from "../../src/index.ts";
import { useService } from "../support/engine.ts";
import { readPlans } from "../support/read-plans.ts";

// 3,000 of 10,000 rows are one tenant's: PostgreSQL takes a pass over the whole
// table for cheap there. What a read looks at follows its result all the same.

const Paper = defineEntity(
	"papers",
	{
		name: z.string(),
		content: z.string(),
		sessionId: z.string(),
		category: z.string(),
		year: z.number().int(),
	},
	{ entityKeyField: "name", indexes: [["year"]] },
);
const models = [Paper] as const;
const dimensions = 16;
const db = useService({
	models,
	embedding: { provider: "local", dimensions },
	backgroundIndex: { enabled: false },
});
type Service = PostgresService<typeof models>;

const tenantId = "large";
const rowsOfTenant = 3000;
const userId = "u5";

beforeAll(async () => {
	const { service } = db;
	// The model is known, and the connection to it.
	await service.batchUpsert({
		tableName: "papers",
		entities: [
			{ name: "0", content: "first", sessionId: "0", category: "0", year: 0 },
		],
		tenantId: "other",
	});
	await service.execute(`
INSERT INTO papers (tenant_id, user_id, name, content, session_id, category, year, tags, metadata, graph_edges,
  created_at, updated_at, deleted_at)
SELECT CASE WHEN i < ${rowsOfTenant} THEN '${tenantId}' ELSE 't' || i % 70 END, CASE WHEN i % 3 > 0 THEN 'u' || i / 5 % 300 END,
  'paper ' || i, repeat('content ' || i % 97 || ' w' || i || ' ', 30), 's' || i / 5, 'c' || i % 5, 1000 + i / 5,
  ARRAY['tag ' || i % 500], jsonb_build_object('k', i % 500),
  jsonb_build_array(jsonb_build_object('dst', 'paper ' || i + 1, 'rel_type', 'cites', 'weight', 1)),
  now() - i * interval '1 minute', now() - i * 7919 % 10000 * interval '1 minute', CASE WHEN i % 100 = 5 THEN now() - i * interval '1 second' END
FROM generate_series(0, 9999) AS i`);
	await service.execute(`
INSERT INTO embeddings_papers (entity_id, tenant_id, user_id, field_name, provider, model, dimensions, content_hash, embedding)
SELECT p.id, p.tenant_id, p.user_id, 'content', m.provider, m.model, m.dimensions, sha256(convert_to(p.content, 'UTF8')),
  (SELECT array_agg(((abs(hashint8(n + p.year * 31)) % 1000) - 500) / 500.0 + 0.001)::real[]::vector FROM generate_series(1, ${dimensions}) AS n)
FROM papers AS p, rem_embedding_models AS m WHERE p.tenant_id <> 'other' AND p.deleted_at IS NULL`);
	await service.execute("DELETE FROM rem_embedding_queue");
	await service.indexer.build({ tableName: "papers", indexType: "gin" });
	for (const name of ["papers", "embeddings_papers", "kv_store"])
		await service.execute(`VACUUM (ANALYZE) ${name}`);
	// The sample of the tenant's names is read once in five minutes.
	await service.hybridSearch({ tableName: "papers", query: "paper", tenantId });
});

const large = new Set(["papers", "embeddings_papers", "kv_store"]);
/** Pages that a statement of no rows looks at. */
const basePages = 60;
/** Pages for a row: its own, its entries in an index, its vector's. */
const pagesPerRow = 8;

async function expectCheap(
	rows: number,
	work: (service: Service) => Promise<unknown>,
): Promise<void> {
	const plans = await readPlans(db.service, () => work(db.service));
	expect(plans.length).toBeGreaterThan(0);
	for (const { text, blocks, scanned } of plans) {
		// The sample of the tenant's texts, which is read once in half a minute.
		if (text.includes('"averageLength"')) continue;
		expect(blocks, text).toBeLessThanOrEqual(basePages + pagesPerRow * rows);
		// Of a third of the table a pass over all of it is not more.
		if (rows < rowsOfTenant)
			expect(
				scanned.filter((name) => large.has(name)),
				text,
			).toEqual([]);
	}
}

type Where = Readonly<Record<string, unknown>>;

const papers = (service: Service) => service.repository(Paper);
const minutes = (count: number) => new Date(Date.now() - count * 60_000);

/** What the verbs read for a filter is what fulfils it. */
async function expectFollows(where: Where): Promise<void> {
	const filter = { ...where, tenantId } as never;
	const rows = await papers(db.service).count(filter);
	const searched = { tableName: "papers", tenantId, where } as never;
	await expectCheap(rows, (s) => papers(s).count(filter));
	await expectCheap(rows, (s) => papers(s).find(filter));
	await expectCheap(rows, async (s) => {
		for await (const _ of papers(s).iterate(filter));
	});
	await expectCheap(rows, (s) =>
		s.vectorSearch({ ...(searched as object), queryText: "content" } as never),
	);
	// Each of its lists reads them: by meaning, by two words and by name.
	await expectCheap(4 * rows, (s) =>
		s.hybridSearch({ ...(searched as object), query: "content w77" } as never),
	);
}

describe("a filter by a system column reads the rows that fulfil it", () => {
	const recent = minutes(20);
	const samples: Readonly<Record<string, unknown>> = {
		userId,
		tags: ["tag 3"],
		metadata: { k: 3 },
		graphEdges: [{ dst: "paper 9" }],
		createdAt: recent,
		updatedAt: recent,
		deletedAt: new Date(Date.now() - 60_000),
	};
	const operands: Readonly<Record<string, (sample: unknown) => unknown>> = {
		in: (sample) => [sample],
		notIn: (sample) => [sample],
		isNull: () => true,
		exists: () => true,
		like: (sample) => `${sample}%`,
		ilike: (sample) => `${sample}%`,
	};
	const cases = Object.entries(samples).flatMap(([name, sample]) => {
		const type = Paper.fieldsByName.get(name)?.type as never;
		return operatorsOf(type).map((operator): [string, string, unknown] => [
			name,
			operator,
			operands[operator]?.(sample) ?? sample,
		]);
	});

	test.each(cases)("%s %s", async (name, operator, value) => {
		await expectFollows({ [name]: { [operator]: value } });
	});

	test.each<[string, Where]>([
		["the session", { sessionId: "s7" }],
		["a session that has no rows", { sessionId: "none" }],
		["a declared index", { year: 1007 }],
		["the key", { name: "paper 7" }],
		["a list of keys", { name: { in: ["paper 7", "paper 8"] } }],
		[
			"1,000 keys",
			{ name: { in: Array.from({ length: 1000 }, (_, at) => `paper ${at}`) } },
		],
		["one or the other", { OR: [{ sessionId: "s7" }, { year: 1009 }] }],
		["both", { AND: [{ sessionId: "s7" }, { category: { ne: "c1" } }] }],
		["a path in JSON", { metadata: { path: ["k"], eq: 3 } }],
		["the user and the time", { userId, createdAt: { gt: minutes(60) } }],
		["deleted rows", { deletedAt: { isNull: false } }],
	])("%s", async (_, where) => {
		await expectFollows(where);
	});

	test("a user's session in a search", async () => {
		for (const userId of ["u7", null])
			await expectCheap(5, (s) =>
				s.vectorSearch({
					tableName: "papers",
					queryText: "content",
					tenantId,
					userId,
					where: { sessionId: "s7" },
				} as never),
			);
	});

	test.each([
		"session_id = 's7'",
		"user_id = 'u5'",
		"'tag 3' = ANY (tags)",
		"tags @> ARRAY['tag 3']",
		`metadata @> '{"k": 3}'`,
		"session_id = 's7' OR year = 1009",
	])("in the dialect: %s", async (where) => {
		await expectCheap(10, (s) =>
			s.query(`SQL papers WHERE ${where} LIMIT 10`, { tenantId }),
		);
		await expectCheap(10, (s) =>
			s.query(`SEARCH "content" IN papers WHERE ${where} LIMIT 5`, {
				tenantId,
			}),
		);
	});
});

describe("the first rows of an order are read alone", () => {
	// There is no index for an order of lists.
	const columns = [...Paper.fieldsByName.values()].filter(
		({ name, type }) =>
			type !== "jsonb" &&
			!type.endsWith("[]") &&
			!["content", "category"].includes(name),
	);

	test.each(columns.flatMap(({ name }) => [`${name} asc`, `${name} desc`]))(
		"%s",
		async (orderBy) => {
			// A user's rows, and those without one, are sorted by id.
			const rows = orderBy.startsWith("userId") ? rowsOfTenant / 3 : 10;
			await expectCheap(rows, (s) =>
				papers(s).find({ tenantId }, { orderBy, limit: 10 } as never),
			);
		},
	);

	const several = [
		["year desc", "name"],
		["createdAt desc", "id"],
	];
	test.each([
		...columns.flatMap(({ name }) => [[`${name} asc`], [`${name} desc`]]),
		...several,
	])("a page of findPage, and the one behind it: %s %s", async (...orderBy) => {
		const rows = orderBy[0]?.startsWith("userId") ? rowsOfTenant / 3 : 15;
		await expectCheap(rows, async (s) => {
			const page = (after?: string) =>
				papers(s).findPage({ tenantId }, {
					orderBy,
					limit: 10,
					...(after === undefined ? {} : { after }),
				} as never);
			const first = await page();
			const second = await page(first.next);
			expect(first.rows.length + second.rows.length).toBe(20);
		});
	});

	test.each(["id", "id DESC", "created_at DESC", "updated_at DESC", "year"])(
		"in the dialect: %s",
		async (order) => {
			await expectCheap(10, (s) =>
				s.query(`SQL papers ORDER BY ${order} LIMIT 10`, { tenantId }),
			);
		},
	);

	test("of a user's scope", async () => {
		for (const orderBy of ["updatedAt desc", "createdAt desc", "id desc"])
			await expectCheap(30, (s) =>
				s
					.scope({ tenantId, userId })
					.repository(Paper)
					.find({}, { orderBy, limit: 10 } as never),
			);
	});

	test("of the deleted", async () => {
		await expectCheap(10, (s) =>
			papers(s).find({ tenantId, deletedAt: { isNull: false } }, {
				orderBy: "deletedAt desc",
				limit: 10,
			} as never),
		);
	});

	test.each(["id desc", "updatedAt desc", "year desc", "name"])(
		"iterate by %s reads each row a few times",
		async (orderBy) => {
			let rows = 0;
			const plans = await readPlans(db.service, async () => {
				for await (const _ of papers(db.service).iterate({ tenantId }, {
					orderBy,
				} as never))
					rows++;
			});
			const blocks = plans.reduce((sum, plan) => sum + plan.blocks, 0);
			expect(rows).toBe(rowsOfTenant * 0.99);
			expect(blocks).toBeLessThan(4 * rowsOfTenant);
			expect(plans.flatMap(({ scanned }) => scanned)).not.toContain("papers");
		},
	);
});

describe("every other read follows its result", () => {
	const reads: Readonly<
		Record<string, [rows: number, read: (s: Service) => Promise<unknown>]>
	> = {
		getBySession: [
			5,
			(s) => papers(s).getBySession({ sessionId: "s7", tenantId }),
		],
		"lookupEntities of 1,000 keys": [
			1000,
			(s) =>
				s.lookupEntities({
					entityKeys: Array.from({ length: 1000 }, (_, at) => `paper ${at}`),
					tenantId,
				}),
		],
		"hybridSearch of a rare word": [
			rowsOfTenant / 4 - 1,
			(s) => s.hybridSearch({ tableName: "papers", query: "w77", tenantId }),
		],
		"traverse outbound": [
			3,
			(s) => s.traverse({ from: "paper 7", depth: 3, tenantId }),
		],
		"traverse inbound": [
			3,
			(s) =>
				s.traverse({ from: "paper 9", depth: 3, direction: "in", tenantId }),
		],
		"traverse by a type": [
			1,
			(s) =>
				s.traverse({
					from: "paper 9",
					direction: "in",
					edgeTypes: ["cites"],
					tenantId,
				}),
		],
	};

	test.each(Object.entries(reads))("%s", async (_, [rows, read]) => {
		await expectCheap(rows, read);
	});
});
