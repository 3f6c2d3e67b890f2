import { describe, expect, test } from "vitest";
import * as z from "zod";
import {
	defineEntity,
	Message,
	Repository,
	Resource,
} from "../../src/index.ts";
import { codeOf, useService } from "../support/engine.ts";

const Event = defineEntity(
	"events",
	{
		title: z.string(),
		year: z.number().int().optional(),
		tags2: z.array(z.string()).optional(),
		data: z.record(z.string(), z.unknown()).optional(),
		sessionId: z.string().optional(),
	},
	{ entityKeyField: "title", createEmbeddings: false },
);

const db = useService({ models: [Message, Resource, Event] });
const events = () => db.service.repository(Event);

describe("the specification's examples", () => {
	test("create, find by session in order, get, count and delete", async () => {
		const messages = new Repository(Message, db.service);
		const created = await messages.upsert({
			content: "Hello, world!",
			messageType: "user",
			sessionId: "session-123",
			tenantId: "acme-corp",
		});
		expect(created).toMatchObject({
			content: "Hello, world!",
			tenantId: "acme-corp",
			userId: null,
			prompt: null,
		});
		expect(created.createdAt).toBeInstanceOf(Date);
		await messages.upsert([
			{
				content: "second",
				sessionId: "session-123",
				tenantId: "acme-corp",
				userId: "user-456",
			},
			{
				content: "third",
				sessionId: "session-123",
				tenantId: "acme-corp",
				userId: "user-789",
			},
		]);

		const found = await messages.find(
			{ sessionId: "session-123", tenantId: "acme-corp" },
			{ orderBy: "createdAt ASC", limit: 100 },
		);
		expect(found[0]?.content).toBe("Hello, world!");
		expect(found).toHaveLength(3);
		expect(await messages.getById(created.id, "acme-corp")).toEqual(created);
		expect(await messages.getById("msg-id", "acme-corp")).toBeUndefined();
		expect(await messages.getById(created.id, "other")).toBeUndefined();

		const session = await messages.getBySession({
			sessionId: "session-123",
			tenantId: "acme-corp",
			userId: "user-456",
		});
		expect(session.map((row) => row.content)).toEqual([
			"Hello, world!",
			"second",
		]);
		expect(await messages.count({ sessionId: "session-123" })).toBe(3);
		expect(await messages.delete(created.id, "other")).toBe(false);
		expect(await messages.delete(created.id, "acme-corp")).toBe(true);
		expect(await messages.delete(created.id, "acme-corp")).toBe(false);
		expect(await messages.count({ sessionId: "session-123" })).toBe(2);
		expect(await messages.getById(created.id, "acme-corp")).toBeUndefined();
		expect(await messages.restore(created.id, "acme-corp")).toBe(true);
		expect(await messages.count({ sessionId: "session-123" })).toBe(3);
		expect(await messages.purge(created.id, "acme-corp")).toBe(true);
		expect(await messages.restore(created.id, "acme-corp")).toBe(false);
	});

	test("upsert returns rows in the order of the input, duplicates included", async () => {
		const rows = await events().upsert(
			[
				{ title: "z", year: 1 },
				{ title: "a", year: 2 },
				{ title: "z", year: 3 },
			],
			{ tenantId: "order" },
		);
		expect(rows.map((row) => [row.title, row.year])).toEqual([
			["z", 3],
			["a", 2],
			["z", 3],
		]);
	});
});

describe("find", () => {
	const tenantId = "find";
	test("operators", async () => {
		await events().upsert(
			[
				{ title: "one", year: 1990, tags2: ["x", "y"], data: { a: { b: 1 } } },
				{ title: "two", year: 1991, tags2: ["y"], data: { a: { b: 2 } } },
				{ title: "three", year: 1992 },
				{ title: "no year" },
			],
			{ tenantId },
		);
		const titles = async (
			filter: Parameters<ReturnType<typeof events>["find"]>[0],
		) =>
			(await events().find({ ...filter, tenantId }, { orderBy: "title" })).map(
				(row) => row.title,
			);
		expect(await titles({ year: 1990 })).toEqual(["one"]);
		expect(await titles({ year: null })).toEqual(["no year"]);
		expect(await titles({ year: { gte: 1991 } })).toEqual(["three", "two"]);
		expect(await titles({ year: { gt: 1990, lt: 1992 } })).toEqual(["two"]);
		expect(await titles({ year: { in: [1990, 1992] } })).toEqual([
			"one",
			"three",
		]);
		expect(await titles({ title: { like: "t%" } })).toEqual(["three", "two"]);
		expect(await titles({ title: { ilike: "ONE" } })).toEqual(["one"]);
		expect(await titles({ tags2: { contains: ["y"] } })).toEqual([
			"one",
			"two",
		]);
		expect(await titles({ data: { contains: { a: { b: 2 } } } })).toEqual([
			"two",
		]);
		expect(await titles({ year: { ne: 1990 } })).toEqual([
			"no year",
			"three",
			"two",
		]);
	});

	test("order by several, limit and offset", async () => {
		const rows = await events().find(
			{ tenantId },
			{ orderBy: ["year desc", "title"], limit: 2, offset: 1 },
		);
		expect(rows.map((row) => row.title)).toEqual(["three", "two"]);
	});

	test("unknown fields, operators and directions are errors before the server sees them", async () => {
		const find = (filter: object, options: object = {}) =>
			codeOf(events().find(filter as never, options as never));
		expect(await find({ nope: 1 })).toBe("UNKNOWN_FIELD");
		expect(await find({ year: { near: 1 } })).toBe("FILTER_REFUSED");
		expect(await find({ year: "1; DROP TABLE events" })).toBe("FILTER_REFUSED");
		expect(await find({ year: undefined })).toBe("FILTER_REFUSED");
		expect(await find({}, { orderBy: "year; DROP TABLE events" })).toBe(
			"FILTER_REFUSED",
		);
		expect(await find({}, { orderBy: "nope" })).toBe("UNKNOWN_FIELD");
		expect(await find({}, { limit: -1 })).toBe("INPUT_LIMIT");
	});
});

describe("iterate", () => {
	test("reads every row once in order, past pages, NULLs and equal values", async () => {
		const tenantId = "iterate";
		await events().upsert(
			Array.from({ length: 1234 }, (_, i) => ({
				title: `t${i}`,
				...(i % 5 === 0 ? {} : { year: i % 7 }),
			})),
			{ tenantId },
		);
		for (const orderBy of [
			"id",
			"year asc",
			"year desc",
			"createdAt",
		] as const) {
			const seen: string[] = [];
			for await (const row of events().iterate({ tenantId }, { orderBy }))
				seen.push(row.id);
			const all = await events().find({ tenantId }, { orderBy });
			expect(seen).toEqual(all.map((row) => row.id));
			expect(new Set(seen).size).toBe(1234);
		}
	});
});

describe("delete, restore and purge", () => {
	test("of many at once, only in the tenant", async () => {
		const rows = await events().upsert(
			[{ title: "a" }, { title: "b" }, { title: "c" }],
			{ tenantId: "many" },
		);
		const ids = rows.map((row) => row.id);
		expect(await events().delete(ids, "other")).toBe(0);
		expect(await events().delete([...ids, "no uuid"], "many")).toBe(3);
		expect(await events().restore(ids.slice(1), "many")).toBe(2);
		expect(await events().purge(ids, "many")).toBe(3);
		expect(await events().find({ tenantId: "many" })).toEqual([]);
	});

	test("a row cannot be restored after its key was taken", async () => {
		const old = await events().upsert({ title: "taken", tenantId: "taken" });
		await events().delete(old.id, "taken");
		const now = await events().upsert({ title: "taken", tenantId: "taken" });
		expect(now.id).not.toBe(old.id);
		expect(await codeOf(events().restore(old.id, "taken"))).toBe(
			"DUPLICATE_KEY",
		);
	});
});

describe("merge", () => {
	const tenantId = "merge";
	test("adds to metadata and edges, and changes nothing the second time", async () => {
		const edge = (dst: string, weight: number) => ({
			dst,
			rel_type: "knows",
			weight,
		});
		await events().upsert({
			title: "m",
			tenantId,
			metadata: { a: 1, deep: { x: 1 } },
			graphEdges: [edge("p", 0.1), edge("q", 0.2)],
		});
		const add = () =>
			db.service.batchUpsert({
				tableName: "events",
				entities: [
					{
						title: "m",
						metadata: { b: 2, deep: { y: 1 } },
						graphEdges: [edge("p", 0.9), edge("r", 0.3)],
					},
				],
				tenantId,
				merge: ["metadata", "graphEdges"],
			});
		expect(await add()).toMatchObject({ updated: 1, unchanged: 0 });
		expect(await add()).toMatchObject({ updated: 1, unchanged: 1 });
		const [row] = await events().find({ tenantId });
		expect(row?.metadata).toEqual({ a: 1, b: 2, deep: { y: 1 } });
		expect(row?.graphEdges).toEqual([
			edge("p", 0.9),
			edge("q", 0.2),
			edge("r", 0.3),
		]);
	});
});

test("writes and reads inside a transaction of the user's, beside SQL of their own", async () => {
	const tenantId = "tx";
	const work = db.service.transaction(async (transaction) => {
		await events().upsert({ title: "inside", tenantId }, { transaction });
		await db.service.batchUpsert({
			tableName: "events",
			entities: [{ title: "also" }],
			tenantId,
			transaction,
		});
		expect(await events().count({ tenantId }, { transaction })).toBe(2);
		throw new Error("changed my mind");
	});
	await expect(work).rejects.toThrow("changed my mind");
	expect(await events().count({ tenantId })).toBe(0);
});

test("a repository needs the service's own model", () => {
	const Other = defineEntity(
		"events",
		{ title: z.string() },
		{ entityKeyField: "title" },
	);
	expect(() => new Repository(Other, db.service)).toThrow(/another model/);
});
