import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import {
	coreEntities,
	defineEntity,
	type Entity,
	PostgresService,
	registerType,
} from "../../src/index.ts";
import { codeOf, createDatabase, useService } from "../support/engine.ts";

const text = z.string();

const Page = defineEntity(
	"pages",
	{
		name: text,
		content: text.optional(),
		year: z.int().default(1990),
		state: z.enum(["a", "it's"]).default("it's"),
		labels: z.array(text).default(['a"b', "c\\d"]),
		data: z.record(text, z.unknown()).default({ "it's": "\\" }),
	},
	{ entityKeyField: "name", indexes: [["year"]], unique: [["state", "year"]] },
);

const Chunk = defineEntity(
	"chunks",
	{ uri: text, ordinal: z.int().optional(), content: text },
	{ entityKeyField: ["uri", "ordinal"] },
);

const Log = defineEntity("logs", { content: text }, { entityKeyField: null });

const Shared = defineEntity(
	"shared_things",
	{ name: text, content: text },
	{ entityKeyField: "name", tenantScoped: false },
);

const Uncached = defineEntity(
	"uncached",
	{ name: text, content: text },
	{ entityKeyField: "name", createKvTrigger: false },
);

const Plain = defineEntity(
	"plain",
	{ name: text, content: text },
	{ entityKeyField: "name", createEmbeddings: false },
);

const longName = `a${"_long_table_name".repeat(4)}`.slice(0, 63);

const Long = defineEntity(
	longName,
	{
		name: text,
		["l".repeat(63)]: text.optional().meta({ embed: true }),
		[`${"l".repeat(62)}m`]: text.optional().meta({ embed: true }),
	},
	{
		entityKeyField: "name",
		indexes: [["l".repeat(63)], [`${"l".repeat(62)}m`]],
	},
);

// Words of SQL, aliases of our statements, variables of our triggers.
const oddNames = [
	"order",
	"user",
	"select",
	"group",
	"primary",
	"column",
	"table",
	"default",
	"ids",
	"gone",
	"ord",
	"supplied",
	"k",
	"t",
	"i",
	"r",
	"e",
	"h",
	"s",
	"m",
	"q",
	"w",
	"old",
	"new",
	"excluded",
	"input",
	"value",
	"key",
	"v0",
	"changed0",
	"entityKey",
	"normalizedKey",
	"entityType",
	"entityId",
	"vectorHashes",
	"isDeleted",
	"distance",
	"similar",
	"changed",
	"live",
	"newRows",
	"oldRows",
	"fn",
] as const;

const Odd = defineEntity(
	"select",
	Object.fromEntries(
		oddNames.map((name) => [
			name,
			text.optional().meta({ embed: name === "order" }),
		]),
	) as Record<(typeof oddNames)[number], z.ZodOptional<z.ZodString>>,
	{ entityKeyField: "order", indexes: [["user", "group"]] },
);

const models = [Page, Chunk, Log, Shared, Uncached, Plain, Long, Odd] as const;

const db = useService({
	models,
	embedding: { provider: "local", dimensions: 8 },
});

const keysOf = async (entityKey: string, tenantId: string) => {
	const hits = await db.service.lookupEntities({
		entityKeys: [entityKey],
		tenantId,
	});
	return hits.map((hit) => `${hit.entityType}/${hit.entityKey}`);
};

describe("the texts of registerType", () => {
	const { sql } = registerType(Page);

	test("make the table with its columns, defaults and key", () => {
		expect(sql.table).toBe(`CREATE TABLE IF NOT EXISTS "public"."pages" (
  id UUID PRIMARY KEY DEFAULT uuidv7(),
  tenant_id VARCHAR(100) NOT NULL,
  user_id VARCHAR(100),
  "name" TEXT NOT NULL,
  "content" TEXT,
  "year" BIGINT NOT NULL DEFAULT 1990,
  "state" TEXT NOT NULL DEFAULT 'it''s',
  "labels" TEXT[] NOT NULL DEFAULT ARRAY['a"b', E'c\\\\d']::text[],
  "data" JSONB NOT NULL DEFAULT E'{"it''s":"\\\\\\\\"}',
  graph_edges JSONB NOT NULL DEFAULT '[]',
  metadata JSONB NOT NULL DEFAULT '{}',
  tags TEXT[] NOT NULL DEFAULT '{}',
  created_at TIMESTAMPTZ(3) NOT NULL DEFAULT now(),
  updated_at TIMESTAMPTZ(3) NOT NULL DEFAULT now(),
  deleted_at TIMESTAMPTZ(3),
  CONSTRAINT "pages_key_length" CHECK (char_length("name") <= 255)
) WITH (
  -- Statistics are to know a new tenant soon.
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_analyze_scale_factor = 0.02
);
COMMENT ON TABLE "public"."pages" IS 'remdb: entity';
CREATE UNIQUE INDEX IF NOT EXISTS "uq_pages" ON "public"."pages"
  ("tenant_id", "user_id", "name") NULLS NOT DISTINCT
  WHERE "deleted_at" IS NULL;
`);
	});

	test("make the table of vectors, of any length", () => {
		expect(sql.embeddings).toContain(
			'entity_id UUID NOT NULL REFERENCES "public"."pages" (id) ON DELETE CASCADE',
		);
		expect(sql.embeddings).toContain("embedding vector NOT NULL");
		expect(sql.embeddings).toContain(
			"UNIQUE (entity_id, field_name, provider, model, dimensions, chunk)",
		);
		expect(sql.embeddings).toContain("toast_tuple_target = 8160");
	});

	test("make statement triggers for every event, that nothing switches off", () => {
		for (const event of ["INSERT", "UPDATE", "DELETE", "TRUNCATE"]) {
			const name = `"trg_pages_kv_store_${event.toLowerCase()}"`;
			expect(sql.kvTrigger).toContain(
				`CREATE OR REPLACE TRIGGER ${name} AFTER ${event} ON "public"."pages"`,
			);
			expect(sql.kvTrigger).toContain(`ENABLE ALWAYS TRIGGER ${name}`);
		}
		expect(sql.kvTrigger.match(/FOR EACH STATEMENT/g)).toHaveLength(4);
		expect(sql.kvTrigger).toContain(
			'SET search_path = pg_catalog, "public", pg_temp',
		);
	});

	test("make a row trigger for what a subscription applies, asleep everywhere else", () => {
		expect(sql.kvTrigger).toContain(
			`CREATE OR REPLACE TRIGGER "trg_pages_kv_store_replica" AFTER INSERT OR UPDATE OR DELETE ON "public"."pages"
  FOR EACH ROW EXECUTE FUNCTION`,
		);
		expect(sql.kvTrigger).toContain(
			'ENABLE REPLICA TRIGGER "trg_pages_kv_store_replica"',
		);
	});

	test("put the tenant first in every index", () => {
		expect(
			sql.indexes,
		).toBe(`CREATE INDEX IF NOT EXISTS "idx_pages__created_at" ON "public"."pages" ("tenant_id", "created_at", "id");
CREATE INDEX IF NOT EXISTS "idx_pages__updated_at" ON "public"."pages" ("tenant_id", "updated_at", "id");
CREATE INDEX IF NOT EXISTS "idx_pages__id" ON "public"."pages" ("tenant_id", "id");
CREATE INDEX IF NOT EXISTS "idx_pages__name" ON "public"."pages" ("tenant_id", "name", "id");
CREATE INDEX IF NOT EXISTS "idx_pages__year" ON "public"."pages" ("tenant_id", "year", "id");
CREATE INDEX IF NOT EXISTS "idx_pages__deleted_at" ON "public"."pages" ("tenant_id", "deleted_at", "id") WHERE deleted_at IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS "uq_pages__state__year" ON "public"."pages" ("tenant_id", "state", "year") WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS "norm_pages__key" ON "public"."pages" ("tenant_id", ("public"."rem_normalize_key"("name"))) WHERE "deleted_at" IS NULL;
`);
	});

	test("make an HNSW index for each field, of half floats above 2,000 dimensions", () => {
		expect(sql.backgroundIndexes).toContain(
			`USING hnsw ((embedding::vector(1536)) vector_cosine_ops)
  WITH (m = 16, ef_construction = 64)
  WHERE field_name = 'content' AND provider = 'openai'
    AND model = 'text-embedding-3-small' AND dimensions = 1536;`,
		);
		const large = registerType(Page, {
			embedding: { provider: "it's", model: "m", dimensions: 3072 },
			hnsw: { m: 8, efConstruction: 32 },
		});
		expect(large.sql.backgroundIndexes).toContain(
			"((embedding::halfvec(3072)) halfvec_cosine_ops)\n  WITH (m = 8, ef_construction = 32)",
		);
		expect(large.sql.backgroundIndexes).toContain("provider = 'it''s'");
	});

	test("are empty where nothing is to be made", () => {
		expect(registerType(Log).sql.kvTrigger).toBe("");
		expect(registerType(Uncached).sql.kvTrigger).toBe("");
		expect(registerType(Plain).sql.embeddings).toBe("");
		expect(registerType(Plain).sql.backgroundIndexes).not.toContain("hnsw");
		expect(registerType(Log).sql.table).not.toContain("UNIQUE INDEX");
	});

	test("leave the tenant out of an entity without", () => {
		const { table, indexes } = registerType(Shared).sql;
		expect(table).not.toContain("tenant_id");
		expect(indexes).not.toContain("tenant_id");
	});

	test("name their schema", () => {
		const { sql } = registerType(Page, { schema: 'we"ird' });
		const all = Object.values(sql).join("");
		expect(all).not.toContain('"public"');
		expect(all).toContain('"we""ird"."pages"');
	});

	test("have names of at most 63 bytes", () => {
		const all = Object.values(registerType(Long).sql).join("");
		const names = [...all.matchAll(/"([^"]+)"/g)].map(([, name]) => name ?? "");
		expect(names.length).toBeGreaterThan(20);
		for (const name of names) expect(name.length).toBeLessThanOrEqual(63);
	});

	test.each(models.map((entity) => [entity.tableName, entity as Entity]))(
		"of %s run, and run again",
		async (_, entity) => {
			const { backgroundIndexes, ...rest } = registerType(entity, {
				embedding: { provider: "local", model: "lexical-v1", dimensions: 8 },
			}).sql;
			for (let time = 1; time <= 2; time++) {
				for (const part of Object.values(rest)) await db.service.execute(part);
				for (const statement of statementsOf(backgroundIndexes))
					await db.service.execute(statement);
			}
		},
	);
});

describe("an entity", () => {
	test("with a composite key is found as uri#ordinal", async () => {
		await db.service.batchUpsert({
			tableName: "chunks",
			entities: [
				{ uri: "file.md", ordinal: 1, content: "one" },
				{ uri: "file.md", ordinal: 12, content: "twelve" },
				{ uri: "file.md", content: "none" },
			],
			tenantId: "composite",
		});
		expect(await keysOf("file.md#12", "composite")).toEqual([
			"chunks/file.md#12",
		]);
		expect(await keysOf("file.md", "composite")).toEqual([]);
		const again = await db.service.batchUpsert({
			tableName: "chunks",
			entities: [{ uri: "file.md", ordinal: 12, content: "dozen" }],
			tenantId: "composite",
		});
		expect(again).toMatchObject({ inserted: 0, updated: 1, kvEntries: 1 });
	});

	test("without a key is inserted as a new row each time, and searched only", async () => {
		const upsert = () =>
			db.service.batchUpsert({
				tableName: "logs",
				entities: [{ content: "same" }, { content: "same" }],
				tenantId: "keyless",
			});
		expect(await upsert()).toMatchObject({
			inserted: 2,
			duplicates: 0,
			embeddingsGenerated: 2,
			kvEntries: 0,
		});
		expect(await upsert()).toMatchObject({ inserted: 2 });
		const hits = await db.service.vectorSearch({
			tableName: "logs",
			queryText: "same",
			tenantId: "keyless",
		});
		expect(hits).toHaveLength(4);
	});

	test("without tenants is read by every tenant", async () => {
		await db.service.batchUpsert({
			tableName: "shared_things",
			entities: [{ name: "common ground", content: "for all" }],
			tenantId: "whoever",
		});
		for (const tenantId of ["one", "two"]) {
			expect(await keysOf("common-ground", tenantId)).toEqual([
				"shared_things/common ground",
			]);
			const fuzzy = await db.service.fuzzySearch({
				query: "comon ground",
				tenantId,
			});
			expect(fuzzy.map(({ entityKey }) => entityKey)).toEqual([
				"common ground",
			]);
			const hits = await db.service.vectorSearch({
				tableName: "shared_things",
				queryText: "for all",
				tenantId,
			});
			expect(hits.map(({ name }) => name)).toEqual(["common ground"]);
		}
	});

	test("without a cache is searched, not looked up", async () => {
		const result = await db.service.batchUpsert({
			tableName: "uncached",
			entities: [{ name: "hidden name", content: "text" }],
			tenantId: "uncached",
		});
		expect(result).toMatchObject({ inserted: 1, kvEntries: 0 });
		expect(await keysOf("hidden name", "uncached")).toEqual([]);
		const hits = await db.service.vectorSearch({
			tableName: "uncached",
			queryText: "text",
			tenantId: "uncached",
		});
		expect(hits).toHaveLength(1);
	});

	test("without vectors is looked up, not searched", async () => {
		const result = await db.service.batchUpsert({
			tableName: "plain",
			entities: [{ name: "plain name", content: "text" }],
			tenantId: "plain",
		});
		expect(result).toMatchObject({ embeddingsGenerated: 0, kvEntries: 1 });
		expect(await keysOf("plain name", "plain")).toEqual(["plain/plain name"]);
		const code = await codeOf(
			db.service.vectorSearch({ tableName: "plain", queryText: "text" }),
		);
		expect(code).toBe("FIELD_NOT_EMBEDDED");
	});

	test("whose names have 63 characters works as any other", async () => {
		const { embedFields } = Long;
		const [one, other] = embedFields.map(({ name }) => name);
		const result = await db.service.batchUpsert({
			tableName: longName,
			entities: [
				{
					name: "long one",
					[one as string]: "alpha",
					[other as string]: "beta",
				},
			],
			tenantId: "long",
		} as never);
		expect(result).toMatchObject({ inserted: 1, embeddingsGenerated: 2 });
		expect(await keysOf("long one", "long")).toEqual([`${longName}/long one`]);
		const hits = await db.service.vectorSearch({
			tableName: longName,
			queryText: "beta",
			tenantId: "long",
		} as never);
		expect(hits).toMatchObject([{ matchedField: other }]);
	});

	test("whose fields are words of SQL and of our statements works as any other", async () => {
		const row = Object.fromEntries(
			oddNames.map((name) => [name, `the ${name}`]),
		);
		const upsert = (entity: object) =>
			db.service.batchUpsert({
				tableName: "select",
				entities: [entity, { order: "other", i: "x" }],
				tenantId: "odd",
			});
		expect(await upsert(row)).toMatchObject({ inserted: 2, kvEntries: 2 });
		expect(await upsert(row)).toMatchObject({ updated: 2, unchanged: 2 });
		expect(await upsert({ ...row, k: null, user: "new" })).toMatchObject({
			updated: 2,
			unchanged: 1,
		});
		expect(await keysOf("the order", "odd")).toEqual(["select/the order"]);
		const hits = await db.service.vectorSearch({
			tableName: "select",
			queryText: "the order",
			tenantId: "odd",
			where: {
				old: "the old",
				new: { ne: "x" },
				k: null,
				excluded: { isNull: false },
			},
		});
		expect(hits).toMatchObject([{ ...row, k: null, user: "new" }]);
		await db.service.execute("DELETE FROM \"select\" WHERE tenant_id = 'odd'");
		expect(await keysOf("the order", "odd")).toEqual([]);
	});
});

describe("a unique constraint", () => {
	const upsert = (name: string, state: "a" | "it's", tenantId: string) =>
		db.service.batchUpsert({
			tableName: "pages",
			entities: [{ name, state, year: 1 }],
			tenantId,
		});

	test("applies within a tenant, among live rows", async () => {
		await upsert("one", "a", "unique");
		await upsert("two", "it's", "unique");
		await upsert("one", "a", "unique 2");
		expect(await codeOf(upsert("three", "a", "unique"))).toBe("DUPLICATE_KEY");
		await db.service.execute(
			"UPDATE pages SET deleted_at = now() WHERE name = 'one' AND tenant_id = 'unique'",
		);
		expect(await upsert("three", "a", "unique")).toMatchObject({ inserted: 1 });
	});

	test("on a field called key applies as well", async () => {
		const Keyed = defineEntity(
			"keyed",
			{ name: text, key: text },
			{ entityKeyField: "name", unique: [["key"]] },
		);
		await db.service.register(Keyed);
		const insert = (name: string) =>
			db.service.execute(
				"INSERT INTO keyed (tenant_id, name, key) VALUES ('t', $1, 'same')",
				[name],
			);
		await insert("one");
		expect(await codeOf(insert("two"))).toBe("DATABASE");
	});

	test("applies whatever the names of the tables beside it", async () => {
		const A = defineEntity(
			"ua",
			{ name: text, bC: text },
			{ entityKeyField: "name", unique: [["bC"]] },
		);
		const AB = defineEntity(
			"ua_b",
			{ name: text, c: text },
			{ entityKeyField: "name", unique: [["c"]] },
		);
		await db.service.register(A);
		await db.service.register(AB);
		const { rows } = await db.service.execute(
			"SELECT FROM pg_index WHERE indisunique AND indexrelid IN ('uq_ua__b_c'::regclass, 'uq_ua_b__c'::regclass)",
		);
		expect(rows).toHaveLength(2);
	});
});

test.each(["found", "tgOp"])(
	"a key that may be NULL may be called %s",
	async (name) => {
		const entity = defineEntity(
			`keyed_by_${name.toLowerCase()}`,
			{ [name]: text.optional() },
			{ entityKeyField: name },
		);
		await db.service.register(entity);
		await db.service.batchUpsert({
			tableName: entity.tableName,
			entities: [{ [name]: "a key" }],
			tenantId: name,
		} as never);
		expect(await keysOf("a key", name)).toHaveLength(1);
	},
);

describe("psql's files", () => {
	const file = (name: string) =>
		readFileSync(new URL(`../../sql/${name}`, import.meta.url), "utf8");
	let byPsql: PostgresService;

	beforeAll(async () => {
		const database = await createDatabase();
		byPsql = await PostgresService.connect({
			connectionString: database.url,
			embedding: { provider: "local", dimensions: 8 },
		});
		for (const name of [
			"migrations/001_setup_extensions.sql",
			"migrations/002_kv_store_cache.sql",
			"generated_schema.sql",
		])
			await byPsql.execute(file(name));
		return async () => {
			await byPsql.close();
			await database.drop();
		};
	});

	test("make a database that finds what is written into it", async () => {
		await byPsql.execute(
			"INSERT INTO resources (tenant_id, name) VALUES ('t', 'By Hand')",
		);
		expect(
			await byPsql.lookupEntity({ entityKey: "by-hand", tenantId: "t" }),
		).toMatchObject({ entityKey: "By Hand" });
		expect(await byPsql.kv.status()).toMatchObject({ ready: true });
	});

	test("make what migrate() makes", async () => {
		const database = await createDatabase();
		onTestFinished(() => database.drop());
		const service = await PostgresService.connect({
			connectionString: database.url,
		});
		await service.migrate();
		const migrated = await catalogue(service);
		await service.close();
		expect(migrated.length).toBeGreaterThan(200);
		expect(await catalogue(byPsql)).toEqual(migrated);
	});

	test("run again, and their background indexes one by one", async () => {
		await byPsql.execute(file("generated_schema.sql"));
		const statements = statementsOf(file("background_indexes.sql"));
		expect(statements.length).toBeGreaterThan(40);
		for (let time = 1; time <= 2; time++)
			for (const statement of statements) await byPsql.execute(statement);
		const { rows } = await byPsql.execute(
			"SELECT count(*) AS invalid FROM pg_index WHERE NOT indisvalid",
		);
		expect(rows).toEqual([{ invalid: 0 }]);
	});

	test("are adopted by migrate(), which then has nothing to do", async () => {
		const before = await catalogue(byPsql);
		await byPsql.migrate();
		expect(await catalogue(byPsql)).toEqual(before);
		expect(await byPsql.migrate()).toEqual({ applied: [] });
		const upsert = await byPsql.batchUpsert({
			tableName: "resources",
			entities: [{ name: "By Hand", content: "now with a text" }],
			tenantId: "t",
		});
		expect(upsert).toMatchObject({ updated: 1, embeddingsGenerated: 1 });
	});

	test("are for every built-in entity", () => {
		for (const { tableName } of coreEntities)
			expect(file("generated_schema.sql")).toContain(`"public"."${tableName}"`);
	});
});

/** Statements of a text without functions; ours end at the end of a line. */
function statementsOf(text: string): string[] {
	return text
		.replaceAll(/^--.*$/gm, "")
		.split(/;\s*\n/)
		.map((statement) => statement.trim())
		.filter((statement) => statement !== "");
}

/** Columns, constraints, indexes, triggers and functions, as text. */
async function catalogue(service: PostgresService): Promise<string[]> {
	const { rows } = await service.execute<{ line: string }>(`
SELECT format('%s.%s %s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), c.reloptions) AS line
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v')
UNION ALL SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT pg_get_triggerdef(oid) || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT pg_get_functiondef(p.oid) FROM pg_proc p
  WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
UNION ALL SELECT format('%s: %s', c.relname, obj_description(c.oid, 'pg_class')) FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
ORDER BY 1`);
	return rows.map(({ line }) => line);
}
