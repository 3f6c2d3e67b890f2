import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { coresOf, engine, useService } from "../support/engine.ts";

const Note = defineEntity(
	"notes",
	{
		name: z.string(),
		content: z.string().optional(),
		year: z.int().default(1),
		state: z.enum(["on", "off"]).optional(),
	},
	{ entityKeyField: "name", indexes: [["year"]] },
);

const db = useService({
	models: [Note],
	embedding: { provider: "local", dimensions: 8 },
});

/** Changes by another client; and if `migrate()` refuses one, the statement that reverts it. */
const changes: Record<string, readonly [text: string, undo?: string]> = {
	"a column that is dropped": ["ALTER TABLE notes DROP state"],
	"a column of another type": [
		"ALTER TABLE notes ALTER year TYPE integer",
		"ALTER TABLE notes ALTER year TYPE bigint",
	],
	"a column that must not be null": [
		"ALTER TABLE notes ALTER content SET NOT NULL",
	],
	"a column that may be null": [
		"ALTER TABLE notes ALTER name DROP NOT NULL",
		"ALTER TABLE notes ALTER name SET NOT NULL",
	],
	"another default": ["ALTER TABLE notes ALTER year SET DEFAULT 2"],
	"a default that is gone": ["ALTER TABLE notes ALTER year DROP DEFAULT"],
	"a trigger that is switched off": [
		"ALTER TABLE notes DISABLE TRIGGER trg_notes_kv_store_delete",
	],
	"a trigger that is gone": ["DROP TRIGGER trg_notes_kv_store_update ON notes"],
	"a trigger's function that is another one": [
		"CREATE OR REPLACE FUNCTION fn_notes_kv_store_upsert() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
	],
	"a function that is another one": [
		"CREATE OR REPLACE FUNCTION rem_merge_edges(edges JSONB, added JSONB) RETURNS JSONB LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN edges",
	],
	"an index that is gone": ["DROP INDEX idx_notes__year"],
	"an index that is not valid": [
		"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_notes__year'::regclass",
	],
	"a view that is gone": ["DROP VIEW kv_source_notes CASCADE"],
	"a table of vectors that is gone": ["DROP TABLE embeddings_notes"],
	"a storage parameter": ["ALTER TABLE kv_store SET (fillfactor = 90)"],
	"autovacuum settings of a table of an earlier version": [
		"ALTER TABLE notes RESET (autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor)",
	],
	"autovacuum settings of a table of vectors": [
		"ALTER TABLE embeddings_notes RESET (autovacuum_analyze_scale_factor)",
	],
	"a cache that is logged": ["ALTER TABLE kv_store SET LOGGED"],
	"a table that is no longer known as ours": [
		"COMMENT ON TABLE notes IS 'mine'",
		"COMMENT ON TABLE notes IS 'remdb'",
	],
};

describe("after the last migration", () => {
	test.for(Object.entries(changes))("%s is noticed", async ([, change]) => {
		const [text, undo] = change;
		const { service } = db;
		await service.migrate();
		await service.execute(
			"INSERT INTO notes (tenant_id, name, content) VALUES ('t', 'a note', '') ON CONFLICT DO NOTHING",
		);
		await service.execute(text);
		if (undo !== undefined) {
			await expect(service.migrate()).rejects.toMatchObject({
				code: expect.stringMatching(/^(SCHEMA_DRIFT|TABLE_CONFLICT)$/),
			});
			await service.execute(undo);
		}
		await service.migrate();
		expect(await service.schema.diff()).toEqual([]);
	});
});

test("autovacuum settings that the operator tuned stay", async () => {
	const { service } = db;
	const options = async (name: string) => {
		const { rows } = await service.execute<{ options: string[] }>(
			`SELECT reloptions AS options FROM pg_class WHERE relname = '${name}'`,
		);
		return rows[0]?.options;
	};
	const tuned = "autovacuum_analyze_scale_factor=0.5";
	for (const name of ["notes", "embeddings_notes", "kv_store"]) {
		await service.execute(`ALTER TABLE ${name} SET (${tuned})`);
		expect((await service.schema.diff()).length).toBe(0);
		await service.migrate();
		expect(await options(name)).toContain(tuned);
		await service.execute(
			`ALTER TABLE ${name} RESET (autovacuum_analyze_scale_factor)`,
		);
		await service.migrate();
		expect(await options(name)).toContain(
			"autovacuum_analyze_scale_factor=0.02",
		);
	}
});

// The embedded database has one role.
describe.skipIf(engine === "embedded")(
	"a role that may only use tables",
	() => {
		/** A service of a role that may read and write rows, and nothing else: no temporary tables either. */
		async function openAsUser() {
			const role = `rem_user_${process.pid}_${Date.now()}`;
			const database = new URL(db.url).pathname.slice(1);
			await db.service.execute(`CREATE ROLE ${role} LOGIN PASSWORD 'x';
REVOKE TEMPORARY ON DATABASE ${database} FROM PUBLIC;
${["public", ...coresOf(db.service).map(({ settings }) => settings.schema)]
	.map(
		(schema) => `GRANT USAGE ON SCHEMA ${schema} TO ${role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role};
`,
	)
	.join("")}`);
			await db.service.execute(
				`REVOKE INSERT, UPDATE ON rem_migrations FROM ${role}`,
			);
			const asRole = new URL(db.url);
			asRole.username = role;
			asRole.password = "x";
			const service = await PostgresService.connect({
				connectionString: asRole.href,
				models: [Note],
				embedding: { provider: "local", dimensions: 8 },
			});
			onTestFinished(async () => {
				await service.close();
				await db.service.execute(
					`DROP OWNED BY ${role}; DROP ROLE ${role}; GRANT TEMPORARY ON DATABASE ${database} TO PUBLIC`,
				);
			});
			return { role, database, service };
		}

		test("migrates a database that is up to date, whatever was granted since", async () => {
			await db.service.migrate();
			const { service } = await openAsUser();
			expect(await service.migrate()).toEqual({ applied: [] });
		});

		test("migrates where all has to be compared and nothing differs, as after a restore", async () => {
			await db.service.migrate();
			const { role, database, service } = await openAsUser();
			await db.service.execute(
				`GRANT TEMPORARY ON DATABASE ${database} TO ${role}; UPDATE rem_migrations SET catalogue = 'of another server'`,
			);
			expect(await service.migrate()).toEqual({ applied: [] });
		});

		test("reports what it may not repair", async () => {
			await db.service.migrate();
			const { role, database, service } = await openAsUser();
			await db.service.execute(
				`GRANT TEMPORARY ON DATABASE ${database} TO ${role}; DROP INDEX idx_notes__year`,
			);
			await expect(service.migrate()).rejects.toMatchObject({
				sqlState: "42501",
			});
			await db.service.migrate();
		});
	},
);
