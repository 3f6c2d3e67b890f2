import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import {
	defineEntity,
	PostgresService,
	type RemError,
	registerType,
} from "../../src/index.ts";
import { insertCanary } from "../../src/isolation/canaries.ts";
import { tryVerbs } from "../../src/isolation/try-verbs.ts";
import { silentLogger } from "../../src/logger.ts";
import { generatedSchema } from "../../src/schema/files.ts";
import { studio } from "../../src/studio/index.ts";
import { membersOf } from "../../src/util/present.ts";
import { rowsVerbs } from "../../src/verbs/repository/verbs.ts";
import { verbs } from "../../src/verbs/verbs.ts";
import { codeOf, coreOf, engine, useService } from "../support/engine.ts";
import { login, setUpRowSecurity } from "../support/row-security.ts";
import { schemaOf, schemas } from "../support/schemas.ts";

const Note = defineEntity(
	"notes",
	{ title: z.string(), text: z.string(), rank: z.int() },
	{ entityKeyField: "title" },
);
const Country = defineEntity(
	"countries",
	{ name: z.string() },
	{ entityKeyField: "name", tenantScoped: false },
);
const models = [Note, Country] as const;

const db = useService({
	models,
	embedding: { provider: "local", dimensions: 16 },
});

const note = (title: string) => ({ title, text: `about ${title}`, rank: 1 });

test("the library alone isolates tenants, and the check confirms it", async () => {
	expect(await db.service.checkIsolation()).toEqual({
		library: [],
		database: { isSetUp: false, problems: [] },
		tables: ["notes"],
	});
	expect(await db.service.repository(Note).count()).toBe(0);
});

test("every read of the check finds the row of its own tenant", async () => {
	const tenantId = "rem-canary";
	const core = coreOf(db.service, tenantId);
	const table = core.registry.get("notes");
	const space = core.embedder.spaceIfKnown();
	await expect(
		core.db.transaction(async (transaction) => {
			const row = await insertCanary(transaction, { table, space }, tenantId);
			const scope = { tenantId, transaction };
			const reached = await tryVerbs(core, "reads", { row, scope });
			const reads = [...verbs, ...rowsVerbs].filter(
				({ probe }) => probe?.does === "finds" || probe?.does === "counts",
			);
			expect(reached.map((text) => text.split(" ")[0]).sort()).toEqual(
				reads.map(({ name }) => name).sort(),
			);
			throw new Error("rolled back");
		}),
	).rejects.toThrow("rolled back");
});

test("the check finds reads that give a user's row to another user", async () => {
	const breaches = {
		// Another program's trigger, which shares what users have.
		kv_store: ["lookupEntities", "fuzzySearch", "traverse"],
		embeddings_notes: ["vectorSearch"],
	};
	for (const [table, readers] of Object.entries(breaches)) {
		await db.service.execute(`CREATE FUNCTION share() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.user_id := NULL; RETURN NEW; END';
CREATE TRIGGER share BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION share()`);
		try {
			const { library } = await db.service.checkIsolation();
			for (const who of ["another user", "a scope of shared rows"])
				for (const reader of readers)
					expect(library.join("\n")).toContain(
						`as ${who}: ${reader} finds a row of notes of a user`,
					);
			expect(library.join("\n")).not.toContain("find finds");
		} finally {
			await db.service.execute("DROP FUNCTION share CASCADE");
		}
	}
});

test("every read of the check finds a user's row in the user's scope", async () => {
	const tenantId = "rem-canary";
	const core = coreOf(db.service, tenantId);
	const table = core.registry.get("notes");
	const space = core.embedder.spaceIfKnown();
	await expect(
		core.db.transaction(async (transaction) => {
			const place = { table, space };
			const row = await insertCanary(transaction, place, tenantId, "u");
			const scope = { tenantId, transaction };
			const reached = await tryVerbs(core, "reads", {
				row,
				scope,
				userId: "u",
			});
			const reads = [...verbs, ...rowsVerbs].filter(
				({ probe }) => probe?.does === "finds" || probe?.does === "counts",
			);
			expect(reached.map((text) => text.split(" ")[0]).sort()).toEqual(
				reads.map(({ name }) => name).sort(),
			);
			throw new Error("rolled back");
		}),
	).rejects.toThrow("rolled back");
});

test("a connection to which no policy applies is refused", async () => {
	const connecting = PostgresService.connect({
		connectionString: db.url,
		models,
		rowLevelSecurity: true,
	});
	expect(await codeOf(connecting)).toBe("CONFIG_INVALID");
});

test("the generated policies apply to every tenant's table, and to no shared one", () => {
	const { rowSecurity } = registerType(Note);
	expect(rowSecurity).toContain(
		`CREATE POLICY rem_tenant ON "public"."notes" USING (tenant_id = nullif(current_setting('rem.tenant_id', true), ''))`,
	);
	expect(rowSecurity).toContain(
		'ALTER TABLE "public"."embeddings_notes" FORCE ROW LEVEL SECURITY',
	);
	// Its texts in the queue have a policy: they are tied to rows that exist.
	expect(registerType(Country).rowSecurity).not.toMatch(
		/POLICY \S+ ON "public"."(embeddings_)?countries"/,
	);
	expect(generatedSchema(models, "a test")).not.toContain("POLICY");
});

// The embedded database has one role, and that a superuser: policies apply to no role there.
describe.runIf(engine === "server")("with row level security", () => {
	let account: Awaited<ReturnType<typeof login>>;
	let app: PostgresService<typeof models>;

	beforeAll(async () => {
		// Twice: it is run again after each new model.
		await setUpRowSecurity(db as never, models);
		account = await login(db as never, models, "rem_app");
		app = await PostgresService.connect({
			connectionString: account.url,
			models,
			embedding: { provider: "local", dimensions: 16 },
			rowLevelSecurity: true,
			poolSize: 4,
		});
		for (const tenantId of ["own", "other"])
			await app.batchUpsert({
				tableName: "notes",
				entities: [note("same"), note(`only ${tenantId}`)],
				tenantId,
			});
	});

	afterAll(async () => {
		await app?.close();
		await account?.drop();
	});

	test("every read and write works, and sees one tenant", async () => {
		const own = { tenantId: "own" };
		const notes = app.repository(Note);
		const titles = (rows: readonly { title: string }[]) =>
			rows.map(({ title }) => title).sort();
		expect(titles(await notes.find(own))).toEqual(["only own", "same"]);
		expect(await notes.count(own)).toBe(2);
		expect(
			await app.lookupEntities({ entityKeys: ["same", "only other"], ...own }),
		).toHaveLength(1);
		expect(
			await app.fuzzySearch({ query: "only", threshold: 0.1, ...own }),
		).toMatchObject([{ entityKey: "only own" }]);
		expect(
			await app.vectorSearch({
				tableName: "notes",
				queryText: "about only other",
				...own,
			}),
		).toHaveLength(2);
		const answer = await app.query("SQL notes WHERE TRUE ORDER BY title", own);
		expect(answer).toMatchObject({
			rows: [{ title: "only own" }, { title: "same" }],
		});
		const explained = await app.query("EXPLAIN LOOKUP same", own);
		expect(explained).toMatchObject({ kind: "explain", rowCount: 1 });

		const saved = await notes.upsert(note("short-lived"), own);
		expect(await notes.delete(saved.id, "other")).toBe(false);
		expect(await notes.delete(saved.id, "own")).toBe(true);
		expect(await notes.restore(saved.id, "own")).toBe(true);
		expect(await notes.purge(saved.id, "own")).toBe(true);
	});

	test("texts without their vector are queued, and taken out of the queue by the upsert that embeds them", async () => {
		const queued = async () => {
			const { rows } = await db.service.execute<{ of: string; n: number }>(
				"SELECT n.tenant_id AS of, count(*)::int AS n FROM rem_embedding_queue AS q JOIN notes AS n ON n.id = q.entity_id GROUP BY 1 ORDER BY 1",
			);
			return rows.map(({ of, n }) => `${of} ${n}`);
		};
		const upsert = (tenantId: string, generateEmbeddings: boolean) =>
			app.batchUpsert({
				tableName: "notes",
				entities: [note("first"), note("second")],
				tenantId,
				generateEmbeddings,
			});
		expect(await upsert("queued-1", false)).toMatchObject({
			embeddingsQueued: 2,
		});
		await upsert("queued-2", false);
		expect(await queued()).toEqual(["queued-1 2", "queued-2 2"]);
		expect(await upsert("queued-1", true)).toMatchObject({
			unchanged: 2,
			embeddingsGenerated: 2,
		});
		expect(await queued()).toEqual(["queued-2 2"]);
		await app.repository(Note).purge(
			(await app.repository(Note).find({ tenantId: "queued-2" })).map(
				({ id }) => id,
			),
			"queued-2",
		);
		expect(await queued()).toEqual([]);
		await app.repository(Note).purge(
			(await app.repository(Note).find({ tenantId: "queued-1" })).map(
				({ id }) => id,
			),
			"queued-1",
		);
	});

	test("every tenant reads and writes entities without tenants", async () => {
		await app.batchUpsert({
			tableName: "countries",
			entities: [{ name: "Portugal" }],
		});
		const hit = await app.lookupEntity({
			entityKey: "portugal",
			tenantId: "own",
		});
		expect(hit).toMatchObject({ entityType: "countries" });
	});

	test("a call inside a transaction of one's own sees its tenant, and leaves no trace of it", async () => {
		const seen = await app.transaction(async (transaction) => {
			const own = await app
				.repository(Note)
				.find({ tenantId: "own" }, { transaction });
			const none = await transaction.query({
				text: "SELECT FROM notes",
				values: [],
			});
			return [own.length, none.rowCount];
		});
		expect(seen).toEqual([2, 0]);
	});

	test("SQL of one's own without a tenant sees and writes nothing", async () => {
		const count = "SELECT count(*)::int AS n FROM ";
		for (const table of ["notes", "embeddings_notes", "kv_source_notes"])
			expect((await app.execute(count + table)).rows).toEqual([{ n: 0 }]);
		const cached = await app.execute("SELECT DISTINCT tenant_id FROM kv_store");
		expect(cached.rows).toEqual([{ tenant_id: "*" }]);
		const failure = await app
			.execute(
				"INSERT INTO notes (tenant_id, title, text, rank) VALUES ('own', 'x', 'y', 1)",
			)
			.catch((error: RemError) => error);
		expect(failure).toMatchObject({ sqlState: "42501" });
		for (const text of [
			"TRUNCATE notes",
			"DROP TABLE notes",
			"DELETE FROM kv_store",
		])
			expect(
				await app.execute(text).catch((error: RemError) => error.sqlState),
			).toBe("42501");
	});

	test("a pool's next borrower has no tenant left over", async () => {
		await app.repository(Note).find({ tenantId: "own" });
		const { rows } = await app.execute<{ tenant: string | null }>(
			"SELECT nullif(current_setting('rem.tenant_id', true), '') AS tenant",
		);
		expect(rows).toEqual([{ tenant: null }]);
	});

	test("the check tries the second wall and finds it whole", async () => {
		expect(await app.checkIsolation()).toEqual({
			library: [],
			database: { isSetUp: true, problems: [] },
			tables: ["notes"],
		});
	});

	test.each([
		[
			"a policy of somebody else's",
			"CREATE POLICY all_of_it ON notes USING (true)",
			"DROP POLICY all_of_it ON notes",
			/policy "all_of_it" is none of ours/,
			/SQL can read another tenant's row of notes/,
		],
		[
			"row level security switched off",
			"ALTER TABLE notes DISABLE ROW LEVEL SECURITY",
			"ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
			/notes: row level security is off/,
			/SQL can delete another tenant's row of notes/,
		],
		[
			"a right to TRUNCATE",
			"GRANT TRUNCATE ON notes TO rem_app",
			"REVOKE TRUNCATE ON notes FROM rem_app",
			/may TRUNCATE/,
			/may TRUNCATE/,
		],
		[
			"membership of the owner",
			"GRANT rem_owner TO $login",
			"REVOKE rem_owner FROM $login",
			/is a member of rem_owner/,
			/SQL can change another tenant's row of notes/,
		],
		[
			"rights on what all tenants depend on",
			"GRANT UPDATE (state) ON rem_embedding_models TO rem_app; GRANT DELETE ON rem_index_builds TO rem_app",
			"REVOKE ALL ON rem_embedding_models, rem_index_builds FROM rem_app; GRANT SELECT ON rem_embedding_models TO rem_app",
			/rem_embedding_models: this role may UPDATE what all tenants depend on/,
			/rem_index_builds: this role may DELETE/,
		],
		[
			"a trigger function that anyone may attach",
			"GRANT EXECUTE ON FUNCTION fn_notes_embeddings() TO PUBLIC",
			"REVOKE EXECUTE ON FUNCTION fn_notes_embeddings() FROM PUBLIC",
			/fn_notes_embeddings: this role may attach the function/,
			/fn_notes_embeddings/,
		],
		[
			"vectors that are not tied to their entity",
			"ALTER POLICY rem_tenant ON embeddings_notes WITH CHECK (true)",
			`ALTER POLICY rem_tenant ON embeddings_notes WITH CHECK (tenant_id = nullif(current_setting('rem.tenant_id', true), '')
			AND (SELECT e.tenant_id FROM notes AS e WHERE e.id = entity_id) = nullif(current_setting('rem.tenant_id', true), ''))`,
			/SQL can insert a vector for another tenant's row of notes/,
			/SQL can insert a vector/,
		],
		[
			"a queue of texts without policies",
			"ALTER TABLE rem_embedding_queue DISABLE ROW LEVEL SECURITY",
			"ALTER TABLE rem_embedding_queue ENABLE ROW LEVEL SECURITY",
			/rem_embedding_queue: row level security is off/,
			/SQL can delete queued texts of another tenant's row of notes/,
		],
	])("the check finds %s", async (_, breach, mend, said, tried) => {
		await db.service.execute(breach.replace("$login", account.name));
		try {
			const { library, database } = await app.checkIsolation();
			expect(library).toEqual([]);
			expect(database.problems.join("\n")).toMatch(said);
			expect(database.problems.join("\n")).toMatch(tried);
		} finally {
			await db.service.execute(mend.replace("$login", account.name));
		}
	});

	test("a large load gathers the first statistics, without a right to MAINTAIN", async () => {
		const { rows: rights } = await app.execute(
			"SELECT has_table_privilege('notes', 'MAINTAIN') OR has_table_privilege('kv_store', 'MAINTAIN') AS may",
		);
		expect(rights).toEqual(schemas.map(() => ({ may: false })));
		const schema = schemaOf("loading");
		const unanalyzed = async () => {
			const { rows } = await db.service.execute<{ name: string }>(
				`SELECT relname::text AS name FROM pg_class WHERE relnamespace = '${schema}'::regnamespace AND relname IN ('notes', 'kv_store') AND reltuples < 0 ORDER BY 1`,
			);
			return rows.map(({ name }) => name);
		};
		// As a table that has not been analysed yet.
		await db.service.execute(
			`UPDATE pg_class SET reltuples = -1 WHERE oid IN ('${schema}.notes'::regclass, '${schema}.kv_store'::regclass)`,
		);
		expect(await unanalyzed()).toEqual(["kv_store", "notes"]);
		await app.batchUpsert({
			tableName: "notes",
			entities: Array.from({ length: 6000 }, (_, n) => note(`load ${n}`)),
			tenantId: "loading",
			generateEmbeddings: false,
		});
		expect(await unanalyzed()).toEqual([]);
		await db.service.execute("DELETE FROM notes WHERE tenant_id = 'loading'");
	});

	test("tables that come later give the application no rights by themselves", async () => {
		const schema = schemaOf();
		await db.service.execute(
			`ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT ALL ON TABLES TO rem_app`,
		);
		await setUpRowSecurity(db as never, models);
		await db.service.execute(`CREATE TABLE ${schema}.later (tenant_id TEXT)`);
		expect(
			await app
				.execute(`SELECT FROM ${schema}.later`)
				.catch((error: RemError) => error.sqlState),
		).toBe("42501");
		await db.service.execute(`DROP TABLE ${schema}.later`);
	});

	test("methods on all tenants are refused, with the role that may call them", async () => {
		for (const call of [
			() => app.migrate(),
			() => app.schema.diff(),
			() => app.kv.status(),
			() => app.kv.rebuild(),
			() => app.kv.verify(),
			() => app.embeddings.status(),
			() => app.embeddings.sync(),
			() => app.embeddings.retry(),
			() => app.indexer.status(),
			() => app.indexer.repair(),
			() =>
				app.createIndexConcurrently({ tableName: "notes", indexType: "gin" }),
		])
			expect(await codeOf(call()), String(call)).toBe("CONFIG_INVALID");
	});

	test("the doctor checks what it may read, and reports what it may not", async () => {
		const { state, checks } = await app.doctor();
		expect(state).not.toBe("ok");
		expect(checks.length).toBeGreaterThan(5);
	});

	test("a read that finds the cache emptied is answered, and leaves the rebuild to the owner", async () => {
		await db.service.execute("TRUNCATE kv_state");
		const warnings: string[] = [];
		const service = await PostgresService.connect({
			connectionString: account.url,
			models,
			logger: {
				...silentLogger,
				warn: (_: unknown, text: string) => warnings.push(text),
			},
		} as never);
		try {
			for (const tenantId of ["own", "other"]) {
				const found = await service.fuzzySearch({
					query: "only",
					threshold: 0.1,
					tenantId,
				});
				expect(found).toMatchObject([{ entityKey: `only ${tenantId}` }]);
				expect(
					await service.lookupEntities({
						entityKeys: ["same", "only own"],
						tenantId,
					}),
				).toHaveLength(tenantId === "own" ? 2 : 1);
			}
			expect(warnings.join()).toMatch(/not rebuilt: .*all tenants/);
		} finally {
			await service.close();
			await db.service.kv.rebuild();
		}
	});

	test("texts that wait for their vector wait for the owner", async () => {
		const owner = await login(db as never, models, "rem_owner");
		const service = await PostgresService.connect({
			connectionString: owner.url,
			models,
			embedding: { provider: "local", dimensions: 16 },
		});
		try {
			await app.batchUpsert({
				tableName: "notes",
				entities: [note("waits")],
				tenantId: "waiting",
				generateEmbeddings: false,
			});
			const { fields } = await service.embeddings.status();
			expect(fields).toContainEqual(
				expect.objectContaining({ texts: 5, embedded: 4, queued: 1 }),
			);
			expect(await service.embeddings.sync()).toMatchObject({ embedded: 1 });
			await service.migrate();
			await service.createIndexConcurrently({
				tableName: "notes",
				indexType: "gin",
			});
			await service.execute("TRUNCATE kv_state; DELETE FROM kv_store");
			expect(await service.kv.rebuild()).toEqual({
				// A row without a tenant is in each bucket.
				entries: 5 + schemas.length,
			});
			await service.execute("DELETE FROM kv_store WHERE tenant_id = 'own'");
			expect(await service.kv.verify({ repair: true })).toMatchObject({
				differing: 2,
				repaired: 2,
			});
			expect(await service.schema.diff()).toEqual([]);
		} finally {
			await service.close();
			await owner.drop();
		}
	});

	test("a role that only reads reads one tenant, and writes nothing", async () => {
		const reader = await login(db as never, models, "rem_ro");
		const service = await PostgresService.connect({
			connectionString: reader.url,
			models,
			embedding: { provider: "local", dimensions: 16 },
		});
		try {
			const own = { tenantId: "own" };
			expect(await service.repository(Note).count(own)).toBe(2);
			expect(
				await service.fuzzySearch({ query: "only", threshold: 0.1, ...own }),
			).toHaveLength(1);
			expect(
				await service.vectorSearch({
					tableName: "notes",
					queryText: "about same",
					...own,
				}),
			).toHaveLength(2);
			expect(
				await service.query(`SQL notes WHERE metadata @> '{}'`, own),
			).toMatchObject({ rows: [{}, {}] });
			const writing = service.repository(Note).upsert(note("no"), own);
			await expect(writing).rejects.toMatchObject({ sqlState: "42501" });
		} finally {
			await service.close();
			await reader.drop();
		}
	});

	test("the studio of a role that only reads shows one tenant's rows, vectors and queue", async () => {
		const reader = await login(db as never, models, "rem_ro");
		const service = await PostgresService.connect({
			connectionString: reader.url,
			models,
			embedding: { provider: "local", dimensions: 16 },
		});
		const handler = studio(service, {
			tenantId: "own",
			authorize: () => true,
			writable: true,
		});
		const call = async (path: string, body?: object) => {
			const response = await handler(
				new Request(`http://localhost/api/${path}`, {
					...(body === undefined
						? {}
						: { method: "POST", body: JSON.stringify(body) }),
					headers: { "content-type": "application/json", "x-rem-studio": "1" },
				}),
			);
			const answer: unknown = await response.json();
			return { status: response.status, body: membersOf(answer) };
		};
		try {
			const queued = await db.service
				.repository(Note)
				.upsert(note("queued"), { tenantId: "own", generateEmbeddings: false });
			const entityId = queued.id;
			const entityType = "notes";
			const entity = { entityType, entityId };
			const listed = await call("list", { table: "notes" });
			expect(listed.body.rows).toHaveLength(3);
			const shown = await call("entity", entity);
			expect(shown.body.vectors).toMatchObject([{ state: "queued" }]);
			const asked = { query: "about same", entity: entityId, entityType };
			expect((await call("why", asked)).status).toBe(200);
			expect((await call("delete", entity)).status).toBe(500);
			const health = await call("health");
			expect(health.body).toMatchObject({
				pool: { ok: true },
				statements: { ok: true },
				embeddings: { ok: false, error: { code: "CONFIG_INVALID" } },
			});
		} finally {
			handler.close();
			await db.service.execute("DELETE FROM notes WHERE title = 'queued'");
			await service.close();
			await reader.drop();
		}
	});

	test("the functions that reach the indexes are about the transaction's tenant only", async () => {
		const client = new pg.Client({ connectionString: account.url });
		await client.connect();
		try {
			const schema = schemaOf("other");
			const found = async () => {
				const { rows } = await client.query(
					`SELECT entity_key AS key FROM ${schema}.rem_similar_entries('key', 'only own')
UNION ALL SELECT title FROM ${schema}.notes WHERE id IN (SELECT ${schema}.rem_holding_notes('metadata', '{}'))
UNION ALL SELECT id::text FROM ${schema}.rem_holding_notes('metadata', '{}') AS h (id) WHERE id NOT IN (SELECT id FROM ${schema}.notes) ORDER BY 1`,
				);
				return rows.map(({ key }) => key);
			};
			expect(await found()).toEqual([]);
			await client.query("SELECT set_config('rem.tenant_id', 'other', false)");
			expect(await found()).toEqual(["only other", "only other", "same"]);
		} finally {
			await client.end();
		}
	});

	test("the owner goes on migrating and rebuilding, and sees all rows", async () => {
		await db.service.migrate();
		expect(await db.service.kv.rebuild()).toMatchObject({
			entries: expect.any(Number),
		});
		const client = new pg.Client({ connectionString: account.url });
		await client.connect();
		await client.query("SELECT set_config('rem.tenant_id', 'other', false)");
		const { rows } = await client.query("SELECT title FROM notes ORDER BY 1");
		await client.end();
		expect(rows).toEqual([{ title: "only other" }, { title: "same" }]);
	});
});
