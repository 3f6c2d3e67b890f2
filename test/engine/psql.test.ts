import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Entity, PostgresService } from "../../src/index.ts";
import { readOwnCatalogue } from "../../src/migrate/diff/diff.ts";
import { generatedSchema } from "../../src/schema/files.ts";
import { createDatabase, engine } from "../support/engine.ts";
import { psql } from "../support/psql.ts";
import { randomModel } from "../support/random-models.ts";

const runs = Number(process.env.REM_TEST_RUNS ?? 2);

const file = (name: string) =>
	readFileSync(new URL(`../../sql/${name}`, import.meta.url), "utf8");

async function open(models?: readonly Entity[]) {
	const { url, drop } = await createDatabase();
	const service = await PostgresService.connect({
		connectionString: url,
		embedding: { provider: "local", dimensions: 8 },
		...(models === undefined ? {} : { models }),
	});
	const close = async () => {
		await service.close();
		await drop();
	};
	return { url, service, close };
}

const catalogueOf = (service: PostgresService<readonly Entity[]>) =>
	service.transaction((tx) =>
		readOwnCatalogue(tx, service.registry.all(), {
			schema: "public",
			kvPersistence: "unlogged",
		}),
	);

// psql speaks to a server.
describe.skipIf(engine === "embedded")("psql", () => {
	test("makes of the shipped files what migrate() makes, and it is adopted", async () => {
		const byPsql = await open();
		onTestFinished(byPsql.close);
		for (const name of [
			"migrations/001_setup_extensions.sql",
			"migrations/002_kv_store_cache.sql",
			"generated_schema.sql",
		])
			await psql(byPsql.url, file(name));
		const migrated = await open();
		onTestFinished(migrated.close);
		await migrated.service.migrate();
		expect(await catalogueOf(byPsql.service)).toEqual(
			await catalogueOf(migrated.service),
		);
		expect(await byPsql.service.schema.diff()).toEqual([]);
		await byPsql.service.migrate();
		expect(await byPsql.service.migrate()).toEqual({ applied: [] });
		await psql(byPsql.url, file("background_indexes.sql"));
		expect(await byPsql.service.schema.diff()).toEqual([]);
	});

	test(
		"makes of any model's generated text what the model is",
		async () => {
			await fc.assert(
				fc.asyncProperty(randomModel("things"), async (model) => {
					const { url, service, close } = await open([model]);
					try {
						await psql(url, file("migrations/001_setup_extensions.sql"));
						await psql(url, file("migrations/002_kv_store_cache.sql"));
						await psql(url, generatedSchema([model], "a test"));
						expect(await service.schema.diff()).toEqual([]);
					} finally {
						await close();
					}
				}),
				{ numRuns: runs },
			);
		},
		60_000 + 10_000 * runs,
	);
});
