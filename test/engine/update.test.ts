import { beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, Message, type RemError } from "../../src/index.ts";
import { codeOf, useService } from "../support/engine.ts";
import { FakeProvider } from "../support/fake-provider.ts";

const Film = defineEntity(
	"films",
	{
		title: z.string(),
		plot: z.string().optional().meta({ embed: true }),
		tagline: z.string().optional().meta({ embed: true }),
		year: z.number().int().optional(),
		state: z.enum(["draft", "done"]).default("draft"),
		genres: z.array(z.string()).default([]),
		data: z.record(z.string(), z.unknown()).optional(),
		size: z.bigint().optional(),
		length: z
			.string()
			.transform((text) => text.length)
			.pipe(z.number())
			.optional(),
	},
	{ entityKeyField: "title" },
);
const Part = defineEntity(
	"parts",
	{ uri: z.string(), ordinal: z.number().int(), note: z.string().optional() },
	{ entityKeyField: ["uri", "ordinal"], createEmbeddings: false },
);
const Range = defineEntity(
	"ranges",
	z
		.object({
			name: z.string(),
			from: z.number().int(),
			to: z.number().int(),
			note: z.string().optional(),
		})
		.refine(({ from, to }) => from <= to, { message: "from is behind to" }),
	{ entityKeyField: "name", createEmbeddings: false },
);
const Country = defineEntity(
	"countries",
	{ name: z.string(), capital: z.string().optional() },
	{ entityKeyField: "name", tenantScoped: false, createEmbeddings: false },
);

const provider = new FakeProvider();
const db = useService({
	models: [Film, Part, Range, Country, Message],
	embedding: { provider },
});
const films = () => db.service.repository(Film);
const parts = () => db.service.repository(Part);
const ranges = () => db.service.repository(Range);

let tenants = 0;
let tenantId = "";
beforeEach(() => {
	provider.reset();
	tenantId = `t${++tenants}`;
});

const film = (row: { title: string; [name: string]: unknown }) =>
	films().upsert(row, { tenantId });

async function vectorsOf(id: string) {
	const { rows } = await db.service.execute<{ field: string; hash: string }>(
		"SELECT field_name AS field, encode(content_hash, 'hex') AS hash FROM embeddings_films WHERE entity_id = $1 ORDER BY 1",
		[id],
	);
	return rows;
}

async function queued(id: string): Promise<number> {
	const { rows } = await db.service.execute<{ n: number }>(
		"SELECT count(*)::int AS n FROM rem_embedding_queue WHERE entity_id = $1",
		[id],
	);
	return rows[0]?.n ?? -1;
}

async function failure(call: Promise<unknown>): Promise<RemError> {
	return (await call.then(
		() => undefined,
		(error: unknown) => error,
	)) as RemError;
}

describe("update", () => {
	test("changes the fields of the patch, leaves the others, and returns the row", async () => {
		const before = await film({
			title: "Alien",
			plot: "a ship",
			year: 1979,
			genres: ["horror"],
			metadata: { a: 1 },
			tags: ["x"],
		});
		const after = await films().update(
			before.id,
			{ year: 1980, data: { b: [1] }, size: 2n ** 60n, length: "four" },
			{ tenantId },
		);
		expect(after).toEqual({
			...before,
			year: 1980,
			data: { b: [1] },
			size: 2n ** 60n,
			length: 4,
			updatedAt: expect.any(Date),
		});
		expect(after?.updatedAt.getTime()).toBeGreaterThan(
			before.updatedAt.getTime(),
		);
		expect(await films().getById(before.id, tenantId)).toEqual(after);
	});

	test("null clears, and undefined leaves as it is", async () => {
		const { id } = await film({ title: "Alien", plot: "a ship", year: 1979 });
		const after = await films().update(
			id,
			{ year: null, plot: undefined },
			{ tenantId },
		);
		expect(after).toMatchObject({ year: null, plot: "a ship" });
	});

	test("does not apply a default of the model", async () => {
		const { id } = await film({ title: "Alien", state: "done" });
		const after = await films().update(id, { year: 1 }, { tenantId });
		expect(after?.state).toBe("done");
	});

	test("embeds only the text that changed", async () => {
		const { id } = await film({ title: "A", plot: "one", tagline: "two" });
		const before = await vectorsOf(id);
		provider.reset();
		await films().update(id, { plot: "three", tagline: "two" }, { tenantId });
		expect(provider.asked).toEqual(["three"]);
		const after = await vectorsOf(id);
		expect(after).toHaveLength(2);
		expect(after[0]).not.toEqual(before[0]);
		expect(after[1]).toEqual(before[1]);
		expect(await queued(id)).toBe(0);
	});

	test("asks no provider without a text in the patch, also where it fails", async () => {
		const { id } = await film({ title: "A", plot: "one" });
		provider.reset();
		provider.fail();
		await films().update(id, { year: 5 }, { tenantId });
		expect(provider.asked).toEqual([]);
	});

	test("a provider that fails changes nothing; queued, the text waits", async () => {
		const { id } = await film({ title: "A", plot: "one" });
		provider.refuse(() => true);
		const patch = { plot: "two" };
		expect(await codeOf(films().update(id, patch, { tenantId }))).toBe(
			"PROVIDER_FAILED",
		);
		expect(await films().getById(id, tenantId)).toMatchObject({ plot: "one" });
		const after = await films().update(id, patch, {
			tenantId,
			onEmbeddingError: "queue",
		});
		expect(after?.plot).toBe("two");
		expect(await vectorsOf(id)).toEqual([]);
		expect(await queued(id)).toBe(1);
	});

	test("a text that is cleared loses its vector", async () => {
		const { id } = await film({ title: "A", plot: "one" });
		await films().update(id, { plot: null }, { tenantId });
		expect(await vectorsOf(id)).toEqual([]);
		expect(await queued(id)).toBe(0);
	});

	test("stores a ready vector with its text", async () => {
		const { id } = await film({ title: "A", plot: "one" });
		provider.reset();
		const ready = new Float32Array(8).fill(0.5);
		await films().update(
			id,
			{ plot: "two", vectors: { plot: ready } },
			{ tenantId },
		);
		expect(provider.asked).toEqual([]);
		expect(await vectorsOf(id)).toHaveLength(1);
		expect(
			await codeOf(
				films().update(id, { vectors: { plot: ready } } as never, { tenantId }),
			),
		).toBe("VALIDATION");
	});

	test("a new key is found by LOOKUP, the old one is not", async () => {
		const { id } = await film({ title: "Old name" });
		await films().update(id, { title: "New name" }, { tenantId });
		const find = (entityKey: string) =>
			db.service.lookupEntity({ entityKey, tenantId });
		expect(await find("old-name")).toBeUndefined();
		expect(await find("new-name")).toMatchObject({ entityId: id });
	});

	test("a key that another row has is DUPLICATE_KEY, and nothing changes", async () => {
		await film({ title: "Alien" });
		const { id } = await film({ title: "Aliens", year: 1986 });
		const call = films().update(id, { title: "Alien", year: 1 }, { tenantId });
		expect(await codeOf(call)).toBe("DUPLICATE_KEY");
		expect(await films().getById(id, tenantId)).toMatchObject({ year: 1986 });
	});

	test("metadata and edges are replaced, or added to with merge", async () => {
		const edge = (dst: string) => ({ dst, rel_type: "knows" });
		const { id } = await film({
			title: "A",
			metadata: { a: 1 },
			graphEdges: [edge("b")],
		});
		const patch = { metadata: { b: 2 }, graphEdges: [edge("c")] };
		const merged = await films().update(id, patch, {
			tenantId,
			merge: ["metadata", "graphEdges"],
		});
		expect(merged).toMatchObject({
			metadata: { a: 1, b: 2 },
			graphEdges: [edge("b"), edge("c")],
		});
		expect(await films().update(id, patch, { tenantId })).toMatchObject(patch);
		const { nodes, dangling } = await db.service.traverse({
			from: "A",
			tenantId,
		});
		expect([nodes.length, dangling.map(({ edge }) => edge.dst)]).toEqual([
			0,
			["c"],
		]);
	});

	test("a row that was read is a patch of itself", async () => {
		const before = await film({ title: "A", year: 1 });
		const after = await films().update(
			before.id,
			{ ...before, year: 2, length: undefined },
			{ tenantId },
		);
		expect(after).toMatchObject({ title: "A", year: 2 });
		expect(after?.createdAt).toEqual(before.createdAt);
	});

	test("what equals the stored value writes nothing", async () => {
		const before = await film({ title: "A", plot: "one", year: 1 });
		const after = await films().update(
			before.id,
			{ plot: "one", year: 1 },
			{ tenantId },
		);
		expect(after).toEqual(before);
	});

	test("finds nothing: another tenant's row, a deleted one, no id at all", async () => {
		const { id } = await film({ title: "A" });
		const patch = { year: 1 };
		expect(
			await films().update(id, patch, { tenantId: "other" }),
		).toBeUndefined();
		expect(await films().update("no-id", patch, { tenantId })).toBeUndefined();
		await films().delete(id, tenantId);
		expect(await films().update(id, patch, { tenantId })).toBeUndefined();
		await films().restore(id, tenantId);
		expect(await films().getById(id, tenantId)).toMatchObject({ year: null });
	});

	test("is part of a transaction of the caller's", async () => {
		const { id } = await film({ title: "A", plot: "one" });
		const stop = new Error("stop");
		const call = db.service.transaction(async (transaction) => {
			const inside = await films().update(
				id,
				{ plot: "two", year: 3 },
				{ tenantId, transaction },
			);
			expect(inside).toMatchObject({ plot: "two", year: 3 });
			throw stop;
		});
		await expect(call).rejects.toBe(stop);
		expect(await films().getById(id, tenantId)).toMatchObject({
			plot: "one",
			year: null,
		});
		expect(await vectorsOf(id)).toHaveLength(1);
	});

	const bad: Readonly<Record<string, readonly [object, string, string]>> = {
		"an unknown field": [{ yeer: 1 }, "UNKNOWN_FIELD", 'did you mean "year"'],
		"a wrong type": [{ year: "1999" }, "VALIDATION", "year"],
		"a value that is not allowed": [{ state: "gone" }, "VALIDATION", "state"],
		"null for what must not be null": [{ title: null }, "VALIDATION", "title"],
		"an empty patch": [{}, "VALIDATION", "is empty"],
		"a patch of absent values": [{ year: undefined }, "VALIDATION", "is empty"],
		"a patch of times alone": [
			{ createdAt: new Date(), updatedAt: new Date() },
			"VALIDATION",
			"is empty without createdAt, updatedAt",
		],
		"another id": [
			{ id: "00000000-0000-0000-0000-000000000001", year: 1 },
			"VALIDATION",
			"another id",
		],
		"another tenant": [{ tenantId: "x", year: 1 }, "TENANT_MISMATCH", "x"],
		"a deletion": [{ deletedAt: new Date() }, "VALIDATION", "delete()"],
		"a key without a letter": [{ title: " " }, "VALIDATION", "key"],
		"a key that is too long": [
			{ title: "x".repeat(256) },
			"INPUT_LIMIT",
			"256 characters",
		],
		"NUL in a text": [{ plot: "a\0b" }, "VALIDATION", "plot"],
	};
	test.each(Object.entries(bad))("refuses %s", async (_, expected) => {
		const [patch, code, message] = expected;
		const before = await film({ title: "A", plot: "one" });
		for (const call of [
			() => films().update(before.id, patch as never, { tenantId }),
			() =>
				films().updateMany({ title: "A" }, patch as never, {
					tenantId,
				}),
		]) {
			const error = await failure(call());
			if ("id" in patch && error.message.includes("an id")) continue;
			expect(error).toMatchObject({ code });
			expect(`${error.message} ${error.hint}`).toContain(message);
			expect(error.message).not.toContain("entity 0");
		}
		expect(await films().getById(before.id, tenantId)).toEqual(before);
	});

	test("checks a key of several fields as a whole", async () => {
		const uri = "x".repeat(250);
		const { id } = await parts().upsert({ uri, ordinal: 1 }, { tenantId });
		const call = parts().update(id, { ordinal: 1_234_567 }, { tenantId });
		expect(await codeOf(call)).toBe("INPUT_LIMIT");
		await parts().update(id, { ordinal: 22 }, { tenantId });
		expect(
			await db.service.lookupEntity({ entityKey: `${uri}#22`, tenantId }),
		).toMatchObject({ entityId: id });
	});

	test("a refinement of the model sees the whole row", async () => {
		const { id } = await ranges().upsert(
			{ name: "r", from: 1, to: 5 },
			{ tenantId },
		);
		const error = await failure(ranges().update(id, { from: 6 }, { tenantId }));
		expect(error).toMatchObject({ code: "VALIDATION" });
		expect(error.message).toContain("from is behind to");
		expect(
			await ranges().update(id, { from: 6, to: 7 }, { tenantId }),
		).toMatchObject({ from: 6, to: 7 });
	});

	test("of two patches that a refinement allows one by one, only one is written", async () => {
		const { id } = await ranges().upsert(
			{ name: "r", from: 1, to: 5 },
			{ tenantId },
		);
		const outcomes = await Promise.allSettled([
			ranges().update(id, { from: 4 }, { tenantId }),
			ranges().update(id, { to: 3 }, { tenantId }),
		]);
		const row = await ranges().getById(id, tenantId);
		expect(row && row.from <= row.to).toBe(true);
		expect(outcomes.map(({ status }) => status).sort()).toEqual([
			"fulfilled",
			"rejected",
		]);
	});

	test("a model without tenants", async () => {
		const countries = db.service.repository(Country);
		const { id } = await countries.upsert({ name: `N ${tenantId}` });
		expect(await countries.update(id, { capital: "C" })).toMatchObject({
			capital: "C",
		});
	});
});

describe("updateMany", () => {
	test("changes the tenant's rows that fulfil the filter, and counts them", async () => {
		const rows = [
			{ title: "a", year: 1, plot: "one" },
			{ title: "b", year: 2, plot: "new" },
			{ title: "c", year: 9 },
		];
		await films().upsert(rows, { tenantId });
		await films().upsert(rows, { tenantId: `${tenantId}x` });
		provider.reset();
		const result = await films().updateMany(
			{ year: { lt: 5 } },
			{ plot: "new", state: "draft" },
			{ tenantId },
		);
		expect(result).toEqual({
			updated: 2,
			unchanged: 1,
			embeddingsGenerated: 1,
			embeddingsReused: 1,
			embeddingsQueued: 0,
		});
		expect(provider.asked).toEqual(["new"]);
		const plots = async (tenantId: string) =>
			(await films().find({ tenantId }, { orderBy: "title" })).map(
				({ plot }) => plot,
			);
		expect(await plots(tenantId)).toEqual(["new", "new", null]);
		expect(await plots(`${tenantId}x`)).toEqual(["one", "new", null]);
	});

	test("a text for many rows is embedded once, and each gets its vector", async () => {
		const count = 1100;
		await films().upsert(
			Array.from({ length: count }, (_, n) => ({ title: `f${n}` })),
			{ tenantId },
		);
		provider.reset();
		const result = await films().updateMany({}, { plot: "same" }, { tenantId });
		expect(result).toMatchObject({
			updated: count,
			embeddingsGenerated: count,
		});
		expect(provider.asked).toEqual(["same"]);
	});

	test("sends statements by the 500 rows, not by the row", async () => {
		await films().upsert(
			Array.from({ length: 1001 }, (_, n) => ({ title: `f${n}` })),
			{ tenantId },
		);
		let statements = 0;
		await db.service.transaction(async (tx) => {
			const counting: typeof tx = {
				...tx,
				vectorOid: () => tx.vectorOid(),
				script: (text) => tx.script(text),
				query: (...given) => {
					statements++;
					return tx.query(...given);
				},
				transaction: (work, options) =>
					tx.transaction(
						(inner) =>
							work({
								...inner,
								vectorOid: () => inner.vectorOid(),
								script: (text) => inner.script(text),
								transaction: (...given) => inner.transaction(...given),
								query: (...given) => {
									statements++;
									return inner.query(...given);
								},
							}),
						options,
					),
			};
			await films().updateMany(
				{},
				{ year: 7 },
				{
					tenantId,
					transaction: counting,
				},
			);
		});
		expect(await films().count({ tenantId, year: 7 })).toBe(1001);
		expect(statements).toBeLessThan(15);
	});

	test("is all or nothing", async () => {
		await films().upsert([{ title: "a" }, { title: "b" }], { tenantId });
		const call = films().updateMany(
			{},
			{ title: "same", year: 1 },
			{
				tenantId,
			},
		);
		expect(await codeOf(call)).toBe("DUPLICATE_KEY");
		expect(await films().count({ tenantId, year: 1 })).toBe(0);
	});

	test("an empty filter is the whole tenant, a value that is undefined is refused", async () => {
		await films().upsert([{ title: "a" }, { title: "b" }], { tenantId });
		expect(
			await codeOf(
				films().updateMany({ title: undefined }, { year: 1 }, { tenantId }),
			),
		).toBe("FILTER_REFUSED");
		expect(
			await films().updateMany({}, { year: 1 }, { tenantId }),
		).toMatchObject({ updated: 2 });
	});

	test("never changes soft-deleted rows", async () => {
		const { id } = await film({ title: "a" });
		await films().delete(id, tenantId);
		for (const filter of [{}, { deletedAt: { isNull: false } }])
			expect(
				await films().updateMany(filter, { year: 1 }, { tenantId }),
			).toMatchObject({ updated: 0 });
	});

	test("filter and options name one tenant", async () => {
		await film({ title: "a" });
		const patch = { year: 1 };
		expect(await films().updateMany({ tenantId }, patch)).toMatchObject({
			updated: 1,
		});
		expect(
			await codeOf(films().updateMany({ tenantId }, patch, { tenantId: "x" })),
		).toBe("TENANT_MISMATCH");
		expect(
			await codeOf(
				films().updateMany({ tenantId: { ne: "x" } }, patch, { tenantId }),
			),
		).toBe("VALIDATION");
		await films().upsert({ title: "b" }, { tenantId: `${tenantId}x` });
		expect(
			await films().updateMany(
				{ OR: [{ tenantId: `${tenantId}x` }] },
				{ year: 2 },
				{ tenantId },
			),
		).toMatchObject({ updated: 0 });
	});

	test("of writers of one condition, each row has one that changed it", async () => {
		await films().upsert(
			Array.from({ length: 40 }, (_, n) => ({ title: `f${n}` })),
			{ tenantId },
		);
		const takes = await Promise.all(
			[1, 2, 3].map((year) =>
				films().updateMany({ year: null }, { year }, { tenantId }),
			),
		);
		const counts = await Promise.all(
			[1, 2, 3].map((year) => films().count({ tenantId, year })),
		);
		expect(takes.map(({ updated }) => updated)).toEqual(counts);
		expect(counts.reduce((sum, count) => sum + count)).toBe(40);
	});
});

describe("in a user's scope", () => {
	test("own and shared rows are changed, another user's are not", async () => {
		const owners = ["u", "v", null] as const;
		const [own, foreign, shared] = await Promise.all(
			owners.map((userId) => film({ title: `of ${userId}`, userId })),
		);
		const scoped = db.service.scope({ tenantId, userId: "u" }).repository(Film);
		expect(await scoped.update(foreign?.id ?? "", { year: 1 })).toBeUndefined();
		expect(await scoped.update(own?.id ?? "", { year: 1 })).toBeDefined();
		expect(await scoped.update(shared?.id ?? "", { year: 1 })).toBeDefined();
		expect(await scoped.updateMany({}, { year: 2 })).toMatchObject({
			updated: 2,
		});
		expect(await films().getById(foreign?.id ?? "", tenantId)).toMatchObject({
			year: null,
		});
		expect(await codeOf(scoped.update(own?.id ?? "", { userId: "v" }))).toBe(
			"TENANT_MISMATCH",
		);
		expect(
			await codeOf(
				scoped.update(own?.id ?? "", { year: 1 }, { tenantId: "x" }),
			),
		).toBe("TENANT_MISMATCH");
		expect(await scoped.update(own?.id ?? "", { userId: null })).toMatchObject({
			userId: null,
			year: 2,
		});
	});

	test("a new owner owns the name and the vectors too", async () => {
		const { id } = await film({ title: "a", plot: "one", userId: "u" });
		await films().update(id, { userId: "v" }, { tenantId });
		expect(
			await db.service.lookupEntity({ entityKey: "a", tenantId }),
		).toMatchObject({ userId: "v" });
		const { rows } = await db.service.execute(
			"SELECT DISTINCT user_id FROM embeddings_films WHERE entity_id = $1",
			[id],
		);
		expect(rows).toEqual([{ user_id: "v" }]);
	});
});

describe("findOne", () => {
	test("returns the first row of find, or undefined", async () => {
		await films().upsert(
			[
				{ title: "a", year: 1 },
				{ title: "b", year: 2 },
			],
			{ tenantId },
		);
		expect(
			await films().findOne({ tenantId }, { orderBy: "year desc" }),
		).toMatchObject({ title: "b" });
		expect(await films().findOne({ tenantId, year: 3 })).toBeUndefined();
		const scoped = db.service.scope({ tenantId: "none" }).repository(Film);
		expect(await scoped.findOne()).toBeUndefined();
	});
});

describe("getBySession", () => {
	test("last: the latest rows in the order of time, own and shared", async () => {
		const messages = db.service.repository(Message);
		const at = (n: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, n));
		await messages.upsert(
			[5, 1, 3, 2, 4, 6].map((n) => ({
				content: `m${n}`,
				sessionId: "s",
				createdAt: at(n),
				userId: n === 6 ? "v" : n % 2 === 0 ? "u" : null,
			})),
			{ tenantId, generateEmbeddings: false },
		);
		const contents = async (last: number, userId?: string | null) =>
			(
				await messages.getBySession({
					sessionId: "s",
					tenantId,
					last,
					...(userId === undefined ? {} : { userId }),
				})
			).map(({ content }) => content);
		expect(await contents(3)).toEqual(["m4", "m5", "m6"]);
		expect(await contents(3, "u")).toEqual(["m3", "m4", "m5"]);
		expect(await contents(2, null)).toEqual(["m3", "m5"]);
		expect(await contents(99)).toHaveLength(6);
		expect(await contents(0)).toEqual([]);
	});

	test("rows of one moment are the same, whichever way they are read", async () => {
		const messages = db.service.repository(Message);
		await messages.upsert(
			Array.from({ length: 5 }, (_, n) => ({
				content: `m${n}`,
				sessionId: "s",
				createdAt: new Date(0),
			})),
			{ tenantId, generateEmbeddings: false },
		);
		const session = { sessionId: "s", tenantId };
		const all = await messages.getBySession(session);
		expect(await messages.getBySession({ ...session, last: 5 })).toEqual(all);
		expect(await messages.getBySession({ ...session, last: 2 })).toEqual(
			all.slice(3),
		);
	});

	test("last excludes limit and offset, and is a whole number", async () => {
		const messages = db.service.repository(Message);
		const session = { sessionId: "s", tenantId };
		for (const call of [
			messages.getBySession({ ...session, last: 1 }, { limit: 1 }),
			messages.getBySession({ ...session, last: 1 }, { offset: 0 }),
			messages.getBySession({ ...session, last: -1 }),
			messages.getBySession({ ...session, last: 1.5 }),
		])
			expect(await codeOf(call)).toBe("VALIDATION");
	});
});
