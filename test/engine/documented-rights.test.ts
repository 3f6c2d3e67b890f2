import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
	defineEntity,
	PostgresService,
	type RemError,
	Resource,
} from "../../src/index.ts";
import { Repository } from "../../src/service/repository.ts";
import { textOf } from "../support/deploy/manifests.ts";
import { codeOf, engine, useService } from "../support/engine.ts";
import { FakeProvider } from "../support/fake-provider.ts";
import { methodNames } from "../support/public-methods.ts";
import { rowsVerbSamples } from "../support/rows-verb-samples.ts";
import { sampleCalls } from "../support/sample-calls.ts";
import { bucketGrants, schemas } from "../support/schemas.ts";
import { verbSamples } from "../support/verb-samples.ts";

// The rights that docs/operations.md and deploy/ give an application, and every
// public verb with exactly these. The lists of verbs come from the classes: a
// new one fails here until it is tried.

const guide = readFileSync(
	fileURLToPath(new URL("../../docs/operations.md", import.meta.url)),
	"utf8",
);
const documented =
	guide.match(/```sql\n(GRANT USAGE ON SCHEMA[\s\S]*?)```/)?.[1] ?? "";
const shipped = textOf("base/grants.sql").replaceAll("rem_app", "app");

const models = [Resource] as const;
const embedding = { provider: "local", dimensions: 8 } as const;
const tableName = "resources";
const tenantId = "acme";

const db = useService({
	models,
	embedding,
	backgroundIndex: { enabled: false, minRows: 1 },
});

type Service = PostgresService<typeof models>;

/** A login with no rights but those of the text. */
async function login(name: string, grants: string): Promise<string> {
	const client = new pg.Client({ connectionString: db.url });
	await client.connect();
	try {
		await client.query(`CREATE ROLE ${name} LOGIN PASSWORD 'secret'`);
		await client.query(grants.replace(/\bapp\b/g, name));
		if (grants === documented) await client.query(bucketGrants(name));
	} finally {
		await client.end();
	}
	const url = new URL(db.url);
	url.username = name;
	url.password = "secret";
	return url.href;
}

async function drop(name: string): Promise<void> {
	await db.service.execute(`DROP OWNED BY ${name}; DROP ROLE ${name}`);
}

const roleName = (purpose: string) =>
	`rem_test_${purpose}_${process.pid}_${Math.random().toString(36).slice(2, 8)}`;

/** What cannot be done without owning the tables, and the code that says so. */
const ownersOnly: Readonly<Record<string, string>> = {
	"service.register": "MIGRATION_FAILED",
	"service.createIndexConcurrently": "INDEX_FAILED",
	"indexer.build": "INDEX_FAILED",
	"indexer.drain": "INDEX_FAILED",
};

/** Public to the library's own parts only. */
const internal = [
	"embeddings.adopt",
	"embeddings.checkProvider",
	"embeddings.checkSwitch",
	"embeddings.openFor",
	"embeddings.warnOfMismatch",
	"embeddings.wake",
	"embeddings.whyNot",
	"indexer.bulkLoad",
	"indexer.checkAfter",
	"indexer.dropCacheIndexes",
	"indexer.noteRows",
	"indexer.workOff",
	"kv.catchUp",
	"kv.noticeEmptied",
	"kv.rebuildInBackground",
	"kv.settle",
	"kv.sources",
];

const Extra = defineEntity("extras", {}, { entityKeyField: null });
const gin = { tableName, indexType: "gin" } as const;
const sampleRows = { tableName, tenantId, id: randomUUID() };

const named = <Call>(group: string, calls: Readonly<Record<string, Call>>) =>
	Object.fromEntries(
		Object.entries(calls).map(([name, call]) => [`${group}.${name}`, call]),
	);

/** Every verb, in an order in which each finds something to do. */
function calls(app: Service): Readonly<Record<string, () => unknown>> {
	const rows = app.repository(Resource);
	return {
		...named(
			"service",
			sampleCalls(() => app, verbSamples(sampleRows)),
		),
		"service.batchUpsert": () =>
			app.batchUpsert({
				tableName,
				entities: [
					{ id: sampleRows.id, name: "one", content: "the first text" },
					{ name: "two", content: "more text" },
				],
				tenantId,
				bulk: true,
			}),
		"service.doctor": () => app.doctor(),
		"service.checkIsolation": () => app.checkIsolation(),
		"service.forget": () => app.forget({ tenantId: "a tenant to forget" }),
		"service.execute": () => app.execute("SELECT FROM resources"),
		"service.transaction": () =>
			app.transaction((tx) =>
				tx.query({ text: "SELECT FROM resources", values: [] }),
			),
		"service.scope": () =>
			app.scope({ tenantId }).lookupEntity({ entityKey: "one" }),
		"service.repository": () => app.repository(Resource).count({ tenantId }),
		// Nothing is to be done: that takes no ownership.
		"service.migrate": () => app.migrate(),
		"service.register": () => app.register(Extra as never),
		"service.createIndexConcurrently": () => app.createIndexConcurrently(gin),
		...named(
			"repository",
			sampleCalls(() => rows, rowsVerbSamples(sampleRows)),
		),
		"repository.getBySession": () =>
			// Resources have no session: refused before the database is asked.
			codeOf(rows.getBySession({ sessionId: "s", tenantId } as never)),
		"embeddings.registerProvider": () =>
			app.embeddings.registerProvider(new FakeProvider("other", "other")),
		"embeddings.generateBatch": () => app.embeddings.generateBatch(["text"]),
		"embeddings.status": () => app.embeddings.status(),
		"embeddings.estimate": () => app.embeddings.estimate(),
		"embeddings.plannedModels": () => app.embeddings.plannedModels(),
		"embeddings.sync": async () => {
			await app.embeddings.sync();
			await app.embeddings.sync({
				model: { model: "other", provider: "other" },
			});
		},
		"embeddings.retry": () => app.embeddings.retry(),
		"embeddings.start": () => app.embeddings.start(),
		"embeddings.stop": () => app.embeddings.stop(),
		"embeddings.switch": async () => {
			await app.embeddings.switch({ model: "other", provider: "other" });
			await app.embeddings.sync({
				model: { model: "lexical-v1", ...embedding },
			});
			await app.embeddings.switch({ model: "lexical-v1", ...embedding });
		},
		"embeddings.prune": () =>
			app.embeddings.prune({ model: "other", provider: "other" }),
		"kv.status": () => app.kv.status(),
		"kv.verify": async () => {
			await db.service.execute("UPDATE kv_store SET content_summary = 'wrong'");
			const { repaired } = await app.kv.verify({ repair: true });
			expect(repaired).toBeGreaterThan(0);
		},
		"kv.vacuum": () => app.kv.vacuum(),
		"kv.rebuild": async () => {
			await db.service.execute("TRUNCATE kv_store");
			const { entries } = await app.kv.rebuild();
			expect(entries).toBeGreaterThan(0);
		},
		"kv.ensureReady": async () => {
			await db.service.execute("TRUNCATE kv_store");
			await app.kv.ensureReady();
		},
		"indexer.queueIndex": () => app.indexer.queueIndex(gin),
		"indexer.status": () => app.indexer.status(),
		"indexer.repair": () => app.indexer.repair({ missing: true }),
		"indexer.check": () => app.indexer.check(),
		"indexer.build": () => app.indexer.build(gin),
		"indexer.drain": () => app.indexer.drain(),
		"indexer.run": async () => {
			const running = app.indexer.run();
			await app.indexer.stop();
			await running;
		},
		"indexer.stop": () => app.indexer.stop(),
		"schema.diff": () => app.schema.diff(),
		"schema.plan": () => app.schema.plan(),
		"schema.status": () => app.schema.status(),
		"schema.repair": () =>
			// Without files there is nothing to repair.
			codeOf(app.schema.repair({ migrations: "nowhere", names: [] })),
		"schema.migrate": () => app.schema.migrate({}),
		"schema.isUpToDate": () => app.schema.isUpToDate({}),
		"service.close": () => app.close(),
	};
}

function verbsOf(app: Service): string[] {
	const classes = {
		service: PostgresService.prototype,
		repository: Repository.prototype,
		embeddings: Object.getPrototypeOf(app.embeddings),
		kv: Object.getPrototypeOf(app.kv),
		indexer: Object.getPrototypeOf(app.indexer),
		schema: Object.getPrototypeOf(app.schema),
	};
	return Object.entries(classes)
		.flatMap(([name, prototype]) =>
			methodNames(prototype).map((key) => `${name}.${key}`),
		)
		.filter((verb) => !internal.includes(verb))
		.sort();
}

// The embedded database has one role, and that a superuser.
describe.runIf(engine === "server")("an application's role", () => {
	test.each([
		["docs/operations.md", documented],
		["deploy/cloudnativepg/base/grants.sql", shipped],
	])("runs every verb with the rights of %s", async (_, grants) => {
		expect(grants).toContain("GRANT");
		const name = roleName("app");
		const url = await login(name, grants);
		const warnings: string[] = [];
		const note = (_: unknown, text: string) => warnings.push(text);
		const app = (await PostgresService.connect({
			connectionString: url,
			models,
			embedding,
			backgroundIndex: { enabled: false },
			logger: { debug() {}, info() {}, warn: note, error: note },
		})) as Service;
		const all = calls(app);
		expect(Object.keys(all).sort()).toEqual(verbsOf(app));
		try {
			for (const [verb, call] of Object.entries(all)) {
				const outcome = await (async () => call())().then(
					() => "works",
					(error: RemError) => [error.code, error.sqlState],
				);
				const expected = ownersOnly[verb];
				expect([verb, outcome]).toEqual([
					verb,
					expected === undefined ? "works" : [expected, "42501"],
				]);
			}
			// Closed last: nothing failed behind the calls either.
			expect(warnings.filter((text) => /permission|denied/.test(text))).toEqual(
				[],
			);
		} finally {
			await app.close();
			await drop(name);
			await db.service.execute(
				"DELETE FROM resources; DELETE FROM rem_index_builds",
			);
		}
	});

	describe("that owns nothing", () => {
		const name = roleName("app");
		let app: Service;

		beforeAll(async () => {
			const url = await login(name, documented);
			app = await PostgresService.connect({
				connectionString: url,
				models,
				embedding,
				backgroundIndex: { enabled: true, minRows: 1 },
			});
		});
		afterAll(async () => {
			await app?.close();
			await drop(name);
		});

		const status = async (service: Service) =>
			(await service.indexer.status()).indexes.filter(
				({ indexType, tableName: table }) =>
					indexType === "gin" && table === tableName,
			);

		test("leaves index builds to the owner's worker, and the status names it", async () => {
			const building = app.createIndexConcurrently(gin);
			const error = await building.then(
				() => undefined,
				(error: RemError) => error,
			);
			expect(error).toMatchObject({ code: "INDEX_FAILED", sqlState: "42501" });
			const owner = new URL(db.url).username;
			expect(error?.hint).toContain("rem worker");
			for (const service of [app, app]) {
				const indexes = await status(service);
				expect(indexes.length).toBeGreaterThan(0);
				for (const index of indexes)
					expect(index).toMatchObject({
						state: "queued",
						leftTo: owner,
						error: null,
						attempts: 0,
					});
			}
			for (const index of await status(db.service as never))
				expect(index).toMatchObject({ state: "queued", leftTo: null });
			await db.service.indexer.drain();
			for (const index of await status(app))
				expect(index).toMatchObject({ state: "valid", leftTo: null });
			await app.indexer.drain();
		});

		test("a build that an older version marked failed for lack of rights is built by the owner", async () => {
			await db.service.indexer.queueIndex(gin);
			await db.service.execute(
				"DROP INDEX gin_resources__metadata; UPDATE rem_index_builds SET state = 'failed', attempts = 1, error = 'must be owner', sql_state = '42501'",
			);
			await db.service.indexer.drain();
			const indexes = await status(db.service as never);
			expect(indexes.map(({ state }) => state)).not.toContain("failed");
			expect(
				indexes.find(({ indexName }) => indexName.endsWith("__metadata")),
			).toMatchObject({ state: "valid" });
		});

		test("an owner that lacks a right meanwhile leaves the build in the queue", async () => {
			const owner = roleName("owner");
			const url = await login(owner, documented);
			const service = await PostgresService.connect({
				connectionString: url,
				models,
				embedding,
				backgroundIndex: { enabled: false },
			});
			try {
				// An owner who may not create anything in the schema.
				await db.service.execute(
					`ALTER TABLE resources OWNER TO ${owner}; DROP INDEX gin_resources__metadata; REVOKE CREATE ON SCHEMA public FROM ${owner}`,
				);
				const building = service.createIndexConcurrently(gin);
				await expect(building).rejects.toMatchObject({
					code: "INDEX_FAILED",
					sqlState: "42501",
				});
				const { rows } = await db.service.execute(
					"SELECT state, attempts FROM rem_index_builds WHERE index_name = 'gin_resources__metadata'",
				);
				expect(rows).toEqual(
					schemas.map(() => ({ state: "queued", attempts: 0 })),
				);
				await db.service.indexer.drain();
				expect(
					(await status(db.service as never)).map(({ state }) => state),
				).not.toContain("queued");
			} finally {
				await service.close();
				await db.service.execute("ALTER TABLE resources OWNER TO CURRENT_USER");
				await drop(owner);
			}
		});

		test("keeps the indexes where it loads with bulk", async () => {
			const { bulk } = await app.batchUpsert({
				tableName,
				entities: [{ name: "bulk", content: "text" }],
				bulk: true,
			});
			expect(bulk?.dropped).toEqual([]);
		});

		test("is warned by the doctor where it may not gather statistics", async () => {
			const tenancy = async () =>
				(await app.doctor()).checks.filter(({ name }) => name === "statistics");
			expect(await tenancy()).toMatchObject([{ state: "ok" }]);
			await db.service.execute(
				`REVOKE MAINTAIN ON embeddings_resources FROM ${name}`,
			);
			expect(await tenancy()).toMatchObject(
				schemas.map(() => ({
					state: "warning",
					found: expect.stringContaining("embeddings_resources"),
					remedy: expect.stringContaining("GRANT MAINTAIN ON"),
				})),
			);
		});
	});
});
