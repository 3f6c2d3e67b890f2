import { expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { useService } from "../support/engine.ts";

// test/support/no-deprecation.ts lets a file fail in which the driver warned:
// these calls send statements before the ones before them are answered.

const Note = defineEntity(
	"notes",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);
const db = useService({
	models: [Note],
	embedding: { provider: "local", dimensions: 8 },
});
const tenantId = "t";
const notes = (count: number) =>
	Array.from({ length: count }, (_, n) => ({
		name: `note ${n}`,
		content: `content ${n}`,
	}));

test("a batch of several statements", async () => {
	const entities = notes(3000);
	await db.service.batchUpsert({ tableName: "notes", tenantId, entities });
	for (const one of entities) one.content += "!";
	const { updated } = await db.service.batchUpsert({
		tableName: "notes",
		tenantId,
		entities,
	});
	expect(updated).toBe(3000);
});

test("calls at once, on one transaction, one session and none", async () => {
	const numbers = Array.from({ length: 20 }, (_, n) => n);
	const ask = async (
		n: number,
		handle: typeof db.service.core.db | undefined,
	) => {
		const { rows } = await (handle ?? db.service.core.db).query<{ n: number }>({
			text: "SELECT $1::int AS n",
			values: [n],
		});
		return rows[0]?.n;
	};
	const session = await db.service.core.db.openSession();
	try {
		const all = (handle?: unknown) =>
			Promise.all(numbers.map((n) => ask(n, handle as never)));
		expect(await all()).toEqual(numbers);
		expect(await all(session)).toEqual(numbers);
		expect(await session.transaction((tx) => all(tx))).toEqual(numbers);
		expect(await db.service.transaction((tx) => all(tx))).toEqual(numbers);
		const found = await db.service.transaction((transaction) =>
			Promise.all(
				numbers.map((n) =>
					db.service.lookupEntity({
						entityKey: `note ${n}`,
						tenantId,
						transaction,
					}),
				),
			),
		);
		expect(found).not.toContain(undefined);
	} finally {
		await session.close();
	}
});

test("a failing statement among them", async () => {
	const outcomes = await db.service
		.transaction((tx) =>
			Promise.allSettled(
				["1", "x", "3"].map((value) =>
					tx.query({ text: "SELECT $1::text::int", values: [value] }),
				),
			),
		)
		.catch((error: unknown) => error);
	expect(outcomes).toMatchObject({ code: "DATABASE" });
	expect(await db.service.repository(Note).count({ tenantId })).toBe(3000);
});
