import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { localProvider } from "../../src/embeddings/local.ts";
import {
	defineEntity,
	type EmbeddingProvider,
	type Handle,
	type NewRow,
	type RemError,
} from "../../src/index.ts";
import { validateRows } from "../../src/models/validate.ts";
import { compile } from "../../src/sql.ts";
import { batchUpsert } from "../../src/store/batch-upsert.ts";
import type { UpsertOptions } from "../../src/store/prepare.ts";
import { readStored } from "../../src/store/read-stored.ts";
import { writeRowsSql } from "../../src/store/write-rows.ts";
import { codeOf, coreOf, neighbourOf, useService } from "../support/engine.ts";

const Page = defineEntity(
	"pages",
	{
		name: z.string(),
		content: z.string().optional(),
		summary: z.string().optional(),
		title: z.string().optional(),
		year: z.int().optional(),
		state: z.string().default("draft"),
		labels: z.array(z.string()).optional(),
		at: z.date().optional(),
		data: z.record(z.string(), z.unknown()).optional(),
	},
	{ entityKeyField: "name" },
);
const Tagged = defineEntity(
	"tagged",
	{ key: z.uuid(), content: z.string().optional() },
	{ entityKeyField: "key" },
);
const Loose = defineEntity(
	"loose",
	{ name: z.string().optional(), title: z.string().optional() },
	{ entityKeyField: "name" },
);

const dimensions = 8;
const local = localProvider({ model: "lexical-v1", dimensions });

/** Every text the provider was asked for, call by call. */
let asked: string[][] = [];
let embed: EmbeddingProvider["embed"] = local.embed;

const provider: EmbeddingProvider = {
	...local,
	name: "asked",
	embed: (texts, options) => {
		asked.push([...texts]);
		return embed(texts, options);
	},
};

const db = useService({
	models: [Page, Tagged, Loose],
	embedding: { provider, retry: { baseMs: 1 } },
});

let tenantId: string;
let tenants = 0;

beforeEach(() => {
	tenantId = `tenant ${++tenants}`;
	asked = [];
	embed = local.embed;
});

type NewPage = NewRow<typeof Page>;
type PageOptions = Omit<
	Parameters<typeof db.service.batchUpsert<"pages">>[0],
	"tableName" | "entities"
>;

const upsert = (
	entities: Iterable<NewPage> | AsyncIterable<NewPage>,
	options: PageOptions = {},
) =>
	db.service.batchUpsert({
		tableName: "pages",
		entities,
		...(options.tenantId === undefined ? { tenantId } : {}),
		...options,
	});

const table = () => coreOf(db.service, tenantId).registry.get("pages");

/** Live and deleted rows of the test's tenant, by name. */
async function stored() {
	const { rows } = await db.service.execute<
		Record<string, unknown> & { id: string; updated_at: Date }
	>(
		"SELECT *, xmin::text AS version FROM pages WHERE tenant_id = $1 ORDER BY name, id",
		[tenantId],
	);
	return rows;
}

const one = async () => {
	const [row] = await stored();
	return row as NonNullable<typeof row>;
};

/** `name.field` of every vector whose hash is that of the text it stands for. */
async function currentVectors(): Promise<string[]> {
	const { rows } = await db.service.execute<{ vector: string }>(
		`SELECT p.name || '.' || e.field_name AS vector
FROM embeddings_pages e JOIN pages p ON p.id = e.entity_id
WHERE p.tenant_id = $1 AND p.deleted_at IS NULL AND (e.tenant_id, e.user_id) IS NOT DISTINCT FROM (p.tenant_id, p.user_id)
  AND e.content_hash = sha256(convert_to(CASE e.field_name WHEN 'content' THEN p.content ELSE p.summary END, 'UTF8'))
ORDER BY 1`,
		[tenantId],
	);
	return rows.map(({ vector }) => vector);
}

async function countVectors(): Promise<number> {
	const { rows } = await db.service.execute<{ n: number }>(
		"SELECT count(*) AS n FROM embeddings_pages WHERE tenant_id = $1",
		[tenantId],
	);
	return rows[0]?.n ?? 0;
}

const find = async (entityKey: string) =>
	(await db.service.lookupEntity({ entityKey, tenantId }))?.entityId;

const errorOf = (promise: Promise<unknown>): Promise<RemError> =>
	promise.then(
		() => expect.unreachable("it did not fail"),
		(error) => error,
	);

const optionsOf = (more: Partial<UpsertOptions> = {}): UpsertOptions => ({
	scope: { tenantId, defaultTenant: null },
	provider,
	space: { provider: "asked", model: local.model, dimensions },
	isSpaceClear: true,
	embeddingCalls: { batchSize: 2048 },
	queuesFailures: false,
	merge: [],
	atomic: true,
	...more,
});

describe("counts", () => {
	const two = [
		{ name: "a", content: "text a", summary: "sum a" },
		{ name: "b", content: "text b", summary: "sum b" },
	];
	const none = {
		inserted: 0,
		updated: 0,
		unchanged: 0,
		duplicates: 0,
		embeddingsGenerated: 0,
		embeddingsReused: 0,
		embeddingsQueued: 0,
		kvEntries: 0,
	};

	test("are the specification's, and the second call asks no provider", async () => {
		const first = await upsert(two);
		expect(first).toEqual({
			...none,
			inserted: 2,
			embeddingsGenerated: 4,
			kvEntries: 2,
			ids: [await find("a"), await find("b")],
		});
		asked = [];
		expect(await upsert(two)).toEqual({
			...none,
			updated: 2,
			unchanged: 2,
			embeddingsReused: 4,
			kvEntries: 2,
			ids: first.ids,
		});
		expect(asked).toEqual([]);
	});

	test("of changed rows show which texts were embedded again", async () => {
		await upsert(two);
		asked = [];
		const result = await upsert([
			{ name: "a", content: "text a", summary: "other" },
			{ name: "b", title: "a title" },
		]);
		expect(result).toMatchObject({
			updated: 2,
			unchanged: 0,
			embeddingsGenerated: 1,
			embeddingsReused: 1,
		});
		expect(asked).toEqual([["other"]]);
	});

	test("of nothing are all zero", async () => {
		expect(await upsert([])).toEqual({ ...none, ids: [] });
		expect(await upsert(new Set<NewPage>())).toEqual({ ...none, ids: [] });
	});

	test("of ids follow the input, whatever the order of writing", async () => {
		const names = ["m", "z", "a", "🙂", "B"];
		const { ids } = await upsert(names.map((name) => ({ name })));
		expect(ids).toEqual(await Promise.all(names.map(find)));
		expect(new Set(ids).size).toBe(5);
	});

	test("of a text that occurs twice: two vectors, asked for once", async () => {
		const result = await upsert([
			{ name: "a", content: "same", summary: "same" },
			{ name: "b", content: "same" },
		]);
		expect(result.embeddingsGenerated).toBe(3);
		expect(asked).toEqual([["same"]]);
	});
});

describe("absent and null", () => {
	test("are distinguished, row by row and column by column, in one batch", async () => {
		const at = new Date("2020-01-01T00:00:00Z");
		const full = {
			content: "c",
			title: "t",
			year: 1,
			state: "done",
			labels: ["l"],
			at,
			data: { d: 1 },
			tags: ["x"],
			metadata: { m: 1 },
			graphEdges: [{ dst: "y", rel_type: "r" }],
		};
		await upsert(["a", "b", "c"].map((name) => ({ name, ...full })));
		const result = await upsert([
			{ name: "a", title: null, data: null },
			{ name: "b", year: 5, at: null, tags: [] },
			{ name: "c", labels: null, state: "new", content: null, metadata: {} },
			{ name: "d", graphEdges: [{ dst: "z", rel_type: "r" }] },
		]);
		expect(result).toMatchObject({ inserted: 1, updated: 3, unchanged: 0 });
		const rows = await stored();
		const kept = {
			content: "c",
			title: "t",
			year: 1,
			state: "done",
			labels: ["l"],
			at,
			data: { d: 1 },
			tags: ["x"],
			metadata: { m: 1 },
			graph_edges: full.graphEdges,
		};
		expect(rows).toMatchObject([
			{ ...kept, title: null, data: null },
			{ ...kept, year: 5, at: null, tags: [] },
			{ ...kept, labels: null, state: "new", content: null, metadata: {} },
			{
				content: null,
				title: null,
				year: null,
				state: "draft",
				labels: null,
				at: null,
				data: null,
				tags: [],
				metadata: {},
				graph_edges: [{ dst: "z", rel_type: "r" }],
			},
		]);
	});

	test("are distinguished for more than eight columns that only some rows have", async () => {
		const columns = {
			content: "1",
			summary: "2",
			title: "3",
			year: 4,
			state: "5",
			labels: ["6"],
			at: new Date(7),
			data: { n: 8 },
			tags: ["9"],
			metadata: { n: 10 },
		};
		const names = Object.keys(columns) as (keyof typeof columns)[];
		await upsert(names.map((name) => ({ name })));
		await upsert(names.map((name) => ({ name, [name]: columns[name] })));
		for (const row of await stored()) {
			const own = row.name as keyof typeof columns;
			expect(row[own]).toEqual(columns[own]);
			for (const other of names.filter((name) => name !== own))
				expect(row[other]).not.toEqual(columns[other]);
		}
	});

	test("defaults are for new rows only", async () => {
		await upsert([{ name: "a", state: "done" }]);
		await upsert([{ name: "a", year: 2 }, { name: "b" }]);
		expect(await stored()).toMatchObject([
			{ state: "done" },
			{ state: "draft" },
		]);
	});

	test("undefined is absent", async () => {
		await upsert([{ name: "a", title: "t" }]);
		const result = await upsert([{ name: "a", title: undefined }]);
		expect(result.unchanged).toBe(1);
		expect(await one()).toMatchObject({ title: "t" });
	});
});

describe("times", () => {
	const created = new Date("2001-02-03T04:05:06.789Z");

	test("createdAt is given for a new row, and never changes", async () => {
		await upsert([{ name: "a", createdAt: created }, { name: "b" }]);
		const [a, b] = await stored();
		expect(a?.created_at).toEqual(created);
		expect(Date.now() - Number(b?.created_at)).toBeLessThan(60_000);
		const result = await upsert([
			{ name: "a", createdAt: new Date(), title: "t" },
			{ name: "b", createdAt: created },
		]);
		expect(result.unchanged).toBe(1);
		expect((await stored()).map((row) => row.created_at)).toEqual([
			created,
			b?.created_at,
		]);
	});

	test("updatedAt and the row itself change only when a value does", async () => {
		const rows = [
			{ name: "a", content: "x", year: 1, data: { a: [1, { b: null }] } },
			{ name: "b", content: "y", labels: ["l"], at: created },
		];
		await upsert(rows);
		const before = await stored();
		await upsert(rows);
		expect(await stored()).toEqual(before);
		await upsert([rows[0] as NewPage, { ...rows[1], name: "b", year: 7 }]);
		const after = await stored();
		expect(after[0]).toEqual(before[0]);
		expect(after[1]?.version).not.toBe(before[1]?.version);
		expect(Number(after[1]?.updated_at)).toBeGreaterThan(
			Number(before[1]?.updated_at),
		);
	});

	test("updatedAt as the caller gives it is left aside", async () => {
		await upsert([{ name: "a", updatedAt: created }]);
		expect((await one()).updated_at).not.toEqual(created);
		const again = await upsert([{ name: "a", updatedAt: new Date() }]);
		expect(again.unchanged).toBe(1);
	});

	test("the order of JSON's keys is no change, the order of a list is", async () => {
		await upsert([{ name: "a", data: { x: 1, y: 2 }, labels: ["1", "2"] }]);
		const same = await upsert([{ name: "a", data: { y: 2, x: 1 } }]);
		expect(same.unchanged).toBe(1);
		const other = await upsert([{ name: "a", labels: ["2", "1"] }]);
		expect(other.unchanged).toBe(0);
	});
});

describe("duplicates in a batch", () => {
	test("the last one wins, and is counted", async () => {
		const result = await upsert([
			{ name: "a", content: "first", year: 1 },
			{ name: "b" },
			{ name: "a", content: "second" },
			{ name: "a", content: "third" },
		]);
		expect(result).toMatchObject({
			inserted: 2,
			duplicates: 2,
			embeddingsGenerated: 1,
			kvEntries: 2,
		});
		const [a, b, ...others] = result.ids;
		expect(others).toEqual([a, a]);
		expect(a).not.toBe(b);
		expect(asked).toEqual([["third"]]);
		// The whole row wins: what only the first one had is not there.
		expect(await stored()).toMatchObject([
			{ content: "third", year: null },
			{ content: null },
		]);
	});

	test("keys of two users, or written differently, are none", async () => {
		const result = await upsert([
			{ name: "a", userId: "u" },
			{ name: "a", userId: "v" },
			{ name: "a" },
			{ name: "A" },
		]);
		expect(result).toMatchObject({ inserted: 4, duplicates: 0 });
	});

	test("a uuid as key is the same in either case", async () => {
		const key = "0123abcd-0000-4000-8000-00000000abcd";
		const result = await db.service.batchUpsert({
			tableName: "tagged",
			entities: [{ key }, { key: key.toUpperCase() }],
			tenantId,
		});
		expect(result).toMatchObject({ inserted: 1, duplicates: 1 });
	});

	test("a row by its id and the same by its key: the last one wins", async () => {
		const [id] = (await upsert([{ name: "a", title: "t" }])).ids;
		const result = await upsert([
			{ id: id as string, name: "a", title: "by id" },
			{ name: "a", title: "by key" },
		]);
		expect(await one()).toMatchObject({ title: "by key" });
		expect(result).toMatchObject({ updated: 1, duplicates: 1 });
	});

	test("one new id for rows of two tenants is DUPLICATE_KEY", async () => {
		const id = crypto.randomUUID();
		const code = await codeOf(
			db.service.batchUpsert({
				tableName: "pages",
				entities: [
					{ id, name: "a", tenantId },
					{ id, name: "a", tenantId: `${tenantId} other` },
				],
			}),
		);
		expect(code).toBe("DUPLICATE_KEY");
	});
});

describe("an explicit id", () => {
	const id = () => crypto.randomUUID();

	test("of a new row is its id", async () => {
		const given = id();
		const result = await upsert([{ id: given.toUpperCase(), name: "a" }]);
		expect(result).toMatchObject({ inserted: 1, ids: [given] });
		expect(await find("a")).toBe(given);
	});

	test("of a stored row updates it, and renames it", async () => {
		const given = id();
		await upsert([{ id: given, name: "old name", content: "x", year: 1 }]);
		const result = await upsert([{ id: given, name: "new name", year: 2 }]);
		expect(result).toMatchObject({
			inserted: 0,
			updated: 1,
			embeddingsGenerated: 0,
			ids: [given],
		});
		expect(await stored()).toMatchObject([
			{ id: given, name: "new name", year: 2, content: "x" },
		]);
		expect(await find("new name")).toBe(given);
		expect(await find("old name")).toBeUndefined();
		expect(await currentVectors()).toEqual(["new name.content"]);
	});

	test("moves a row to another user, its vectors with it", async () => {
		const given = id();
		await upsert([{ id: given, name: "a", content: "x", userId: "u" }]);
		await upsert([{ id: given, name: "a", title: "t" }]);
		expect(await one()).toMatchObject({ user_id: "u", title: "t" });
		await upsert([{ id: given, name: "a", userId: "v" }]);
		expect(await one()).toMatchObject({ user_id: "v" });
		expect(await currentVectors()).toEqual(["a.content"]);
		expect(
			await db.service.lookupEntity({ entityKey: "a", tenantId, userId: "u" }),
		).toBeUndefined();
	});

	test("of another tenant is DUPLICATE_KEY, and that row is left alone", async () => {
		const [given] = (await upsert([{ name: "theirs", content: "x" }])).ids;
		const before = await stored();
		const other = neighbourOf(db.service, tenantId);
		const code = await codeOf(
			upsert(
				[
					{ name: "mine" },
					{ id: given as string, name: "stolen", content: "y" },
				],
				{ tenantId: other },
			),
		);
		expect(code).toBe("DUPLICATE_KEY");
		expect(await stored()).toEqual(before);
		expect(asked).toEqual([["x"]]);
		const thief = { tenantId: other, entityKeys: ["mine", "stolen"] };
		expect(await db.service.lookupEntities(thief)).toEqual([]);
	});

	test("of a deleted row is DUPLICATE_KEY, and it stays deleted", async () => {
		const [given] = (await upsert([{ name: "a" }])).ids;
		await db.service.execute(
			"UPDATE pages SET deleted_at = now() WHERE id = $1",
			[given as string],
		);
		const error = await errorOf(upsert([{ id: given as string, name: "b" }]));
		expect(error.code).toBe("DUPLICATE_KEY");
		expect(error.issues).toMatchObject([{ index: 0, field: "id" }]);
		expect(await stored()).toMatchObject([
			{ name: "a", deleted_at: expect.any(Date) },
		]);
	});

	test("with a key that another row has is DUPLICATE_KEY, and nothing is written", async () => {
		await upsert([{ name: "taken" }]);
		const code = await codeOf(
			upsert([{ name: "other" }, { id: id(), name: "taken" }]),
		);
		expect(code).toBe("DUPLICATE_KEY");
		expect((await stored()).map(({ name }) => name)).toEqual(["taken"]);
	});

	test("may swap the keys of two rows only one after the other", async () => {
		const [a, b] = (await upsert([{ name: "a" }, { name: "b" }])).ids;
		const swap = [
			{ id: a as string, name: "b" },
			{ id: b as string, name: "a" },
		];
		expect(await codeOf(upsert(swap))).toBe("DUPLICATE_KEY");
		expect(await find("a")).toBe(a);
	});

	test("of a keyed row whose key is not repeated counts as a cache entry", async () => {
		const entities = [{ id: id(), name: "key" }];
		await db.service.batchUpsert({ tableName: "loose", entities, tenantId });
		const { kvEntries } = await db.service.batchUpsert({
			tableName: "loose",
			entities: [{ id: entities[0]?.id, title: "t" }],
			tenantId,
		});
		expect(await find("key")).toBeDefined();
		expect(kvEntries).toBe(1);
	});
});

test("the key of a deleted row is free: a new row takes it", async () => {
	const [first] = (await upsert([{ name: "a", content: "x", year: 1 }])).ids;
	await db.service.execute(
		"UPDATE pages SET deleted_at = now() WHERE id = $1",
		[first as string],
	);
	expect(await find("a")).toBeUndefined();
	expect(await countVectors()).toBe(0);
	const result = await upsert([{ name: "a", content: "x" }]);
	expect(result).toMatchObject({ inserted: 1, embeddingsGenerated: 1 });
	expect(result.ids[0]).not.toBe(first);
	expect(await find("a")).toBe(result.ids[0]);
	expect(await stored()).toHaveLength(2);
});

describe("vectors", () => {
	beforeEach(async () => {
		await upsert([{ name: "a", content: "text", summary: "sum" }]);
		asked = [];
	});

	test.each([
		["null", null],
		["empty", ""],
		["blank", " \n\t"],
	])("go when their text becomes %s", async (_, content) => {
		const result = await upsert([{ name: "a", content }]);
		expect(result).toMatchObject({ updated: 1, unchanged: 0 });
		expect(await currentVectors()).toEqual(["a.summary"]);
		expect(await countVectors()).toBe(1);
		expect(asked).toEqual([]);
	});

	test("go when their text changes without a new one", async () => {
		const result = await upsert([{ name: "a", content: "changed" }], {
			generateEmbeddings: false,
		});
		expect(result).toMatchObject({
			embeddingsGenerated: 0,
			embeddingsReused: 0,
		});
		expect(await currentVectors()).toEqual(["a.summary"]);
		expect(await countVectors()).toBe(1);
		expect(asked).toEqual([]);
	});

	test("are made for texts that had none, though nothing else changes", async () => {
		await upsert([{ name: "b", content: "new" }], {
			generateEmbeddings: false,
		});
		const before = await stored();
		const result = await upsert([{ name: "b", content: "new" }]);
		expect(result).toMatchObject({
			updated: 1,
			unchanged: 1,
			embeddingsGenerated: 1,
		});
		expect(await stored()).toEqual(before);
		expect(await currentVectors()).toContain("b.content");
	});

	test("of a text that another client changed are made again", async () => {
		await db.service.execute(
			"UPDATE pages SET content = 'by hand' WHERE tenant_id = $1",
			[tenantId],
		);
		const result = await upsert([{ name: "a", content: "by hand" }]);
		expect(result).toMatchObject({ unchanged: 1, embeddingsGenerated: 1 });
		expect(await currentVectors()).toEqual(["a.content", "a.summary"]);
	});

	test("of another model stand beside them", async () => {
		const other = { provider: "other", model: "m", dimensions: 3 };
		const options = optionsOf({ provider: undefined, space: other });
		await batchUpsert({ db: db.service.core.db, table: table(), options }, [
			{
				name: "a",
				content: "text",
				vectors: { content: Float32Array.of(1, 2, 3) },
			},
		]);
		expect(await countVectors()).toBe(3);
		await upsert([{ name: "a", content: "another" }]);
		expect(await countVectors()).toBe(2);
	});
});

describe("ready vectors", () => {
	const ready = Float32Array.from({ length: dimensions }, (_, i) => i + 1);
	const nearest = async (queryEmbedding: Float32Array) => {
		const hits = await db.service.vectorSearch({
			tableName: "pages",
			queryEmbedding,
			tenantId,
			limit: 1,
		});
		return hits[0];
	};

	test("are stored as they are, and no provider is asked for their text", async () => {
		const result = await upsert([
			{ name: "a", content: "x", summary: "y", vectors: { content: ready } },
		]);
		expect(result.embeddingsGenerated).toBe(2);
		expect(asked).toEqual([["y"]]);
		const hit = await nearest(ready);
		expect(hit).toMatchObject({ matchedField: "content" });
		expect(hit?.similarity).toBeCloseTo(1, 6);
	});

	test("are stored though none are to be made", async () => {
		await upsert([{ name: "a", content: "x", vectors: { content: ready } }], {
			generateEmbeddings: false,
		});
		expect(await currentVectors()).toEqual(["a.content"]);
		expect(asked).toEqual([]);
	});

	test.each<[string, Float32Array]>([
		["too short", new Float32Array(dimensions - 1).fill(1)],
		["too long", new Float32Array(dimensions + 1).fill(1)],
		["empty", new Float32Array(0)],
		["all zeros", new Float32Array(dimensions)],
		["NaN", new Float32Array(dimensions).fill(Number.NaN)],
		["infinite", new Float32Array(dimensions).fill(Number.POSITIVE_INFINITY)],
	])(
		"that are %s are DIMENSION_MISMATCH, and nothing is written",
		async (_, vector) => {
			const code = await codeOf(
				upsert([
					{ name: "a", content: "x" },
					{ name: "b", content: "y", vectors: { content: vector } },
				]),
			);
			expect(code).toBe("DIMENSION_MISMATCH");
			expect(await stored()).toEqual([]);
			expect(asked).toEqual([]);
		},
	);

	test("take the place of the stored one of the same text", async () => {
		await upsert([{ name: "a", content: "x" }]);
		await upsert([{ name: "a", content: "x", vectors: { content: ready } }]);
		expect((await nearest(ready))?.similarity).toBeCloseTo(1, 6);
	});

	test("without their text are refused", async () => {
		const code = await codeOf(
			upsert([{ name: "a", vectors: { content: ready } }]),
		);
		expect(code).toBe("VALIDATION");
	});
});

describe("a provider that", () => {
	const canary = "c4n4ry";
	const entities = [
		{ name: "a", content: `${canary} one` },
		{ name: "b", content: `${canary} two` },
	];
	const vectors = (count: number, length = dimensions, value = 1) =>
		Array.from({ length: count }, () => new Float32Array(length).fill(value));

	// Permanent failures: others are tried again, which takes its time.
	const refusal = (status: number) =>
		Object.assign(new Error(`${status} for ${canary}`), { status });

	test.each<[string, EmbeddingProvider["embed"]]>([
		["refuses a text", () => Promise.reject(refusal(422))],
		["returns too few", async ({ length }) => vectors(length - 1)],
		["returns too many", async ({ length }) => vectors(length + 1)],
		["returns zeros", async ({ length }) => vectors(length, dimensions, 0)],
		[
			"returns NaN",
			async ({ length }) => vectors(length, dimensions, Number.NaN),
		],
		[
			"returns another length",
			async ({ length }) => vectors(length, dimensions - 1),
		],
	])("%s is PROVIDER_FAILED, and nothing is written", async (_, behaviour) => {
		embed = behaviour;
		const error = await errorOf(upsert(entities));
		expect(error.code).toBe("PROVIDER_FAILED");
		expect(await stored()).toEqual([]);
		expect(await find("a")).toBeUndefined();
		expect(inspect(error, { depth: 10 })).not.toContain(canary);
	});

	test("refuses the key is PROVIDER_NOT_CONFIGURED, and nothing is written", async () => {
		embed = () => Promise.reject(refusal(401));
		const error = await errorOf(upsert(entities));
		expect(error.code).toBe("PROVIDER_NOT_CONFIGURED");
		expect(await stored()).toEqual([]);
		expect(inspect(error, { depth: 10 })).not.toContain(canary);
	});

	test.each<[string, unknown]>([
		["nothing", undefined],
		["an object", { data: [] }],
		["lists of numbers", [[1], [2]]],
		["holes", [undefined, null]],
	])("returns %s is PROVIDER_FAILED as well", async (_, answer) => {
		embed = async () => answer as Float32Array[];
		expect(await codeOf(upsert(entities))).toBe("PROVIDER_FAILED");
		expect(await stored()).toEqual([]);
	});

	test("is asked outside of any transaction", async () => {
		let during: unknown;
		embed = async (texts, options) => {
			// On the embedded database this would wait for ever inside one.
			during = (await db.service.execute("SELECT 1 AS free")).rows;
			return local.embed(texts, options);
		};
		await upsert(entities);
		expect(during).toEqual([{ free: 1 }]);
	});

	test("is not asked when a row is bad", async () => {
		const bad = [...entities, { name: 1 }] as NewPage[];
		expect(await codeOf(upsert(bad))).toBe("VALIDATION");
		expect(asked).toEqual([]);
		expect(await stored()).toEqual([]);
	});
});

describe("statements", () => {
	/** The texts that are sent, transactions' own words apart. */
	async function textsOf(entities: NewPage[]): Promise<string[]> {
		const sent: string[] = [];
		await batchUpsert(
			{
				db: recording(db.service.core.db, sent),
				table: table(),
				options: optionsOf(),
			},
			entities,
		);
		return sent;
	}

	const pages = (count: number, more: Partial<NewPage> = {}) =>
		Array.from({ length: count }, (_, i) => ({
			name: `page ${i}`,
			content: `text ${i}`,
			...more,
		}));

	test("are as many for 500 new, changed or equal rows as for one", async () => {
		const oneNew = await textsOf(pages(1));
		const allNew = await textsOf(pages(500));
		expect(allNew).toHaveLength(oneNew.length);
		const oneChanged = await textsOf(pages(1, { year: 1, content: "x" }));
		const allChanged = await textsOf(pages(500, { year: 2, content: "y" }));
		expect(allChanged).toHaveLength(oneChanged.length);
		const equal = await textsOf(pages(500, { year: 2, content: "y" }));
		expect(equal).toHaveLength(1);
	});

	test("are one a slice of 500 beyond that", async () => {
		const sent = await textsOf(pages(1500));
		const inserts = sent.filter((text) => text.includes("INSERT INTO"));
		expect(inserts).toHaveLength(6);
		expect(sent).toHaveLength(9);
	});

	const rowsOf = (entities: NewPage[]) =>
		validateRows(Page, entities, { defaultTenant: "t" });
	const toWrite = (entities: NewPage[]) =>
		rowsOf(entities).map((row) => ({ row, id: crypto.randomUUID() }));

	test("insert or update by the key, columns that no row names left alone", () => {
		const { text, values } = compile(
			writeRowsSql(table(), toWrite([{ name: "a", year: 1 }]), {
				arbiter: "key",
			}),
		);
		expect(text).toBe(`WITH input AS (
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
    WITH ORDINALITY AS i ("id", "tenant_id", "user_id", "name", "year", "state", rem_ord)
)
INSERT INTO "${table().schema}"."pages" AS t ("id", "tenant_id", "user_id", "name", "year", "state")
SELECT i."id", i."tenant_id", i."user_id", i."name", i."year", i."state" FROM input AS i ORDER BY i.rem_ord
ON CONFLICT ("tenant_id", "user_id", "name") WHERE "deleted_at" IS NULL DO UPDATE SET
  "year" = excluded."year",
  updated_at = excluded.updated_at
RETURNING t.id, old.id IS NULL AS inserted`);
		expect(values).toHaveLength(6);
		expect(values.every(Buffer.isBuffer)).toBe(true);
	});

	test("list which rows supply a column", () => {
		const rows = toWrite([{ name: "a", content: "x" }, { name: "b" }]);
		const { text } = compile(writeRowsSql(table(), rows, { arbiter: "key" }));
		expect(text).toContain(
			`"content" = CASE WHEN excluded.id = ANY ('{${rows[0]?.id}}'::uuid[]) THEN excluded."content" ELSE t."content" END`,
		);
		expect(text).toContain(
			'RETURNING t.id, old.id IS NULL AS inserted, old."content" IS DISTINCT FROM new."content" AS "changed0"',
		);
	});

	test("by id never touch another tenant's or a deleted row", () => {
		const { text } = compile(
			writeRowsSql(table(), toWrite([{ name: "a" }]), { arbiter: "id" }),
		);
		expect(text).toContain(`ON CONFLICT (id) DO UPDATE SET
  "name" = excluded."name",
  updated_at = excluded.updated_at
WHERE t.deleted_at IS NULL AND t.tenant_id = excluded.tenant_id
RETURNING`);
		expect(text).not.toContain('"tenant_id" = excluded');
	});

	test.each([
		["u'", "(t.user_id = 'u''' OR t.user_id IS NULL)"],
		[null, "t.user_id IS NULL"],
	])(
		"by id in the scope of %s never touch another user's row",
		(boundUser, condition) => {
			const { text } = compile(
				writeRowsSql(table(), toWrite([{ name: "a" }]), {
					arbiter: "id",
					boundUser,
				}),
			);
			expect(text).toContain(
				`AND t.tenant_id = excluded.tenant_id AND ${condition}\nRETURNING`,
			);
		},
	);

	test("read what is stored, texts as their hash", async () => {
		const sent: string[] = [];
		await readStored(recording(db.service.core.db, sent), table(), {
			rows: rowsOf([{ name: "a", content: "x", year: 1 }]),
			space: { provider: "p", model: "m", dimensions: 3 },
			onRead: () => {},
		});
		expect(sent).toEqual([
			`SELECT i.rem_ord, t.id, t.tenant_id AS tenant_id, t.user_id,
  t.deleted_at IS NOT NULL AS is_deleted, "t"."name" IS NOT NULL AS has_key, sha256(convert_to("t"."content", 'UTF8')) AS "v0", "t"."year" AS "v1",
  (SELECT jsonb_object_agg(e.field_name, jsonb_build_object('hash', encode(e.content_hash, 'hex'), 'print', NULL))
    FROM "${table().schema}"."embeddings_pages" AS e
    WHERE e.entity_id = t.id AND e.provider = $1 AND e.model = $2
      AND e.dimensions = $3 AND e.chunk = 0) AS vectors
FROM unnest($4::text[], $5::text[], $6::text[]) WITH ORDINALITY AS i ("tenant_id", "user_id", "name", rem_ord)
JOIN "${table().schema}"."pages" AS t ON t."tenant_id" = i."tenant_id" AND t."name" = i."name" AND t.user_id IS NULL AND t.deleted_at IS NULL`,
		]);
	});
});

describe("a stream", () => {
	async function* pages(count: number, bad?: number) {
		for (let i = 0; i < count; i++)
			yield { name: i === bad ? "" : `page ${String(i).padStart(4, "0")}` };
	}
	const names = async () => (await stored()).map(({ name }) => name);

	test("is committed in chunks of 500, reported by onProgress", async () => {
		const progress: [number, number | undefined, number][] = [];
		const seen: string[] = [];
		const result = await upsert(pages(1200), {
			onProgress: ({ done, total, ids }) => {
				progress.push([done, total, ids.length]);
				seen.push(...ids);
			},
		});
		expect(progress).toEqual([
			[500, undefined, 500],
			[1000, undefined, 500],
			[1200, undefined, 200],
		]);
		expect(result).toMatchObject({ inserted: 1200, kvEntries: 1200, ids: [] });
		expect(seen).toEqual((await stored()).map(({ id }) => id));
	});

	test("may be any iterable", async () => {
		const set = new Set<NewPage>([{ name: "a" }, { name: "b" }]);
		expect(await upsert(set)).toMatchObject({ inserted: 2, ids: [] });
		function* some() {
			yield { name: "c" };
		}
		expect(await upsert(some())).toMatchObject({ inserted: 1 });
		expect(await names()).toEqual(["a", "b", "c"]);
	});

	test("stops at a bad row: chunks before it stay, it is named by its place", async () => {
		let closed = false;
		async function* source() {
			try {
				yield* pages(2000, 1100);
			} finally {
				closed = true;
			}
		}
		const error = await errorOf(upsert(source()));
		expect(error.code).toBe("VALIDATION");
		expect(error.issues).toMatchObject([{ index: 1100, field: "name" }]);
		expect(error.hint).toContain("1000 entities are committed");
		expect(error.hint).not.toContain("nothing was");
		expect(error.committed).toBe(1000);
		expect(await stored()).toHaveLength(1000);
		expect(closed).toBe(true);
	});

	test("that fails itself fails with its own error, chunks before it stay", async () => {
		const failure = new Error("the file ends early");
		async function* source() {
			yield* pages(700);
			throw failure;
		}
		await expect(upsert(source())).rejects.toBe(failure);
		expect(failure).toMatchObject({ committed: 500 });
		expect(await stored()).toHaveLength(500);
	});

	test("counts a key of an earlier chunk as updated", async () => {
		async function* source() {
			yield* pages(600);
			yield { name: "page 0000", title: "again" };
			yield { name: "page 0599", title: "twice in one chunk" };
		}
		expect(await upsert(source())).toMatchObject({
			inserted: 600,
			updated: 1,
			duplicates: 1,
		});
	});

	test("a list in chunks knows its total and all its ids", async () => {
		const entities: NewPage[] = [];
		for await (const page of pages(501)) entities.push(page);
		const progress: (number | undefined)[][] = [];
		const result = await upsert(entities, {
			atomic: "chunk",
			onProgress: ({ done, total }) => progress.push([done, total]),
		});
		expect(progress).toEqual([
			[500, 501],
			[501, 501],
		]);
		expect(result.ids).toEqual((await stored()).map(({ id }) => id));
	});

	test("a list in chunks is validated whole before its first chunk", async () => {
		const entities: NewPage[] = [];
		for await (const page of pages(600, 599)) entities.push(page);
		const code = await codeOf(upsert(entities, { atomic: "chunk" }));
		expect(code).toBe("VALIDATION");
		expect(await stored()).toEqual([]);
	});

	test("a list is one transaction, reported once", async () => {
		const progress: number[] = [];
		const entities: NewPage[] = [];
		for await (const page of pages(600)) entities.push(page);
		await upsert(entities, { onProgress: ({ done }) => progress.push(done) });
		expect(progress).toEqual([600]);
		const versions = new Set((await stored()).map(({ version }) => version));
		expect(versions.size).toBe(1);
	});
});

describe("an AbortSignal", () => {
	afterEach(() => {
		embed = local.embed;
	});

	test("that is set before is CANCELLED, and nothing is written", async () => {
		const code = await codeOf(
			upsert([{ name: "a" }], { signal: AbortSignal.abort() }),
		);
		expect(code).toBe("CANCELLED");
		expect(await stored()).toEqual([]);
	});

	test("that comes during embedding reaches the provider, and nothing is written", async () => {
		const controller = new AbortController();
		let seen: AbortSignal | undefined;
		embed = async (texts, options) => {
			seen = options.signal;
			controller.abort();
			return local.embed(texts, options);
		};
		const code = await codeOf(
			upsert([{ name: "a", content: "x" }], { signal: controller.signal }),
		);
		expect(code).toBe("CANCELLED");
		expect(seen?.aborted).toBe(true);
		expect(await stored()).toEqual([]);
	});

	test("between chunks leaves what is committed, and reports it", async () => {
		const controller = new AbortController();
		async function* source() {
			for (let i = 0; ; i++) yield { name: `page ${i}` };
		}
		const error = await errorOf(
			upsert(source(), {
				signal: controller.signal,
				onProgress: () => controller.abort(),
			}),
		);
		expect(error.code).toBe("CANCELLED");
		const count = (await stored()).length;
		expect(count % 500).toBe(0);
		expect(count).toBeGreaterThan(0);
		expect(count).toBeLessThanOrEqual(1500);
		expect(error.hint).toContain(`${count} entities are committed`);
	});
});

describe("other writers", () => {
	test("four at once over the same 200 keys: a row a key, a vector a text", async () => {
		const batch = (writer: number) => {
			const rows = Array.from({ length: 200 }, (_, i) => ({
				name: `page ${String(i).padStart(3, "0")}`,
				content: `text ${writer} ${i % 10}`,
				...(writer % 2 === 0 ? { year: writer } : { title: `${writer}` }),
			}));
			return writer % 2 === 0 ? rows : rows.reverse();
		};
		const results = await Promise.all(
			[0, 1, 2, 3].map((writer) => upsert(batch(writer))),
		);
		expect(results.reduce((sum, { inserted }) => sum + inserted, 0)).toBe(200);
		const rows = await stored();
		expect(rows).toHaveLength(200);
		expect(
			new Set(rows.map(({ content }) => String(content).slice(0, 6))).size,
		).toBe(1);
		expect(await currentVectors()).toHaveLength(200);
		expect(await countVectors()).toBe(200);
		for (const { ids } of results)
			expect([...ids].sort()).toEqual(rows.map(({ id }) => id).sort());
	});

	/** A handle whose first transaction begins after another client's change. */
	function after(change: () => Promise<unknown>): Handle {
		const { db: real } = db.service.core;
		let isDone = false;
		return {
			query: (...given) => real.query(...given),
			script: (text) => real.script(text),
			vectorOid: () => real.vectorOid(),
			transaction: async (...given) => {
				if (!isDone) await change();
				isDone = true;
				return real.transaction(...given);
			},
		};
	}

	const upsertAfter = (
		change: () => Promise<unknown>,
		entities: NewPage[],
		more: Partial<UpsertOptions> = {},
	) =>
		batchUpsert(
			{
				db: after(change),
				table: table(),
				options: optionsOf(more),
			},
			entities,
		);

	test("a text changed between our look and our write is embedded after all", async () => {
		await upsert([{ name: "a", content: "ours", year: 1 }]);
		asked = [];
		await upsertAfter(
			() => upsert([{ name: "a", content: "theirs" }]),
			[{ name: "a", content: "ours", year: 2 }],
		);
		expect(await one()).toMatchObject({ content: "ours", year: 2 });
		expect(await currentVectors()).toEqual(["a.content"]);
		expect(await countVectors()).toBe(1);
	});

	test("a text that changed and is not ours to write retains its own vector", async () => {
		await upsert([{ name: "a", content: "old", year: 1 }]);
		await upsertAfter(
			() => upsert([{ name: "a", content: "theirs" }]),
			[{ name: "a", year: 2 }],
		);
		expect(await one()).toMatchObject({ content: "theirs", year: 2 });
		expect(await currentVectors()).toEqual(["a.content"]);
	});

	test("a row changed while we take it for equal never gets our vector", async () => {
		await upsert([{ name: "a", content: "x" }], { generateEmbeddings: false });
		await upsertAfter(
			() =>
				upsert([{ name: "a", content: "theirs" }], {
					generateEmbeddings: false,
				}),
			[{ name: "a", content: "x" }],
		);
		expect(await countVectors()).toBe((await currentVectors()).length);
	});

	test("a row deleted between our read and our write is written again", async () => {
		const [first] = (await upsert([{ name: "a", content: "x" }])).ids;
		const { ids } = await upsertAfter(
			() =>
				db.service.execute(
					"UPDATE pages SET deleted_at = now() WHERE id = $1",
					[first as string],
				),
			[{ name: "a", content: "x", year: 2 }],
		);
		expect(ids[0]).not.toBe(first);
		expect(await find("a")).toBe(ids[0]);
		expect(await currentVectors()).toEqual(["a.content"]);
	});

	test("a row inserted between our look and our write becomes ours", async () => {
		let theirs: readonly string[] = [];
		const { inserted, updated, ids } = await upsertAfter(async () => {
			({ ids: theirs } = await upsert([{ name: "a", content: "theirs" }]));
		}, [{ name: "a", content: "ours" }]);
		expect({ inserted, updated, ids }).toEqual({
			inserted: 0,
			updated: 1,
			ids: theirs,
		});
		expect(await currentVectors()).toEqual(["a.content"]);
		expect(await countVectors()).toBe(1);
	});

	test("a row inserted between our read and our write loses the vector of its text", async () => {
		await upsertAfter(
			() => upsert([{ name: "a", content: "theirs" }]),
			[{ name: "a", content: "ours" }],
			{ provider: undefined },
		);
		expect(await one()).toMatchObject({ content: "ours" });
		expect(await countVectors()).toBe(0);
	});
});

/** The same handle, writing down the text of every query. */
function recording(handle: Handle, sent: string[]): Handle {
	return {
		query: (statement, options) => {
			sent.push(("text" in statement ? statement : compile(statement)).text);
			return handle.query(statement, options);
		},
		script: (text) => handle.script(text),
		vectorOid: () => handle.vectorOid(),
		transaction: (work, options) =>
			handle.transaction((tx) => work(recording(tx, sent)), options),
	};
}
