import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { codeOf, useService } from "../support/engine.ts";

const fields = { name: z.string(), content: z.string().optional() };
const Article = defineEntity(
	"articles",
	{ ...fields, year: z.number().int().optional() },
	{ entityKeyField: "name" },
);
const Memo = defineEntity("memos", fields, { entityKeyField: "name" });
const Summary = defineEntity(
	"summaries",
	{ name: z.string(), summary: z.string() },
	{ entityKeyField: "name" },
);
const Label = defineEntity(
	"labels",
	{ name: z.string() },
	{ entityKeyField: "name" },
);
const models = [Article, Memo, Summary, Label] as const;
const db = useService({ models });
const tenantId = "acme";

beforeAll(async () => {
	const texts = ["red apples", "green apples", "a red car", "the blue sea"];
	for (const tableName of ["articles", "memos"] as const)
		await db.service.batchUpsert({
			tableName,
			tenantId,
			entities: texts.map((content, at) => ({
				name: `${tableName} ${at}`,
				content,
				metadata: { at },
			})),
		});
	await db.service.batchUpsert({
		tableName: "articles",
		tenantId,
		entities: [{ name: "of 1990", content: "grapes of that year", year: 1990 }],
	});
	await db.service.batchUpsert({
		tableName: "summaries",
		tenantId: "other",
		entities: [{ name: "theirs", summary: "red apples" }],
	});
});

const queryText = "red apples";
type Hits = readonly { readonly entityType: string; readonly name: string }[];
const named = (hits: Hits) =>
	hits.map(({ entityType, name }) => `${entityType}/${name}`);

test("vectorSearch without a table gives the nearest rows of all tables, of equal ones by table and id", async () => {
	const all = await db.service.vectorSearch({ queryText, tenantId, limit: 20 });
	const each = [];
	for (const tableName of ["articles", "memos"] as const) {
		const hits = await db.service.vectorSearch({
			tableName,
			queryText,
			tenantId,
			limit: 20,
		});
		each.push(...hits.map((hit) => ({ ...hit, entityType: tableName })));
	}
	const merged = each.sort((a, b) => b.similarity - a.similarity);
	expect(all).toEqual(merged);
	expect(named(all).slice(0, 2)).toEqual([
		"articles/articles 0",
		"memos/memos 0",
	]);
	const two = await db.service.vectorSearch({ queryText, tenantId, limit: 2 });
	expect(two).toEqual(all.slice(0, 2));
});

test("hybridSearch without a table gives the best rows of all tables, each with its table", async () => {
	const call = { query: queryText, tenantId, limit: 20 };
	const all = await db.service.hybridSearch(call);
	expect(named(all).slice(0, 2).sort()).toEqual([
		"articles/articles 0",
		"memos/memos 0",
	]);
	const scores = all.map(({ score }) => score);
	expect(scores).toEqual([...scores].sort((a, b) => b - a));
	expect(await db.service.hybridSearch(call)).toEqual(all);
	for (const tableName of ["articles", "memos"] as const) {
		const own = await db.service.hybridSearch({ ...call, tableName });
		expect(named(all.filter((hit) => hit.entityType === tableName))).toEqual(
			own.map(({ name }) => `${tableName}/${name}`),
		);
	}
});

test("rerank orders the hits of all tables by its scores", async () => {
	const hits = await db.service.hybridSearch({
		query: queryText,
		tenantId,
		rerank: (_, found) =>
			found.map(({ entityType, name }) =>
				entityType === "memos" && name.endsWith("3") ? 2 : 1,
			),
	});
	expect(named(hits)[0]).toBe("memos/memos 3");
});

test("a condition or a field leaves out the tables without it", async () => {
	const { service } = db;
	const call = { queryText, tenantId };
	expect(
		named(await service.vectorSearch({ ...call, where: { year: 1990 } })),
	).toEqual(["articles/of 1990"]);
	expect(
		named(
			await service.vectorSearch({
				...call,
				where: { metadata: { path: ["at"], eq: 0 } },
			}),
		),
	).toEqual(["articles/articles 0", "memos/memos 0"]);
	expect(await service.vectorSearch({ ...call, fieldName: "summary" })).toEqual(
		[],
	);
	expect(
		await codeOf(
			service.vectorSearch({ ...call, fieldName: "sumary" as never }),
		),
	).toBe("UNKNOWN_FIELD");
	expect(
		await codeOf(
			service.vectorSearch({ ...call, where: { yeer: 1 } as never }),
		),
	).toBe("UNKNOWN_FIELD");
});

test("without a table there must be something to search for, and a vector of the model's length", async () => {
	const { service } = db;
	expect(await codeOf(service.vectorSearch({ tenantId } as never))).toBe(
		"VALIDATION",
	);
	expect(await codeOf(service.hybridSearch({ query: " ", tenantId }))).toBe(
		"VALIDATION",
	);
	expect(
		await codeOf(service.vectorSearch({ queryEmbedding: [1], tenantId })),
	).toBe("DIMENSION_MISMATCH");
	expect(
		await codeOf(service.vectorSearch({ queryText, tenantId, limit: 0 })),
	).toBe("INPUT_LIMIT");
	expect(
		await service.vectorSearch({ queryText, tenantId: "nobody's" }),
	).toEqual([]);
});

test("the explanation has a part for each table that was searched", async () => {
	const hits = await db.service.vectorSearch({
		queryText,
		tenantId,
		explain: true,
	});
	expect(Object.keys(hits.explain).sort()).toEqual(["articles", "memos"]);
	expect(hits.explain.memos?.isExact).toBe(true);
	expect(JSON.parse(JSON.stringify(hits))).toHaveLength(9);
});

test("SEARCH without a table searches all of them", async () => {
	const scope = db.service.scope({ tenantId });
	const found = await scope.query('SEARCH "red apples" LIMIT 3');
	expect(found).toEqual({
		kind: "search",
		rows: await scope.vectorSearch({ queryText, limit: 3 }),
	});
	const old = await scope.query('SEARCH "red apples" WHERE year < 2000');
	expect(old.kind === "search" && old.rows.map(({ name }) => name)).toEqual([
		"of 1990",
	]);
	const field = await scope.query('SEARCH "red apples" FIELD content LIMIT 1');
	expect(field.kind === "search" && field.rows).toHaveLength(1);
	expect(await codeOf(scope.query('SEARCH "a" WHERE yeer < 2000'))).toBe(
		"UNKNOWN_FIELD",
	);
});

test("one statement asks which tables have vectors, and one searches each of them", async () => {
	const { service } = db;
	const [queryEmbedding] = await service.embeddings.generateBatch([queryText]);
	const call = {
		queryEmbedding: queryEmbedding as Float32Array,
		tenantId,
	};
	await service.vectorSearch(call);
	const statements: string[] = [];
	await service.transaction(async (tx) => {
		const transaction: typeof tx = {
			...tx,
			query: (statement, options) => {
				statements.push("text" in statement ? statement.text : "");
				return tx.query(statement, options);
			},
			transaction: tx.transaction,
			script: tx.script,
			vectorOid: tx.vectorOid,
		};
		await service.vectorSearch({ ...call, transaction });
	});
	expect(statements).toHaveLength(3);
});
