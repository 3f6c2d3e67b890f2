import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { pathOperators } from "../../src/filters/json-path.ts";
import { operatorsOf } from "../../src/filters/operators.ts";
import { defineEntity, type PostgresService } from "../../src/index.ts";
import { useService } from "../support/engine.ts";
import { readPlans } from "../support/read-plans.ts";

// 10,000 rows in 100 tenants: no read of one tenant goes through the table, nor
// looks at more pages than its rows, or at most the tenant's, are good for.

const Paper = defineEntity(
	"papers",
	{
		name: z.string(),
		content: z.string(),
		category: z.string().optional(),
		year: z.number().int().optional(),
		rating: z.number().optional(),
		isOpen: z.boolean().optional(),
		publishedAt: z.date().optional(),
		authorId: z.uuid().optional(),
		topics: z.array(z.string()).default([]),
		notes: z.record(z.string(), z.unknown()).optional(),
	},
	{
		entityKeyField: "name",
		indexes: [
			["category"],
			["year"],
			["rating"],
			["isOpen"],
			["publishedAt"],
			["authorId"],
		],
	},
);

const Remark = defineEntity(
	"remarks",
	{ content: z.string(), sessionId: z.string() },
	{ entityKeyField: null, createEmbeddings: false },
);

const models = [Paper, Remark] as const;
const dimensions = 16;
const db = useService({
	models,
	embedding: { provider: "local", dimensions },
	backgroundIndex: { enabled: false },
});

const tenants = 100;
const rowsPerTenant = 100;
const tenantId = "t7";
const author = "0198f2a4-0000-7000-8000-000000000003";

beforeAll(async () => {
	const { service } = db;
	// The model is known, and the connection to it.
	await service.batchUpsert({
		tableName: "papers",
		entities: [{ name: "first", content: "the first of all" }],
		tenantId: "other",
	});
	await service.execute(`
INSERT INTO papers (tenant_id, user_id, name, content, category, year, rating, is_open, published_at, author_id, topics,
  notes, graph_edges)
SELECT 't' || i % ${tenants}, CASE i / ${tenants} % 3 WHEN 0 THEN NULL ELSE 'u' || i / ${tenants} % 3 END,
  'paper ' || i / ${tenants}, repeat('content ' || i || ' ', 40), 'c' || i / ${tenants} % 5, 1950 + i / ${tenants} % 50,
  i / ${tenants} % 10 / 2.0, i / ${tenants} % 2 = 0, '2020-01-01'::timestamptz + i / ${tenants} * interval '1 day',
  ('0198f2a4-0000-7000-8000-0000000000' || lpad((i / ${tenants} % 10)::text, 2, '0'))::uuid, ARRAY['topic ' || i / ${tenants} % 7],
  jsonb_build_object('source', 's' || i / ${tenants} % 4, 'rank', i / ${tenants}),
  jsonb_build_array(jsonb_build_object('dst', 'paper ' || (i / ${tenants} + 1) % ${rowsPerTenant}, 'rel_type', 'cites', 'weight', 1))
FROM generate_series(0, ${tenants * rowsPerTenant - 1}) AS i`);
	await service.execute(`
INSERT INTO embeddings_papers (entity_id, tenant_id, user_id, field_name, provider, model, dimensions, content_hash, embedding)
SELECT p.id, p.tenant_id, p.user_id, 'content', m.provider, m.model, m.dimensions, sha256(convert_to(p.content, 'UTF8')),
  (SELECT array_agg(((abs(hashint8(n + p.year * 31)) % 1000) - 500) / 500.0 + 0.001)::real[]::vector FROM generate_series(1, ${dimensions}) AS n)
FROM papers AS p, rem_embedding_models AS m WHERE p.tenant_id <> 'other'`);
	await service.execute("DELETE FROM rem_embedding_queue");
	await service.execute(`
INSERT INTO remarks (tenant_id, user_id, content, session_id)
SELECT 't' || i % ${tenants}, CASE i / ${tenants} % 3 WHEN 0 THEN NULL ELSE 'u' || i / ${tenants} % 3 END,
  repeat('content ' || i || ' ', 40), 's' || i / ${tenants} / 10
FROM generate_series(0, ${tenants * rowsPerTenant - 1}) AS i`);
	for (const name of ["papers", "embeddings_papers", "remarks", "kv_store"])
		await service.execute(`VACUUM (ANALYZE) ${name}`);
});

type Service = PostgresService<typeof models>;

/** Our tables that have many rows. */
const large = new Set([
	"papers",
	"embeddings_papers",
	"remarks",
	"kv_store",
	"rem_embedding_queue",
]);

/** Pages that a statement of no rows looks at: the catalogue's, the roots of indexes. */
const basePages = 60;
/** Pages for a row: its own, its entries in an index, and of other tables what belongs to it. */
const pagesPerRow = 8;

async function expectCheap(
	work: (service: Service) => Promise<unknown>,
	rows: number,
): Promise<void> {
	const plans = await readPlans(db.service, () => work(db.service));
	expect(plans.length).toBeGreaterThan(0);
	for (const { text, blocks, scanned } of plans) {
		expect(
			scanned.filter((name) => large.has(name)),
			text,
		).toEqual([]);
		expect(blocks, text).toBeLessThanOrEqual(basePages + pagesPerRow * rows);
	}
}

const papers = (service: Service) => service.repository(Paper);
const remarks = (service: Service) => service.repository(Remark);

const at = new Date("2020-01-08T00:00:00Z");
const samples: Readonly<Record<string, unknown>> = {
	name: "paper 7",
	category: "c2",
	year: 1957,
	rating: 1.5,
	isOpen: true,
	publishedAt: at,
	authorId: author,
	topics: ["topic 3"],
	notes: { source: "s1" },
};

const yesOrNo = new Set(["isNull", "exists"]);
const lists = new Set(["in", "notIn"]);

function operand(operator: string, sample: unknown): unknown {
	if (yesOrNo.has(operator)) return true;
	if (lists.has(operator)) return [sample];
	return operator === "like" || operator === "ilike" ? `${sample}%` : sample;
}

describe("a filter reads its tenant's rows at most, by every operator", () => {
	const cases = Object.keys(samples).flatMap((name) => {
		const type = Paper.fieldsByName.get(name)?.type as never;
		return operatorsOf(type).map((operator) => [
			name,
			operator,
			operand(operator, samples[name]),
		]) as [string, string, unknown][];
	});

	test.each(cases)("%s %s", async (name, operator, value) => {
		const where = { tenantId, [name]: { [operator]: value } };
		await expectCheap((s) => papers(s).find(where as never), rowsPerTenant);
		await expectCheap((s) => papers(s).count(where as never), rowsPerTenant);
		await expectCheap(async (s) => {
			for await (const _ of papers(s).iterate(where as never));
		}, rowsPerTenant);
		await expectCheap(
			(s) =>
				s.vectorSearch({
					tableName: "papers",
					queryText: "content",
					tenantId,
					where: { [name]: { [operator]: value } } as never,
				}),
			rowsPerTenant,
		);
	});

	test.each(
		Object.keys(pathOperators).map((operator) => {
			const sample = "s1";
			return [operator, operand(operator, sample)] as const;
		}),
	)("a path %s", async (operator, value) => {
		const where = {
			tenantId,
			notes: { path: ["source"], [operator]: value },
		};
		await expectCheap((s) => papers(s).find(where as never), rowsPerTenant);
	});

	test.each([
		"year = 1957",
		"1957 = year",
		"year <> 1957",
		"year IS DISTINCT FROM 1957",
		"year IS NOT DISTINCT FROM 1957",
		"year IS NULL",
		"year IN (1957, 1958)",
		"year NOT IN (1957)",
		"year BETWEEN 1957 AND 1958",
		"year > 1997.5",
		"name = 'paper 7'",
		"name LIKE 'paper 7%'",
		"lower(name) = 'paper 7'",
		"is_open",
		"is_open IS NOT TRUE",
		"published_at = '2020-01-08'",
		"published_at < '2020-01-08'::date",
		`author_id = '${author}'`,
		"'topic 3' = ANY (topics)",
		"topics && ARRAY['topic 3']",
		"notes->>'source' = 's1'",
		'notes @> \'{"source": "s1"}\'',
		"NOT (year = 1957 OR category IS NULL)",
	])("in the dialect: %s", async (where) => {
		await expectCheap(
			(s) => s.query(`SQL papers WHERE ${where} LIMIT 10`, { tenantId }),
			rowsPerTenant,
		);
		await expectCheap(
			(s) =>
				s.query(`SEARCH "content" IN papers WHERE ${where} LIMIT 10`, {
					tenantId,
				}),
			rowsPerTenant,
		);
	});
});

describe("equality on an indexed field reads the rows that it returns", () => {
	const indexed = [
		["name", 1],
		["category", 20],
		["year", 2],
		["rating", 10],
		["publishedAt", 1],
		["authorId", 10],
	] as const;

	test.each(indexed)("%s", async (name, rows) => {
		const where = { tenantId, [name]: samples[name] };
		for (const limited of [
			where,
			{ ...where, [name]: { in: [samples[name]] } },
		])
			await expectCheap((s) => papers(s).find(limited as never), rows);
		await expectCheap((s) => papers(s).count(where as never), rows);
	});

	test.each([
		["name", "paper 7", 100],
		["name", "nowhere", 0],
		["publishedAt", at, 100],
		["id", author, 1],
	])("without a tenant: %s %s", async (name, value, rows) => {
		await expectCheap(
			(s) => papers(s).find({ [name]: value } as never),
			// A place in the index for each tenant.
			rows + tenants,
		);
	});

	test("a session without a tenant", async () => {
		await expectCheap(
			(s) => remarks(s).find({ sessionId: "nowhere" }),
			tenants,
		);
	});

	test("the first rows by any indexed order, forwards and backwards", async () => {
		for (const [name] of [...indexed, ["id"], ["createdAt"]] as const)
			for (const direction of ["asc", "desc"])
				await expectCheap(
					(s) =>
						papers(s).find({ tenantId }, {
							orderBy: `${name} ${direction}`,
							limit: 5,
						} as never),
					5,
				);
	});
});

const getById = async (service: Service) => {
	const [row] = await papers(service).find({ tenantId, name: "paper 7" });
	return (row as { id: string }).id;
};

describe("every read of a tenant reads what it returns", () => {
	const text = "content";
	const scoped = (service: Service) =>
		service.scope({ tenantId, userId: "u1" });
	const reads: Record<
		string,
		[rows: number, read: (service: Service, id: string) => Promise<unknown>]
	> = {
		getById: [1, (s, id) => papers(s).getById(id, tenantId)],
		"getById of another tenant": [1, (s, id) => papers(s).getById(id, "t8")],
		getBySession: [
			10,
			(s) => remarks(s).getBySession({ sessionId: "s3", tenantId }),
		],
		"getBySession of a user": [
			10,
			(s) =>
				remarks(s).getBySession({ sessionId: "s3", tenantId, userId: "u1" }),
		],
		"find without a filter": [
			5,
			(s) => papers(s).find({ tenantId }, { limit: 5 }),
		],
		count: [rowsPerTenant, (s) => papers(s).count({ tenantId })],
		iterate: [
			rowsPerTenant,
			async (s) => {
				for await (const _ of papers(s).iterate({ tenantId }));
			},
		],
		"find in a user's scope": [
			70,
			(s) => scoped(s).repository(Paper).find({}, { limit: 5 }),
		],
		"find in a user's scope, without a key": [
			70,
			(s) => scoped(s).repository(Remark).find({}, { limit: 5 }),
		],
		"count in a user's scope": [
			70,
			(s) => scoped(s).repository(Remark).count(),
		],
		"getById in a user's scope": [
			1,
			(s, id) => scoped(s).repository(Paper).getById(id),
		],
		lookupEntity: [
			1,
			(s) => s.lookupEntity({ entityKey: "Paper_7", tenantId }),
		],
		"lookupEntity hydrated": [
			1,
			(s) => s.lookupEntity({ entityKey: "paper 7", tenantId, hydrate: true }),
		],
		lookupEntities: [
			3,
			(s) =>
				s.lookupEntities({
					entityKeys: ["paper 1", "paper 2", "paper 3"],
					tenantId,
				}),
		],
		...Object.fromEntries(
			(["key", "word", "content"] as const).map((mode) => [
				`fuzzySearch by ${mode}`,
				[
					rowsPerTenant,
					(s: Service) => s.fuzzySearch({ query: "paper 77", mode, tenantId }),
				],
			]),
		),
		vectorSearch: [
			rowsPerTenant,
			(s) => s.vectorSearch({ tableName: "papers", queryText: text, tenantId }),
		],
		"vectorSearch of a user": [
			rowsPerTenant,
			(s) =>
				s.vectorSearch({
					tableName: "papers",
					queryText: text,
					tenantId,
					userId: "u1",
				}),
		],
		hybridSearch: [
			rowsPerTenant,
			(s) => s.hybridSearch({ tableName: "papers", query: text, tenantId }),
		],
		"traverse outbound": [
			6,
			(s) => s.traverse({ from: "paper 7", depth: 5, tenantId }),
		],
		"traverse inbound": [
			rowsPerTenant,
			(s) =>
				s.traverse({
					from: "paper 7",
					depth: 1,
					direction: "in",
					tenantId,
				}),
		],
		"a LOOKUP of the dialect": [
			1,
			(s) => s.query('LOOKUP "paper 7"', { tenantId }),
		],
		"a FUZZY of the dialect": [
			rowsPerTenant,
			(s) => s.query('FUZZY "paper 77"', { tenantId }),
		],
		"SQL of the dialect": [
			10,
			(s) =>
				s.query("SQL papers ORDER BY created_at DESC LIMIT 10", {
					tenantId,
				}),
		],
		"a TRAVERSE of the dialect": [
			6,
			(s) => s.query('TRAVERSE FROM "paper 7" DEPTH 5', { tenantId }),
		],
	};

	test.each(Object.entries(reads))("%s", async (_, [rows, read]) => {
		const id = await getById(db.service);
		await expectCheap((service) => read(service, id), rows);
	});

	test("the names of the cache while it is emptied", async () => {
		const { service } = db;
		await service.execute(
			"UPDATE kv_state SET kind = 'away' WHERE kind = 'ready'",
		);
		try {
			const find = () =>
				service.lookupEntity({ entityKey: "Paper_7", tenantId });
			const plans = await readPlans(service, find);
			const own = plans.filter(({ text }) => text.includes("kv_source_papers"));
			expect(own.length).toBeGreaterThan(0);
			for (const { blocks, scanned } of own) {
				expect(scanned.filter((name) => large.has(name))).toEqual([]);
				expect(blocks).toBeLessThan(basePages);
			}
		} finally {
			await service.kv.rebuild();
		}
	});
});

describe("what is about all tenants passes over each table a few times", () => {
	const reads: Record<string, (service: Service) => Promise<unknown>> = {
		"embeddings.status": (s) => s.embeddings.status(),
		"kv.status": (s) => s.kv.status(),
		"indexer.status": (s) => s.indexer.status(),
		doctor: (s) => s.doctor(),
	};

	test.each(Object.entries(reads))("%s", async (_, read) => {
		const { rows } = await db.service.execute<{ pages: number }>(
			`SELECT sum(pg_table_size(oid) / 8192)::integer AS pages FROM pg_class
			 WHERE relname IN ('papers', 'embeddings_papers', 'kv_store')`,
		);
		const pages = rows[0]?.pages ?? 0;
		const plans = await readPlans(db.service, () => read(db.service));
		for (const { text, blocks } of plans)
			expect(blocks, text).toBeLessThan(3 * pages + 2000);
	});
});

describe("iterate reads each row a few times, however many pages there are", () => {
	beforeAll(async () => {
		// One tenant of 5,000 rows: of one time, of ten categories, a third without a year.
		await db.service.execute(`
INSERT INTO papers (tenant_id, name, content, category, year)
SELECT 'large', 'paper ' || md5(i::text), 'content ' || i, 'c' || i % 10, CASE WHEN i % 3 > 0 THEN 1950 + i % 7 END
FROM generate_series(1, 5000) AS i`);
		await db.service.execute("VACUUM (ANALYZE) papers");
	});

	test.each([
		"id",
		"id desc",
		"name",
		"name desc",
		"createdAt",
		"createdAt desc",
		"category",
		"category desc",
		"year",
		"year desc",
	] as const)("by %s", async (orderBy) => {
		const found = new Set<string>();
		const plans = await readPlans(db.service, async () => {
			const all = papers(db.service).iterate(
				{ tenantId: "large" },
				{ orderBy },
			);
			for await (const { id } of all) found.add(id);
		});
		expect(found.size).toBe(5000);
		expect(plans).toHaveLength(11);
		const blocks = plans.reduce((sum, plan) => sum + plan.blocks, 0);
		expect(blocks).toBeLessThan(4 * 5000);
	});

	test.each(["created_at", "created_at DESC", "category DESC", "year DESC"])(
		"and the dialect's ORDER BY %s reads the rows it returns",
		async (order) => {
			await expectCheap(
				(s) =>
					s.query(`SQL papers ORDER BY ${order} LIMIT 10`, {
						tenantId: "large",
					}),
				10,
			);
		},
	);

	test("by a mixed order each page reads a group of equals at most", async () => {
		const found = new Set<string>();
		const plans = await readPlans(db.service, async () => {
			const all = papers(db.service).iterate(
				{ tenantId: "large" },
				{ orderBy: ["category asc", "year desc"] },
			);
			for await (const { id } of all) found.add(id);
		});
		expect(found.size).toBe(5000);
		for (const { blocks } of plans) expect(blocks).toBeLessThan(6 * 500 * 3);
	});
});
