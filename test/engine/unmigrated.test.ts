import { expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type RemError } from "../../src/index.ts";
import { useService } from "../support/engine.ts";

// A database that is older or newer than the models: whichever verb meets it
// reports that, and names the remedy.

const model = (tableName: string) =>
	defineEntity(
		tableName,
		{
			name: z.string(),
			content: z.string(),
			year: z.number().int().optional(),
		},
		{ entityKeyField: "name" },
	);

/** What a migration that has not run, or has run elsewhere, leaves. */
const states = {
	no_table: "DROP TABLE no_table CASCADE",
	no_vectors: "DROP TABLE embeddings_no_vectors",
	no_column: "ALTER TABLE no_column DROP COLUMN year",
	no_key_index: `DO $$ DECLARE i text; BEGIN
  SELECT indexrelid::regclass INTO i FROM pg_index
  WHERE indrelid = 'no_key_index'::regclass AND indisunique AND NOT indisprimary;
  EXECUTE 'DROP INDEX ' || i;
END $$`,
	other_key: `DO $$ DECLARE i text; BEGIN
  SELECT indexrelid::regclass INTO i FROM pg_index
  WHERE indrelid = 'other_key'::regclass AND indisunique AND NOT indisprimary;
  EXECUTE 'DROP INDEX ' || i;
END $$;
CREATE UNIQUE INDEX ON other_key (tenant_id, user_id, content) NULLS NOT DISTINCT WHERE deleted_at IS NULL`,
	other_type:
		"ALTER TABLE other_type ALTER COLUMN year TYPE boolean USING NULL",
	new_column: "ALTER TABLE new_column ADD COLUMN isbn text NOT NULL",
	no_view: "DROP VIEW kv_source_no_view",
	no_function: `ALTER TABLE no_function DISABLE TRIGGER ALL;
DROP FUNCTION fn_no_function_kv_store_upsert() CASCADE;
CREATE FUNCTION calls_nothing() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN PERFORM is_not_there(); RETURN NULL; END';
CREATE TRIGGER t AFTER INSERT ON no_function EXECUTE FUNCTION calls_nothing()`,
} as const;

const models = new Map(Object.keys(states).map((name) => [name, model(name)]));
const db = useService({
	models: [...models.values()],
	embedding: { provider: "local", dimensions: 8 },
	backgroundIndex: { enabled: false },
});

test.each(Object.entries(states))(
	"an upsert into a database with %s is SCHEMA_DRIFT that names migrate",
	async (tableName, change) => {
		await db.service.execute(change);
		const entities = [{ name: "a", content: "b", year: 2000 }];
		for (const atomic of [true, "chunk"] as const) {
			const error: RemError = await db.service
				.batchUpsert({ tableName, entities, tenantId: "t", atomic })
				.then(
					() => expect.fail("it was written"),
					(error) => error,
				);
			expect(error).toMatchObject({
				code: "SCHEMA_DRIFT",
				hint: expect.stringContaining("migrate"),
			});
		}
	},
);

test("so are the reads that need what is missing", async () => {
	const { service } = db;
	const rows = (name: string) =>
		service.repository(models.get(name) as ReturnType<typeof model>);
	const reads: (() => Promise<unknown>)[] = [
		() => rows("no_table").find({ tenantId: "t" }),
		() => rows("no_table").count({ tenantId: "t" }),
		() => service.query("SQL no_table LIMIT 1", { tenantId: "t" }),
		() => rows("no_column").find({ tenantId: "t" }),
		() =>
			service.vectorSearch({
				tableName: "no_vectors",
				queryText: "b",
				tenantId: "t",
			}),
	];
	for (const read of reads)
		await expect(read()).rejects.toMatchObject({
			code: "SCHEMA_DRIFT",
			hint: expect.stringContaining("migrate"),
		});
});
