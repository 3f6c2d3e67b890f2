import { describe, expect, test } from "vitest";
import * as z from "zod";
import {
	defineEntity,
	type Entity,
	type RegisterTypeOptions,
	registerType,
} from "../../src/index.ts";
import { codeOf, useService } from "../support/engine.ts";

const Note = defineEntity(
	"notes",
	{ name: z.string(), title: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);

const db = useService({
	models: [] as readonly Entity[],
	embedding: { provider: "local", dimensions: 8 },
});

/** Runs the texts, twice, as a user would, and registers the model. */
async function apply(options: RegisterTypeOptions): Promise<Entity> {
	const { entity, sql } = registerType(Note, options);
	for (const text of [sql.table, sql.embeddings, sql.kvTrigger, sql.indexes]) {
		await db.service.execute(text);
		await db.service.execute(text);
	}
	await db.service.register(entity);
	expect(await db.service.schema.diff()).toEqual([]);
	return entity;
}

const row = { name: "a name", title: "a title", content: "some content" };

const write = (tableName: string) =>
	db.service.batchUpsert({
		tableName,
		entities: [row as never],
		tenantId: "t",
	});

const find = (entityKey: string, entityType: string, tenantId = "t") =>
	db.service.lookupEntity({ entityKey, entityType, tenantId });

describe("registerType's option", () => {
	test("tableName makes the same model another table", async () => {
		const entity = await apply({ tableName: "named_notes" });
		expect(entity.tableName).toBe("named_notes");
		await write("named_notes");
		expect(await find("a name", "named_notes")).toMatchObject({
			entityType: "named_notes",
		});
	});

	test("entityKeyField finds rows by other fields", async () => {
		await apply({ tableName: "titled_notes", entityKeyField: "title" });
		await write("titled_notes");
		expect(await find("a title", "titled_notes")).toBeDefined();
		expect(await find("a name", "titled_notes")).toBeUndefined();
		await apply({ tableName: "both_notes", entityKeyField: ["name", "title"] });
		await write("both_notes");
		expect(await find("a name#a title", "both_notes")).toBeDefined();
	});

	test("entityKeyField null inserts new rows each time", async () => {
		await apply({
			tableName: "keyless_notes",
			entityKeyField: null,
			createKvTrigger: false,
		});
		await write("keyless_notes");
		expect((await write("keyless_notes")).inserted).toBe(1);
	});

	test("tenantScoped false gives every tenant the rows", async () => {
		await apply({ tableName: "shared_notes", tenantScoped: false });
		await db.service.batchUpsert({
			tableName: "shared_notes",
			entities: [row as never],
		});
		expect(await find("a name", "shared_notes", "another")).toBeDefined();
	});

	test("createEmbeddings false makes no vectors", async () => {
		await apply({ tableName: "plain_notes", createEmbeddings: false });
		expect((await write("plain_notes")).embeddingsGenerated).toBe(0);
		const { rows } = await db.service.execute(
			"SELECT FROM pg_class WHERE relname = 'embeddings_plain_notes'",
		);
		expect(rows).toEqual([]);
	});

	test("createKvTrigger false leaves the cache of names alone", async () => {
		await apply({ tableName: "uncached_notes", createKvTrigger: false });
		expect((await write("uncached_notes")).kvEntries).toBe(0);
		expect(await find("a name", "uncached_notes")).toBeUndefined();
	});

	test("of what the model has not is refused", async () => {
		for (const options of [
			{ tableName: "kv_store" },
			{ entityKeyField: "nothing" },
			{ tableName: "" },
		])
			expect(
				await codeOf(Promise.resolve().then(() => registerType(Note, options))),
			).toBe("VALIDATION");
	});
});
