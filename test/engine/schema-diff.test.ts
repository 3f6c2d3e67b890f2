import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Entity, registerType } from "../../src/index.ts";
import { diffSchema, readOwnCatalogue } from "../../src/migrate/diff/diff.ts";
import type { Difference } from "../../src/migrate/diff/difference.ts";
import { Registry } from "../../src/models/registry.ts";
import { generatedSchema } from "../../src/schema/files.ts";
import { coreOf, useService } from "../support/engine.ts";
import { randomModel } from "../support/random-models.ts";

/** More runs by hand: REM_TEST_RUNS=300. */
const runs = Number(process.env.REM_TEST_RUNS ?? 8);
const timeoutMs = 30_000 + 5_000 * runs;

const db = useService({
	models: [],
	embedding: { provider: "local", dimensions: 8 },
});

const space = { provider: "local", model: "lexical-v1", dimensions: 8 };
const schemaOf = () => coreOf(db.service).settings.schema;
const base = () => ({ schema: schemaOf(), kvPersistence: "unlogged" }) as const;
const generated = (entity: Entity) =>
	generatedSchema([entity], "a test", { schema: schemaOf() });

const diff = (...entities: Entity[]) =>
	diffSchema(db.service.core.db, new Registry(schemaOf(), entities).all(), {
		...base(),
		embedding: space,
	});

async function apply(differences: readonly Difference[]): Promise<void> {
	const inPhase = (phase: Difference["phase"]) =>
		differences
			.filter((one) => one.phase === phase)
			.flatMap(({ statements }) => statements);
	await db.service.transaction(async (tx) => {
		for (const statement of inPhase("transaction")) await tx.script(statement);
	});
	for (const statement of inPhase("online"))
		await db.service.execute(statement);
}

const catalogueOf = (entity: Entity) =>
	db.service.transaction((tx) =>
		readOwnCatalogue(tx, new Registry(schemaOf(), [entity]).all(), base()),
	);

async function drop(tableName: string): Promise<void> {
	const schema = schemaOf();
	await db.service.execute(`
DROP TABLE IF EXISTS ${schema}."embeddings_${tableName}", ${schema}."rem_words_${tableName}";
DROP TABLE IF EXISTS ${schema}."${tableName}" CASCADE;
DELETE FROM ${schema}.kv_store`);
}

describe("any model", () => {
	test(
		"as its generated text makes it does not differ",
		async () => {
			await fc.assert(
				fc.asyncProperty(randomModel("things"), async (model) => {
					await drop("things");
					await db.service.execute(generated(model));
					expect(await diff(model)).toEqual([]);
					const { backgroundIndexes } = registerType(model, {
						schema: schemaOf(),
						embedding: space,
					}).sql;
					await db.service.execute(
						backgroundIndexes.replaceAll(" CONCURRENTLY", ""),
					);
					expect(await diff(model)).toEqual([]);
				}),
				{ numRuns: runs },
			);
		},
		timeoutMs,
	);

	test(
		"becomes any other by the statements of the difference",
		async () => {
			await fc.assert(
				fc.asyncProperty(
					randomModel("things"),
					randomModel("things"),
					async (before, after) => {
						await drop("things");
						await db.service.execute(generated(before));
						await apply(await diff(after));
						expect(await diff(after)).toEqual([]);
						// What the comparison does not see, the catalogue does.
						const changed = await catalogueOf(after);
						await drop("things");
						await db.service.execute(generated(after));
						expect(changed).toEqual(await catalogueOf(after));
					},
				),
				{ numRuns: runs },
			);
		},
		timeoutMs,
	);
});
