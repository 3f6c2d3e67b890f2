import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { defineEntity, type Entity, PostgresService } from "../../src/index.ts";
import { migrate } from "../../src/migrate/migrate.ts";
import { Registry } from "../../src/models/registry.ts";
import {
	codeOf,
	createDatabase,
	engine,
	useService,
} from "../support/engine.ts";

const text = z.string();
const byName = { entityKeyField: "name" } as const;

const db = useService({
	models: [],
	embedding: { provider: "local", dimensions: 8 },
});

/** Brings the database to these models, as a service with them would. */
const migrateTo = (...entities: Entity[]) =>
	migrate(db.service.core.db, {
		tables: new Registry("public", entities).all(),
		options: { schema: "public", kvPersistence: "unlogged" },
	});

const errorOf = (promise: Promise<unknown>) =>
	promise.then(
		() => expect.unreachable("it did not fail"),
		(error) => error,
	);

/** Columns as `name type nullable default`. */
async function columnsOf(table: string): Promise<string[]> {
	const { rows } = await db.service.execute<{ line: string }>(
		`SELECT concat_ws(' ', column_name, data_type, is_nullable, column_default) AS line
FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position`,
		[table],
	);
	return rows.map(({ line }) => line);
}

const insert = (table: string, name: string) =>
	db.service.execute(
		`INSERT INTO ${table} (tenant_id, name) VALUES ('t', $1)`,
		[name],
	);

describe("migrate", () => {
	test("returns what it applied, and the second time nothing", async () => {
		const database = await createDatabase({ hasExtensions: false });
		onTestFinished(() => database.drop());
		const service = await PostgresService.connect({
			connectionString: database.url,
			models: [
				defineEntity("ones", { name: text }, byName),
				defineEntity("twos", { name: text }, byName),
			],
		});
		onTestFinished(() => service.close());
		expect(await codeOf(service.lookupEntity({ entityKey: "a" }))).toBe(
			"SCHEMA_DRIFT",
		);
		expect(await service.migrate()).toEqual({
			applied: [
				"001_setup_extensions.sql",
				"002_kv_store_cache.sql",
				"entity:ones",
				"entity:twos",
			],
		});
		expect(await service.migrate()).toEqual({ applied: [] });
		expect(await service.lookupEntity({ entityKey: "a" })).toBeUndefined();
		const { rows } = await service.execute(
			"SELECT name, length(sha256) AS digits, applied_by = current_user AS by_us FROM rem_migrations ORDER BY name",
		);
		expect(rows).toHaveLength(4);
		expect(rows[3]).toEqual({ name: "entity:twos", digits: 64, by_us: true });
	});

	test("by four services at once makes it once", async () => {
		const database = await createDatabase();
		onTestFinished(() => database.drop());
		const model = defineEntity("ones", { name: text, content: text }, byName);
		const connect = () =>
			PostgresService.connect({
				connectionString: database.url,
				models: [model],
			});
		// A database in memory is one service's own.
		const first = await connect();
		const others =
			engine === "server"
				? await Promise.all([connect(), connect(), connect()])
				: [first, first, first];
		const services = [first, ...others];
		onTestFinished(async () => {
			for (const service of services) await service.close();
		});
		const results = await Promise.all(
			services.map((service) => service.migrate()),
		);
		expect(results.map(({ applied }) => applied.length).sort()).toEqual([
			0, 0, 0, 3,
		]);
		await first.batchUpsert({
			tableName: "ones",
			entities: [{ name: "a", content: "b" }],
			generateEmbeddings: false,
		});
	});

	test("registers another model while the service runs", async () => {
		const Later = defineEntity("laters", { name: text }, byName);
		expect(await db.service.register(Later)).toEqual({
			applied: ["entity:laters"],
		});
		expect(await db.service.register(Later)).toEqual({ applied: [] });
		await insert("laters", "found later");
		expect(
			await db.service.lookupEntity({
				entityKey: "found-later",
				tenantId: "t",
			}),
		).toMatchObject({ entityType: "laters" });
		const Other = defineEntity(
			"laters",
			{ title: text },
			{ entityKeyField: null },
		);
		expect(await codeOf(db.service.register(Other))).toBe("VALIDATION");
	});

	test("names the statement of a step that fails in its midst, and applies nothing of it", async () => {
		const before = defineEntity("midst_before", { name: text }, byName);
		const failing = defineEntity("midst_fails", { name: text }, byName);
		await db.service.execute(
			"CREATE FUNCTION fn_midst_fails_kv_store_upsert() RETURNS INTEGER LANGUAGE sql RETURN 1",
		);
		const error = await errorOf(migrateTo(before, failing));
		expect(error).toMatchObject({
			code: "MIGRATION_FAILED",
			// Not 25P02, with which those behind it are refused.
			sqlState: "42P13",
			message: expect.stringContaining("entity:midst_fails: cannot change"),
		});
		const { rows } = await db.service.execute(
			"SELECT to_regclass('midst_before') AS before, to_regclass('midst_fails') AS failing, (SELECT count(*)::int FROM rem_migrations WHERE name LIKE 'entity:midst%') AS noted",
		);
		expect(rows).toEqual([{ before: null, failing: null, noted: 0 }]);
		await db.service.execute("DROP FUNCTION fn_midst_fails_kv_store_upsert()");
		expect((await migrateTo(before, failing)).applied).toEqual([
			"entity:midst_before",
			"entity:midst_fails",
		]);
	});

	test.each([
		["its vectors, beside what it left behind", "dropped_vectors", true],
		["names alone, as if it had never been there", "dropped_names", false],
	])("makes a dropped table again, with %s", async (_, table, embed) => {
		const dropped = defineEntity(
			table,
			{ name: text, content: text.meta({ embed }) },
			byName,
		);
		await migrateTo(dropped);
		const add = (name: string) =>
			db.service.execute(
				`INSERT INTO ${table} (tenant_id, name, content) VALUES ('t', '${name}', 'A word')`,
			);
		await add("First");
		// It fires no trigger.
		await db.service.execute(`DROP TABLE ${table} CASCADE`);
		expect((await migrateTo(dropped)).applied).toEqual([`entity:${table}`]);
		await add("Second");
		const { rows } = await db.service.execute(
			`SELECT entity_key FROM kv_store WHERE entity_type = '${table}'`,
		);
		expect(rows).toEqual([{ entity_key: "Second" }]);
		expect((await migrateTo(dropped)).applied).toEqual([]);
	});

	test("throws every problem of a model before anything is done", async () => {
		const Bad = defineEntity(
			"bads",
			{ id: text, map: z.map(text, text) },
			{ entityKeyField: null },
		);
		const error = await errorOf(db.service.register(Bad));
		expect(error.code).toBe("VALIDATION");
		expect(error.issues).toHaveLength(2);
	});
});

describe("a changed model", () => {
	const before = { name: text, year: z.int().optional() };

	async function given(table: string, ...names: string[]): Promise<void> {
		await migrateTo(defineEntity(table, before, byName));
		for (const name of names) await insert(table, name);
	}

	test("with an optional field gets its column, and rows stay", async () => {
		await given("with_optional", "a");
		const shape = { ...before, extra: z.array(text).optional() };
		const model = defineEntity("with_optional", shape, byName);
		expect(await migrateTo(model)).toEqual({
			applied: ["entity:with_optional"],
		});
		expect(await columnsOf("with_optional")).toContain("extra ARRAY YES");
		const { rows } = await db.service.execute(
			"SELECT name, extra FROM with_optional",
		);
		expect(rows).toEqual([{ name: "a", extra: null }]);
		expect(await migrateTo(model)).toEqual({ applied: [] });
	});

	test("with a field that has a default gets it for stored rows", async () => {
		await given("with_default", "a");
		const shape = {
			...before,
			state: z.enum(["new", "it's"]).default("it's"),
			labels: z.array(text).default(["x"]),
			flag: z.boolean().default(true),
			size: z.bigint().default(-5n),
		};
		await migrateTo(defineEntity("with_default", shape, byName));
		const { rows } = await db.service.execute(
			"SELECT state, labels, flag, size FROM with_default",
		);
		expect(rows).toEqual([
			{ state: "it's", labels: ["x"], flag: true, size: -5 },
		]);
	});

	test("with a required field gets it while the table is empty", async () => {
		await given("with_required");
		await migrateTo(
			defineEntity("with_required", { ...before, title: text }, byName),
		);
		expect(await columnsOf("with_required")).toContain("title text NO");
	});

	test("with a required field on rows is SCHEMA_DRIFT, and nothing is changed", async () => {
		await given("with_rows", "a");
		const columns = await columnsOf("with_rows");
		const error = await errorOf(
			migrateTo(
				defineEntity(
					"with_rows",
					{ ...before, fine: text.optional(), title: text },
					byName,
				),
				defineEntity("never_made", { name: text }, byName),
			),
		);
		expect(error.code).toBe("SCHEMA_DRIFT");
		expect(error.message).toContain('"title"');
		expect(error.hint).toContain("rem schema diff");
		expect(await columnsOf("with_rows")).toEqual(columns);
		expect(await columnsOf("never_made")).toEqual([]);
	});

	test("with other types is SCHEMA_DRIFT, naming them all, found and expected", async () => {
		await given("with_types");
		const shape = { name: z.uuid(), year: text.optional() };
		const error = await errorOf(
			migrateTo(defineEntity("with_types", shape, byName)),
		);
		expect(error.code).toBe("SCHEMA_DRIFT");
		expect(error.message).toContain('"name" is text, expected uuid');
		expect(error.message).toContain('"year" is bigint, expected text');
		expect(await columnsOf("with_types")).toContain("year bigint YES");
	});

	test("whose field becomes optional takes NULL", async () => {
		const table = "loosened";
		await migrateTo(defineEntity(table, { name: text, title: text }, byName));
		const shape = { name: text, title: text.optional() };
		await migrateTo(defineEntity(table, shape, byName));
		expect(await columnsOf(table)).toContain("title text YES");
	});

	test("whose field becomes required is SCHEMA_DRIFT", async () => {
		await given("tightened");
		const shape = { name: text, year: z.int() };
		const model = defineEntity("tightened", shape, byName);
		expect(await codeOf(migrateTo(model))).toBe("SCHEMA_DRIFT");
	});

	test("whose default comes or goes has it, or not, for new rows", async () => {
		const table = "defaults";
		const model = (rank: z.ZodType<number, number | undefined>) =>
			defineEntity(table, { name: text, rank }, byName);
		const rankOf = async () =>
			(await columnsOf(table)).find((line) => line.startsWith("rank "));
		await migrateTo(model(z.int()));
		await migrateTo(model(z.int().default(1)));
		expect(await rankOf()).toBe("rank bigint NO 1");
		await migrateTo(model(z.int()));
		expect(await rankOf()).toBe("rank bigint NO");
	});

	test("whose default changes has the new one for new rows", async () => {
		const model = (rank: number) =>
			defineEntity(
				"new_defaults",
				{ name: text, rank: z.int().default(rank) },
				byName,
			);
		await migrateTo(model(1));
		await migrateTo(model(2));
		await insert("new_defaults", "a");
		const { rows } = await db.service.execute("SELECT rank FROM new_defaults");
		expect(rows).toEqual([{ rank: 2 }]);
	});

	test("without a field leaves its column alone while inserts need not name it", async () => {
		await given("with_less", "a");
		await migrateTo(defineEntity("with_less", { name: text }, byName));
		expect(await columnsOf("with_less")).toContain("year bigint YES");
		const needed = { ...before, title: text };
		await migrateTo(defineEntity("with_needed", needed, byName));
		const without = defineEntity("with_needed", before, byName);
		expect(await codeOf(migrateTo(without))).toBe("SCHEMA_DRIFT");
	});

	test("with another key is SCHEMA_DRIFT", async () => {
		await given("rekeyed");
		const model = defineEntity("rekeyed", before, {
			entityKeyField: ["name", "year"],
		});
		expect(await codeOf(migrateTo(model))).toBe("SCHEMA_DRIFT");
	});

	test("with a key where there was none puts its rows into the cache", async () => {
		const shape = { name: text };
		await migrateTo(
			defineEntity("keyed_late", shape, { entityKeyField: null }),
		);
		await insert("keyed_late", "a late key");
		await migrateTo(defineEntity("keyed_late", shape, byName));
		const lookup = { entityKey: "A Late Key", tenantId: "t" };
		expect(await db.service.lookupEntity(lookup)).toMatchObject({
			entityType: "keyed_late",
		});
		await db.service.kv.ensureReady();
		expect(await db.service.lookupEntity(lookup)).toMatchObject({
			entityType: "keyed_late",
		});
		await insert("keyed_late", "another key");
		expect(
			await db.service.lookupEntity({ ...lookup, entityKey: "another key" }),
		).toBeDefined();
	});

	test("that lost its key is reported, or accepts rows of one name", async () => {
		await given("unkeyed", "a");
		const model = defineEntity("unkeyed", before, { entityKeyField: null });
		if ((await codeOf(migrateTo(model))) === "SCHEMA_DRIFT") return;
		await insert("unkeyed", "a");
	});

	test("without a cache any more is not found by LOOKUP", async () => {
		await given("uncached_late", "gone");
		await migrateTo(
			defineEntity("uncached_late", before, {
				...byName,
				createKvTrigger: false,
			}),
		);
		await insert("uncached_late", "after");
		const hits = await db.service.lookupEntities({
			entityKeys: ["gone", "after"],
			tenantId: "t",
		});
		expect(hits).toEqual([]);
	});

	test("with tenants where there were none, on an empty table", async () => {
		const model = (tenantScoped: boolean) =>
			defineEntity(
				"scoped_late",
				{ title: text },
				{ entityKeyField: null, tenantScoped },
			);
		await migrateTo(model(false));
		await migrateTo(model(true));
		expect(await migrateTo(model(true))).toEqual({ applied: [] });
	});

	test("without tenants where there were some is SCHEMA_DRIFT", async () => {
		await given("unscoped", "a");
		const model = defineEntity("unscoped", before, {
			...byName,
			tenantScoped: false,
		});
		expect(await codeOf(migrateTo(model))).toBe("SCHEMA_DRIFT");
	});

	test("with new indexes on a table with rows gets them", async () => {
		await given("indexed_late", "a", "b");
		await migrateTo(
			defineEntity("indexed_late", before, {
				...byName,
				indexes: [["year"]],
				unique: [["name", "year"]],
			}),
		);
		const { rows } = await db.service.execute<{ name: string }>(
			"SELECT i.relname AS name FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE indrelid = 'indexed_late'::regclass AND indisvalid",
		);
		const names = rows.map(({ name }) => name);
		expect(names).toContain("idx_indexed_late__year");
		expect(names).toContain("uq_indexed_late__name__year");
	});

	test("whose new unique index rows violate is INDEX_FAILED, and may be repaired", async () => {
		await given("contradicted", "a", "b");
		const model = defineEntity("contradicted", before, {
			...byName,
			unique: [["tags"]],
		});
		expect(await codeOf(migrateTo(model))).toBe("INDEX_FAILED");
		await db.service.execute("DELETE FROM contradicted WHERE name = 'b'");
		await migrateTo(model);
	});

	test("whose index failed is built by the next migration", async () => {
		await given("mended", "a", "b");
		const model = defineEntity("mended", before, {
			...byName,
			unique: [["tags"]],
		});
		await migrateTo(model).catch(() => {});
		await db.service.execute("DELETE FROM mended WHERE name = 'b'");
		await migrateTo(model);
		const { rows } = await db.service.execute(
			"SELECT FROM pg_class WHERE relname = 'uq_mended__tags'",
		);
		expect(rows).toHaveLength(1);
	});
});

describe("a table that remdb did not make", () => {
	test("is TABLE_CONFLICT, and left as it is", async () => {
		await db.service.execute("CREATE TABLE foreigners (name TEXT)");
		const model = defineEntity("foreigners", { name: text }, byName);
		const error = await errorOf(migrateTo(model));
		expect(error.code).toBe("TABLE_CONFLICT");
		expect(error.message).toContain('"foreigners"');
		expect(await columnsOf("foreigners")).toEqual(["name text YES"]);
	});

	test("is TABLE_CONFLICT where the vectors should go, and as a view", async () => {
		await db.service.execute("CREATE TABLE embeddings_natives (a INT)");
		const model = defineEntity(
			"natives",
			{ content: text },
			{ entityKeyField: null },
		);
		expect(await codeOf(migrateTo(model))).toBe("TABLE_CONFLICT");
		await db.service.execute("CREATE VIEW views AS SELECT 1 AS name");
		const view = defineEntity("views", { name: text }, byName);
		expect(await codeOf(migrateTo(view))).toBe("TABLE_CONFLICT");
	});

	test.each(["kv_store", "rem_migrations"])(
		"is TABLE_CONFLICT in the place of %s",
		async (name) => {
			const database = await createDatabase();
			onTestFinished(() => database.drop());
			const service = await PostgresService.connect({
				connectionString: database.url,
				models: [],
			});
			onTestFinished(() => service.close());
			await service.execute(`CREATE TABLE ${name} (key TEXT, value TEXT)`);
			expect(await codeOf(service.migrate())).toBe("TABLE_CONFLICT");
		},
	);
});

describe("a schema of its own", () => {
	// Two services need a server.
	test.skipIf(engine === "embedded")(
		"contains everything, and two of them have their own rows",
		async () => {
			const database = await createDatabase();
			onTestFinished(() => database.drop());
			const model = defineEntity(
				"things",
				{ name: text, content: text },
				byName,
			);
			const services = await Promise.all(
				["rem_one", "two"].map((schema) =>
					PostgresService.connect({
						connectionString: database.url,
						models: [model],
						schema,
						embedding: { provider: "local", dimensions: 8 },
					}),
				),
			);
			onTestFinished(async () => {
				for (const service of services) await service.close();
			});
			for (const service of services) await service.migrate();
			for (const [index, service] of services.entries()) {
				const name = `thing ${index}`;
				await service.batchUpsert({
					tableName: "things",
					entities: [{ name, content: name }],
				});
				const keys = ["thing 0", "thing 1"];
				const found = await service.lookupEntities({ entityKeys: keys });
				expect(found.map(({ entityKey }) => entityKey)).toEqual([name]);
				const hits = await service.vectorSearch({
					tableName: "things",
					queryText: "thing",
				});
				expect(hits.map((hit) => hit.name)).toEqual([name]);
				await service.execute("TRUNCATE two.kv_state, rem_one.kv_state");
				const again = await service.fuzzySearch({ query: "thing" });
				expect(again.map(({ entityKey }) => entityKey)).toEqual([name]);
				expect(await service.migrate()).toEqual({ applied: [] });
				const { rows } = await service.execute(
					"SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
				);
				expect(rows).toEqual([]);
			}
		},
	);

	test("works on either engine", async () => {
		const database = await createDatabase();
		onTestFinished(() => database.drop());
		const service = await PostgresService.connect({
			connectionString: database.url,
			models: [defineEntity("things", { name: text, content: text }, byName)],
			schema: "order",
			embedding: { provider: "local", dimensions: 8 },
		});
		onTestFinished(() => service.close());
		await service.migrate();
		await service.batchUpsert({
			tableName: "things",
			entities: [{ name: "a", content: "b" }],
		});
		expect(await service.lookupEntity({ entityKey: "A" })).toBeDefined();
		expect(await service.fuzzySearch({ query: "a" })).toHaveLength(1);
		expect(
			await service.vectorSearch({ tableName: "things", queryText: "b" }),
		).toHaveLength(1);
	});
});
