import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { createDatabase, engine, useService } from "../support/engine.ts";

test("a model whose summary comes from another field has its old rows cached again", async () => {
	const folder = mkdtempSync(join(tmpdir(), "rem-"));
	const database = await createDatabase();
	const connect = (shape: Record<string, z.ZodType>) =>
		PostgresService.connect({
			connectionString: engine === "embedded" ? `file:${folder}` : database.url,
			embedding: { provider: "local" },
			models: [
				defineEntity(
					"papers",
					{ name: z.string(), content: z.string().optional(), ...shape },
					{ entityKeyField: "name" },
				),
			],
		});

	const before = await connect({});
	await before.migrate();
	await before.batchUpsert({
		tableName: "papers",
		entities: [{ name: "p", content: "the content" }],
	});
	// As a column that was there before the model knew of it.
	await before.execute(
		"ALTER TABLE papers ADD COLUMN summary TEXT; UPDATE papers SET summary = 'the summary'",
	);
	await before.close();

	const after = await connect({ summary: z.string().optional() });
	await after.migrate();
	expect(await after.kv.status()).toMatchObject({ ready: true });
	const { rows } = await after.execute("SELECT content_summary FROM kv_store");
	expect(rows).toEqual([{ content_summary: "the summary" }]);
	await after.close();
	await database.drop();
	rmSync(folder, { recursive: true });
});

const Sheet = defineEntity(
	"sheets",
	{ name: z.string() },
	{ entityKeyField: "name" },
);

describe("a source that another program has changed", () => {
	const db = useService({ models: [Sheet] });

	test("ends a rebuild with an error, and is repaired by migrate", async () => {
		await db.service.batchUpsert({
			tableName: "sheets",
			entities: [{ name: "one" }],
		});
		await db.service.execute(
			"COMMENT ON VIEW kv_source_sheets IS 'remdb: cache source of another (0123456789abcdef)'",
		);
		await expect(db.service.kv.rebuild()).rejects.toMatchObject({
			code: "DATABASE",
			message: expect.stringMatching(/1 rows of another have no entry/),
			hint: expect.stringContaining("rem migrate"),
		});
		await db.service.migrate();
		await db.service.kv.rebuild();
		expect(await db.service.kv.verify()).toMatchObject({ differing: 0 });
	});
});
