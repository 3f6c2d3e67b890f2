import { expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, JsonNumber, type Sql, sql } from "../../src/index.ts";
import { writeJson } from "../../src/models/json-text.ts";
import { compile } from "../../src/sql.ts";
import { codeOf, useService } from "../support/engine.ts";

const Note = defineEntity(
	"notes",
	{
		name: z.string(),
		content: z.string().optional(),
		sessionId: z.string().optional(),
		anything: z.unknown().optional(),
		typed: z.object({ id: z.number(), count: z.int().optional() }).optional(),
		whole: z.int().optional(),
		wholes: z.array(z.int()).optional(),
		big: z.bigint().optional(),
		bigs: z.array(z.bigint()).optional(),
		ratio: z.number().optional(),
		ratios: z.array(z.number()).optional(),
	},
	{ entityKeyField: "name" },
);
const db = useService({ models: [Note] });

const run = (statement: Sql) => {
	const { text, values } = compile(statement);
	return db.service.execute(text, values);
};

/** Numbers that a double cannot represent, as jsonb stores them. */
const numbers = [
	"653247040368672769",
	"-653247040368672769",
	"12345678901234.567890",
	"0.12345678901234567890",
	`1${"0".repeat(400)}`,
	`0.${"0".repeat(399)}1`,
	"9007199254740993",
];
const list = `[${numbers.join(", ")}, 0.30000000000000004, 1.0, 7, "653247040368672769", 1e3]`;
const stored = {
	metadata: `{"id": ${numbers[0]}, "deep": {"list": ${list}}}`,
	graphEdges: `[{"dst": "b", "rel_type": "cites", "weight": ${numbers[3]}, "properties": {"list": ${list}}}]`,
	anything: list,
	typed: `{"id": ${numbers[4]}, "count": ${numbers[0]}}`,
};

/** A row as another program writes it; returns it as `find` reads it. */
async function storedByAnother(tenantId: string) {
	await run(sql`
INSERT INTO notes (tenant_id, name, content, session_id, metadata, graph_edges, anything, typed, whole, wholes, big, bigs, ratio, ratios)
VALUES (${tenantId}, 'a', 'a text', 's', ${stored.metadata}::jsonb, ${stored.graphEdges}::jsonb, ${stored.anything}::jsonb, ${stored.typed}::jsonb,
  9007199254740993, '{1,-9007199254740993}', 9223372036854775807, '{-9223372036854775808,1}', 0.1::float8 + 0.2::float8, '{5e-324,1.7976931348623157e308,-0}')`);
	await db.service.batchUpsert({
		tableName: "notes",
		entities: [{ name: "b", content: "another text" }],
		tenantId,
		generateEmbeddings: false,
	});
	const [row] = await repository().find({ tenantId, name: "a" });
	return { ...(row as NonNullable<typeof row>), deletedAt: null };
}
const repository = () => db.service.repository(Note);

/** The stored row as PostgreSQL's own JSON, without the text that is changed. */
async function storedRow(tenantId: string) {
	const { rows } = await run(sql`
SELECT (to_jsonb(n) - 'content' - 'updated_at' - 'id')::text AS row FROM notes AS n WHERE tenant_id = ${tenantId} AND name = 'a'`);
	return (rows[0] as { row: string }).row;
}

/** Equal as PostgreSQL compares numbers: 1.0 is 1. */
async function isSameJson(a: string, b: string) {
	const { rows } = await run(sql`SELECT ${a}::jsonb = ${b}::jsonb AS same`);
	return (rows[0] as { same: boolean }).same;
}

const embedNothing = { generateEmbeddings: false } as const;

test("a row that another program wrote is read with every digit, by every read", async () => {
	const tenantId = "reads";
	const row = await storedByAnother(tenantId);
	await db.service.embeddings.sync();
	const { service } = db;
	const iterated = [];
	for await (const one of repository().iterate({ tenantId }))
		iterated.push(one);
	const reads: Record<string, unknown> = {
		find: row,
		getById: await repository().getById(row.id, tenantId),
		getBySession: await repository().getBySession({ sessionId: "s", tenantId }),
		iterate: iterated,
		lookup: await service.lookupEntities({ entityKeys: ["a"], tenantId }),
		hydrated: (
			await service.lookupEntities({
				entityKeys: ["a"],
				tenantId,
				hydrate: true,
			})
		).map(({ record }) => record),
		fuzzy: await service.fuzzySearch({ query: "a", tenantId, threshold: 0.1 }),
		search: await service.vectorSearch({
			tableName: "notes",
			queryText: "a text",
			tenantId,
		}),
		hybrid: await service.hybridSearch({
			tableName: "notes",
			query: "a text",
			tenantId,
		}),
		traverse: (await service.traverse({ from: "b", direction: "in", tenantId }))
			.nodes,
		edges: (await service.traverse({ from: "a", tenantId })).nodes.map(
			({ edge }) => edge,
		),
		query: await service.query("SQL notes WHERE name = 'a'", { tenantId }),
		execute: (
			await run(
				sql`SELECT metadata, metadata::json AS json, ARRAY[metadata] AS list FROM notes WHERE tenant_id = ${tenantId}`,
			)
		).rows,
	};
	for (const [name, read] of Object.entries(reads)) {
		const text = writeJson(read, undefined, (_, value) =>
			typeof value === "bigint" ? String(value) : value,
		);
		for (const number of numbers)
			expect(text, `${name} lost ${number.slice(0, 30)}`).toContain(number);
	}
	expect(row.metadata.id).toEqual(new JsonNumber(numbers[0] as string));
	expect(row.anything).toEqual([
		...numbers.map((number) => new JsonNumber(number)),
		0.30000000000000004,
		1,
		7,
		"653247040368672769",
		1000,
	]);
	expect(row.whole as unknown).toBe(9007199254740993n);
	expect(row.ratio).toBe(0.1 + 0.2);
});

test("a row that is read and written again changes no number, in any of its columns", async () => {
	const tenantId = "writes";
	const row = await storedByAnother(tenantId);
	const before = await storedRow(tenantId);
	const same = await db.service.batchUpsert({
		tableName: "notes",
		entities: [row],
		tenantId,
		...embedNothing,
	});
	expect(same).toMatchObject({ updated: 1, unchanged: 1 });
	await repository().upsert({ ...row, content: "z" }, embedNothing);
	expect(await isSameJson(await storedRow(tenantId), before)).toBe(true);
	// By its key, and with some columns only.
	const { id: _, ...keyed } = row;
	await repository().upsert(
		[
			{ ...keyed, content: "y" },
			{ name: "b", content: "x", tenantId },
		],
		embedNothing,
	);
	expect(await isSameJson(await storedRow(tenantId), before)).toBe(true);
});

test("a changed part of the metadata leaves the other parts as they were", async () => {
	const tenantId = "parts";
	const row = await storedByAnother(tenantId);
	await repository().upsert(
		{ ...row, metadata: { ...row.metadata, x: 1 } },
		embedNothing,
	);
	const { rows } = await run(
		sql`SELECT (metadata - 'x') = ${stored.metadata}::jsonb AS same, metadata ->> 'x' AS x FROM notes WHERE tenant_id = ${tenantId} AND name = 'a'`,
	);
	expect(rows).toEqual([{ same: true, x: "1" }]);
});

test("merge, link, unlink and a rename change no number", async () => {
	const tenantId = "merges";
	const row = await storedByAnother(tenantId);
	await db.service.batchUpsert({
		tableName: "notes",
		entities: [
			{
				name: "a",
				metadata: { deep: row.metadata.deep },
				graphEdges: row.graphEdges,
			},
		],
		merge: ["metadata", "graphEdges"],
		tenantId,
		...embedNothing,
	});
	const [edge] = row.graphEdges;
	await db.service.link({
		from: "a",
		edges: { ...edge, dst: "b", rel_type: "copied" },
		tenantId,
	});
	await db.service.link({
		from: "a",
		edges: { dst: "b", rel_type: "other" },
		tenantId,
	});
	await db.service.unlink({ from: "a", dst: "b", relType: "other", tenantId });
	await repository().upsert(
		{ ...row, graphEdges: undefined, name: "c" },
		embedNothing,
	);
	const { rows } = await run(sql`
SELECT metadata = ${stored.metadata}::jsonb AS metadata, graph_edges -> 0 = ${stored.graphEdges}::jsonb -> 0 AS first,
  (graph_edges -> 1) - 'rel_type' = (${stored.graphEdges}::jsonb -> 0) - 'rel_type' AS second, jsonb_array_length(graph_edges) AS count
FROM notes WHERE tenant_id = ${tenantId} AND name = 'c'`);
	expect(rows).toEqual([
		{ metadata: true, first: true, second: true, count: 2 },
	]);
});

test("another number, exact or not, is a change", async () => {
	const tenantId = "changes";
	const id = new JsonNumber("653247040368672769");
	const write = (number: unknown) =>
		db.service.batchUpsert({
			tableName: "notes",
			entities: [{ name: "n", metadata: { id: number } }],
			tenantId,
		});
	await write(id);
	expect(await write(new JsonNumber("653247040368672769.000"))).toMatchObject({
		unchanged: 1,
	});
	expect(await write(new JsonNumber("653247040368672770"))).toMatchObject({
		unchanged: 0,
	});
	expect(await write(653247040368672800)).toMatchObject({ unchanged: 0 });
	expect(await write(new JsonNumber("653247040368672800"))).toMatchObject({
		unchanged: 1,
	});
	expect(await write("653247040368672800")).toMatchObject({ unchanged: 0 });
});

test("filters and parameters take exact numbers", async () => {
	const tenantId = "filters";
	const row = await storedByAnother(tenantId);
	const id = new JsonNumber(numbers[0] as string);
	const near = new JsonNumber("653247040368672768");
	const names = async (where: object) =>
		(await repository().find({ tenantId, ...where })).map(({ name }) => name);
	expect(await names({ metadata: { path: ["id"], eq: id } })).toEqual(["a"]);
	expect(await names({ metadata: { path: ["id"], eq: near } })).toEqual([]);
	expect(await names({ metadata: { path: ["id"], gt: near } })).toEqual(["a"]);
	expect(await names({ metadata: { path: ["id"], in: [near, id] } })).toEqual([
		"a",
	]);
	expect(await names({ metadata: { contains: { id } } })).toEqual(["a"]);
	expect(await names({ metadata: { contains: { id: near } } })).toEqual([]);
	const found = await db.service.query(
		`SQL notes WHERE metadata @> '{"id": ${numbers[0]}}'`,
		{ tenantId },
	);
	expect(found).toMatchObject({ rows: [{ name: "a" }] });
	const { rows } = await run(
		sql`SELECT ${row.metadata as never}::jsonb = metadata AS same, ${id as never}::numeric::text AS id FROM notes WHERE tenant_id = ${tenantId} AND name = 'a'`,
	);
	expect(rows).toEqual([{ same: true, id: numbers[0] }]);
});

test("a number that PostgreSQL cannot store is refused before anything is written", async () => {
	for (const text of ["1e131072", "1e-16384", `1${"0".repeat(131_072)}`]) {
		const metadata = { n: new JsonNumber(text) };
		expect(
			await codeOf(
				repository().upsert({ name: "huge", tenantId: "t", metadata }),
			),
		).toBe("VALIDATION");
	}
	for (const text of ["1e131071", "1e-16383"])
		await repository().upsert({
			name: "huge",
			tenantId: "t",
			metadata: { n: new JsonNumber(text) },
		});
});
