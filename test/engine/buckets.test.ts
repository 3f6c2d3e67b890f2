import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import {
	type ConnectOptions,
	defineEntity,
	type KvProgress,
	PostgresService,
} from "../../src/index.ts";
import {
	codeOf,
	createDatabase,
	engine,
	useService,
} from "../support/engine.ts";

const Note = defineEntity(
	"notes",
	{
		name: z.string().meta({ embed: false }),
		text: z.string().nullish().meta({ embed: true }),
		rank: z.int().nullish(),
		at: z.date().nullish(),
	},
	{ entityKeyField: "name" },
);

/** The same for all tenants. */
const Term = defineEntity(
	"terms",
	{ name: z.string(), meaning: z.string().nullish() },
	{ entityKeyField: "name", tenantScoped: false, createEmbeddings: false },
);

const models = [Note, Term] as const;
const buckets = 3;
const schemas = ["public_b00", "public_b01", "public_b02"];
// Of three buckets each has two or more of them.
const tenants = Array.from({ length: 9 }, (_, at) => `tenant-${at}`);

const db = useService({ buckets, models });
const notes = () => db.service.repository(Note);
const terms = () => db.service.repository(Term);

/** Rows of each bucket. */
async function rowsOf(table: string, condition = "TRUE"): Promise<number[]> {
	const counts: number[] = [];
	for (const schema of schemas) {
		const { rows } = await db.service.execute<{ count: number }>(
			`SELECT count(*)::int AS count FROM ${schema}.${table} WHERE ${condition}`,
		);
		counts.push(rows[0]?.count ?? 0);
	}
	return counts;
}

const sum = (counts: readonly number[]) =>
	counts.reduce((total, count) => total + count, 0);

/** A note of each tenant. */
function oneEach(name: string, fields: object = {}) {
	return tenants.map((tenantId) => ({ name, tenantId, ...fields }));
}

describe("calls with a tenant", () => {
	test("write and read in the bucket that the documented expression computes", async () => {
		for (const tenantId of tenants)
			await notes().upsert({ name: "own", text: tenantId }, { tenantId });
		for (const [number, schema] of schemas.entries()) {
			const { rows } = await db.service.execute<{ bucket: number }>(
				`SELECT (('x' || encode(substr(sha256(convert_to(tenant_id, 'UTF8')), 1, 4), 'hex'))::bit(32)::bigint % 3)::int AS bucket
				FROM ${schema}.notes`,
			);
			expect(rows.length).toBeGreaterThan(0);
			expect(new Set(rows.map(({ bucket }) => bucket))).toEqual(
				new Set([number]),
			);
		}
	});

	test("find the rows of their tenant alone", async () => {
		for (const tenantId of tenants) {
			const scope = db.service.scope({ tenantId });
			const hit = await scope.lookupEntity({ entityKey: "own", hydrate: true });
			expect(hit?.record).toMatchObject({ text: tenantId, tenantId });
			const found = await scope.query(`SEARCH "${tenantId}" IN notes LIMIT 3`);
			expect("rows" in found && found.rows).toMatchObject([{ tenantId }]);
			expect(await scope.repository(Note).count()).toBe(1);
		}
	});

	test("link entities of the tenant", async () => {
		const [tenantId = ""] = tenants;
		await notes().upsert({ name: "other" }, { tenantId });
		await db.service.link({
			tenantId,
			from: "own",
			edges: { dst: "other", rel_type: "knows", weight: 1 },
		});
		const { nodes } = await db.service.traverse({ tenantId, from: "own" });
		expect(nodes.map(({ entityKey }) => entityKey)).toContain("other");
		await notes().purge(
			(await notes().findOne({ name: "other", tenantId }))?.id ?? "",
			tenantId,
		);
	});
});

describe("a batch of several tenants", () => {
	test("is split, and returns the sums and the ids in their order", async () => {
		const entities = oneEach("batch", { text: "one text for all" });
		const first = await db.service.batchUpsert({
			tableName: "notes",
			entities,
		});
		expect(first).toMatchObject({
			inserted: 9,
			updated: 0,
			embeddingsGenerated: 9,
			kvEntries: 9,
		});
		const rows = await notes().find({ name: "batch" });
		for (const [at, { tenantId }] of entities.entries())
			expect(rows.find(({ id }) => id === first.ids[at])).toMatchObject({
				tenantId,
			});
		expect((await rowsOf("notes", "name = 'batch'")).every(Boolean)).toBe(true);
		expect(
			await db.service.batchUpsert({ tableName: "notes", entities }),
		).toMatchObject({ inserted: 0, updated: 9, unchanged: 9 });
	});

	test("changes no bucket where one row fails", async () => {
		const [first = ""] = (await notes().find({ name: "batch" })).map(
			({ id }) => id,
		);
		const failing = [
			...oneEach("rolled back"),
			// An id that a live row of the tenant has.
			{ name: "taken", tenantId: "tenant-0", id: first },
			{ name: "taken", tenantId: "tenant-1", id: first },
		];
		expect(
			await codeOf(
				db.service.batchUpsert({ tableName: "notes", entities: failing }),
			),
		).toBe("DUPLICATE_KEY");
		expect(sum(await rowsOf("notes", "name = 'rolled back'"))).toBe(0);
	});

	test("is rolled back in all buckets where the database refuses a row of the last", async () => {
		await db.service.execute(
			"ALTER TABLE public_b02.notes ADD CONSTRAINT small CHECK (rank IS NULL OR rank < 1000)",
		);
		try {
			expect(
				await codeOf(
					db.service.batchUpsert({
						tableName: "notes",
						entities: oneEach("refused", { rank: 1000 }),
					}),
				),
			).not.toBe("no error");
			expect(sum(await rowsOf("notes", "name = 'refused'"))).toBe(0);
		} finally {
			await db.service.execute(
				"ALTER TABLE public_b02.notes DROP CONSTRAINT small",
			);
		}
	});

	test("of an iterable is committed chunk by chunk", async () => {
		async function* rows() {
			for (let at = 0; at < 1200; at++)
				yield { name: `s${at}`, tenantId: `stream-${at % 7}` };
		}
		const result = await db.service.batchUpsert({
			tableName: "notes",
			entities: rows(),
			generateEmbeddings: false,
		});
		expect(result).toMatchObject({ inserted: 1200, ids: [] });
		expect(sum(await rowsOf("notes", "tenant_id LIKE 'stream-%'"))).toBe(1200);
	});

	test("returns the rows of a repository's upsert in their order", async () => {
		const given = oneEach("returned");
		const rows = await notes().upsert(given);
		expect(rows.map(({ tenantId }) => tenantId)).toEqual(tenants);
	});

	test("with a transaction is part of it", async () => {
		await expect(
			db.service.transaction(async (transaction) => {
				await db.service.batchUpsert({
					tableName: "notes",
					entities: oneEach("undone"),
					transaction,
				});
				expect(await notes().count({ name: "undone" }, { transaction })).toBe(
					9,
				);
				throw new Error("undo");
			}),
		).rejects.toThrow("undo");
		expect(sum(await rowsOf("notes", "name = 'undone'"))).toBe(0);
	});
});

describe("reads over all tenants", () => {
	const filter = { tags: { contains: ["read"] } } as const;
	beforeAll(async () => {
		const entities = Array.from({ length: 60 }, (_, at) => ({
			name: ["é", "z", "A", "b", "Ä", "ß"][at % 6] + String(at % 20),
			tenantId: `reader-${at}`,
			tags: ["read"],
			rank: at % 7 === 0 ? null : at % 5,
			at: new Date(Date.UTC(2020, 0, 1 + (at % 11))),
		}));
		await db.service.batchUpsert({
			tableName: "notes",
			entities,
			generateEmbeddings: false,
		});
	});

	/** Ids in the order of one statement over all buckets. */
	async function expected(orderBy: string): Promise<string[]> {
		const { rows } = await db.service.execute<{ id: string }>(
			`SELECT id FROM (${schemas
				.map(
					(schema) => `SELECT * FROM ${schema}.notes WHERE 'read' = ANY (tags)`,
				)
				.join(" UNION ALL ")}) AS r ORDER BY ${orderBy}`,
		);
		return rows.map(({ id }) => id);
	}

	const ids = (rows: readonly { id: string }[]) => rows.map(({ id }) => id);

	test.each([
		["id", "id"],
		["id desc", "id DESC"],
		["name", "name, id"],
		["name desc", "name DESC, id DESC"],
		["rank", "rank, id"],
		["rank desc", "rank DESC, id DESC"],
		["at desc", "at DESC, id DESC"],
		["createdAt", "created_at, id"],
		["tenantId", "tenant_id, id"],
	] as const)("in the order of %s", async (orderBy, sql) => {
		const all = await expected(sql);
		expect(all).toHaveLength(60);
		expect(ids(await notes().find(filter, { orderBy }))).toEqual(all);
		expect(
			ids(await notes().find(filter, { orderBy, limit: 7, offset: 11 })),
		).toEqual(all.slice(11, 18));
		expect((await notes().findOne(filter, { orderBy }))?.id).toBe(all[0]);
		const iterated: string[] = [];
		for await (const { id } of notes().iterate(filter, { orderBy }))
			iterated.push(id);
		expect(iterated).toEqual(all);
		const paged: string[] = [];
		let after: string | undefined;
		do {
			const page = await notes().findPage(filter, {
				orderBy,
				limit: 13,
				...(after === undefined ? {} : { after }),
			});
			paged.push(...ids(page.rows));
			after = page.next;
		} while (after !== undefined);
		expect(paged).toEqual(all);
	});

	test("iterate reads past the pages of each bucket", async () => {
		const seen = new Set<string>();
		for await (const { id } of notes().iterate({
			tenantId: { like: "stream-%" },
		}))
			seen.add(id);
		expect(seen.size).toBe(1200);
	});

	test("count adds", async () => {
		expect(await notes().count(filter)).toBe(60);
		expect(await notes().count({ tags: { contains: ["none"] } })).toBe(0);
	});

	test("a cursor of another order is refused", async () => {
		const { next } = await notes().findPage(filter, { limit: 2 });
		expect(
			await codeOf(
				notes().findPage(filter, { orderBy: "rank", after: next ?? "" }),
			),
		).toBe("VALIDATION");
	});

	test("a service that is strict about tenants refuses them", async () => {
		const strict = await PostgresService.connect({
			connectionString: (await createDatabase()).url,
			embedding: { provider: "local" },
			models,
			buckets,
			strictTenancy: true,
		});
		try {
			const repository = strict.repository(Note);
			expect(await codeOf(repository.find())).toBe("TENANT_REQUIRED");
			expect(await codeOf(repository.count())).toBe("TENANT_REQUIRED");
			expect(
				await codeOf(strict.batchUpsert({ tableName: "notes", entities: [] })),
			).not.toBe("no error");
		} finally {
			await strict.close();
		}
	});
});

describe("rows without tenants", () => {
	test("are written into every bucket with one id, and read once", async () => {
		const { ids, inserted } = await db.service.batchUpsert({
			tableName: "terms",
			entities: [{ name: "cache" }, { name: "lease" }],
		});
		expect(inserted).toBe(2);
		expect(await rowsOf("terms")).toEqual([2, 2, 2]);
		for (const id of ids)
			expect(await rowsOf("terms", `id = '${id}'`)).toEqual([1, 1, 1]);
		expect(await terms().count()).toBe(2);
		for (const tenantId of tenants)
			expect(
				await db.service.lookupEntity({ entityKey: "lease", tenantId }),
			).toMatchObject({ entityId: ids[1] });
	});

	test("are changed, deleted and restored in every bucket", async () => {
		const term = await terms().upsert({ name: "token" });
		await terms().update(term.id, { meaning: "a word" });
		expect(await rowsOf("terms", "meaning = 'a word'")).toEqual([1, 1, 1]);
		expect(await terms().delete(term.id)).toBe(true);
		expect(await terms().delete(term.id)).toBe(false);
		expect(await rowsOf("terms", "deleted_at IS NOT NULL")).toEqual([1, 1, 1]);
		expect(await terms().restore([term.id])).toBe(1);
		expect(
			await terms().updateMany({ name: "token" }, { meaning: "other" }),
		).toMatchObject({ updated: 1 });
		expect(await rowsOf("terms", "meaning = 'other'")).toEqual([1, 1, 1]);
		expect(await terms().purge(term.id)).toBe(true);
		expect(await rowsOf("terms", "name = 'token'")).toEqual([0, 0, 0]);
	});

	test("are linked in every bucket", async () => {
		await db.service.link({
			tenantId: "tenant-4",
			from: "cache",
			edges: { dst: "lease", rel_type: "needs", weight: 1 },
		});
		expect(
			await rowsOf("terms", "jsonb_array_length(graph_edges) = 1"),
		).toEqual([1, 1, 1]);
		expect(
			await db.service.unlink({
				tenantId: "tenant-1",
				from: "cache",
				dst: "lease",
			}),
		).toBe(1);
		expect(
			await rowsOf("terms", "jsonb_array_length(graph_edges) = 1"),
		).toEqual([0, 0, 0]);
	});
});

describe("an export", () => {
	test("of all buckets is imported into another number of buckets", async () => {
		let text = "";
		const exported = await db.service.exportRows({
			vectors: true,
			write: (lines) => {
				text += lines;
			},
		});
		const database = await createDatabase();
		const other = await PostgresService.connect({
			connectionString: database.url,
			embedding: { provider: "local" },
			models,
			buckets: 2,
		});
		try {
			await other.migrate();
			const imported = await other.importRows({ text });
			expect(imported.inserted).toBe(exported.rows);
			expect(imported.vectors).toBe(exported.vectors);
			expect(await other.repository(Note).count()).toBe(await notes().count());
			expect(await other.repository(Term).count()).toBe(2);
			const hit = await other.lookupEntity({
				tenantId: "tenant-3",
				entityKey: "own",
			});
			expect(hit?.entityKey).toBe("own");
			const again = await other.importRows({ text });
			expect(again).toMatchObject({ inserted: 0, unchanged: exported.rows });
		} finally {
			await other.close();
			await database.drop();
		}
	});

	test("is compared with every bucket, and a row without a tenant counts once", async () => {
		let text = "";
		await db.service.exportRows({
			tables: ["terms"],
			write: (lines) => {
				text += lines;
			},
		});
		const [term, other] = await terms().find({}, { orderBy: "name" });
		for (const schema of ["public_b01", "public_b02"])
			await db.service.execute(`DELETE FROM ${schema}.terms WHERE id = $1`, [
				term?.id ?? "",
			]);
		await db.service.execute(
			"UPDATE public_b01.terms SET meaning = 'differs' WHERE id = $1",
			[other?.id ?? ""],
		);
		const found = await db.service.verifyRows({ text });
		expect(found).toMatchObject({
			rows: 2,
			missing: 1,
			differing: 1,
			tables: { terms: { rows: 2, missing: 1, differing: 1 } },
		});
		expect(found.differences.map(({ id, kind }) => [id, kind])).toEqual([
			[term?.id, "missing"],
			[other?.id, "differs"],
		]);
		await db.service.importRows({ text });
		expect(await db.service.verifyRows({ text })).toMatchObject({
			missing: 0,
			differing: 0,
		});
	});

	test("of a tenant has its rows alone", async () => {
		let text = "";
		const { rows } = await db.service.exportRows({
			tenantId: "tenant-2",
			tables: ["notes"],
			write: (lines) => {
				text += lines;
			},
		});
		expect(rows).toBe(await notes().count({ tenantId: "tenant-2" }));
		expect(text).not.toContain("tenant-3");
	});
});

describe("work over all buckets", () => {
	test("the worker embeds what waits in several", async () => {
		await db.service.batchUpsert({
			tableName: "notes",
			entities: oneEach("queued", { text: "wait for the worker" }),
			generateEmbeddings: false,
		});
		const waiting = async () =>
			sum(await rowsOf("rem_embedding_queue", "state = 'pending'"));
		expect(await waiting()).toBeGreaterThan(0);
		db.service.embeddings.start();
		await expect.poll(waiting).toBe(0);
		expect((await db.service.embeddings.status()).running).toBe(true);
		await db.service.embeddings.stop();
	});

	test("sync embeds in all, and status adds", async () => {
		await db.service.batchUpsert({
			tableName: "notes",
			entities: oneEach("synced", { text: "wait for sync" }),
			generateEmbeddings: false,
		});
		const { embedded } = await db.service.embeddings.sync();
		expect(embedded).toBe(9);
		const { fields } = await db.service.embeddings.status();
		expect(fields).toHaveLength(1);
		expect(fields[0]).toMatchObject({
			texts: fields[0]?.embedded,
			queued: 0,
		});
		expect(await db.service.embeddings.estimate()).toMatchObject({ texts: 0 });
	});

	test("sync counts on after a bucket that failed", async () => {
		await db.service.batchUpsert({
			tableName: "notes",
			entities: oneEach("counted", { text: "one bucket refuses it" }),
			generateEmbeddings: false,
		});
		await db.service.execute(
			"ALTER TABLE public_b01.embeddings_notes ADD CONSTRAINT none CHECK (FALSE) NOT VALID",
		);
		const seen: { done: number; total: number }[] = [];
		await expect(
			db.service.embeddings.sync({
				onProgress: ({ done, total }) => seen.push({ done, total }),
			}),
		).rejects.toMatchObject({ message: expect.stringContaining("public_b01") });
		for (const [at, { done, total }] of seen.entries()) {
			expect(done).toBeGreaterThanOrEqual(seen[at - 1]?.done ?? 0);
			expect(total).toBeGreaterThanOrEqual(seen[at - 1]?.total ?? 0);
		}
		expect(seen.at(-1)?.total).toBe(9);
		await db.service.execute(
			"ALTER TABLE public_b01.embeddings_notes DROP CONSTRAINT none",
		);
		await db.service.embeddings.retry();
		await db.service.embeddings.sync();
	});

	test("the indexer builds in each", async () => {
		await db.service.createIndexConcurrently({
			tableName: "notes",
			indexType: "hnsw",
		});
		const { indexes } = await db.service.indexer.status();
		const valid = indexes.filter(
			({ indexType, state }) => indexType === "hnsw" && state === "valid",
		);
		expect(valid.map(({ bucket }) => bucket)).toEqual(schemas);
	});

	test("the cache of names is verified and rebuilt", async () => {
		expect(await db.service.kv.verify()).toMatchObject({
			ready: true,
			differing: 0,
		});
		await db.service.execute("TRUNCATE public_b01.kv_store");
		await db.service.kv.ensureReady();
		const { ready, entries } = await db.service.kv.status();
		expect(ready).toBe(true);
		expect(entries?.notes).toBe(await notes().count());
	});

	test("the cache of names reports the rows of all buckets so far", async () => {
		const { kv } = db.service;
		const { compared } = await kv.verify();
		const calls = [
			(onProgress: (progress: KvProgress) => void) => kv.verify({ onProgress }),
			(onProgress: (progress: KvProgress) => void) =>
				kv.rebuild({ onProgress }),
		];
		for (const call of calls) {
			const seen: number[] = [];
			await call(({ done }) => seen.push(done));
			expect(seen).toEqual(seen.toSorted((a, b) => a - b));
			expect(seen.at(-1)).toBe(compared);
		}
	});

	test("doctor has one line for what is well", async () => {
		const { checks } = await db.service.doctor();
		for (const name of ["connection", "migrations", "schema", "kv store"])
			expect(
				checks.filter((check) => check.name === name).map(({ state }) => state),
			).toEqual(["ok"]);
	});

	test("doctor names the buckets in which something is wrong", async () => {
		await db.service.execute("DROP TABLE public_b01.rem_words_notes CASCADE");
		const { checks } = await db.service.doctor();
		const wrong = checks.filter(({ state }) => state !== "ok");
		expect(wrong.some(({ found }) => found.startsWith("public_b01: "))).toBe(
			true,
		);
		expect(wrong.some(({ found }) => found.includes("public_b02"))).toBe(false);
		const differences = await db.service.schema.diff();
		expect(new Set(differences.map(({ bucket }) => bucket))).toEqual(
			new Set(["public_b01"]),
		);
		const { applied } = await db.service.migrate();
		expect(applied.every((name) => name.startsWith("public_b01/"))).toBe(true);
		expect(await db.service.schema.diff()).toEqual([]);
	});

	test("tenants are isolated in each", async () => {
		expect((await db.service.checkIsolation()).library).toEqual([]);
	});

	test("forget erases a tenant", async () => {
		const { rows } = await db.service.forget({ tenantId: "tenant-5" });
		expect(rows).toBeGreaterThan(0);
		expect(sum(await rowsOf("notes", "tenant_id = 'tenant-5'"))).toBe(0);
		expect(await notes().count({ tenantId: "tenant-6" })).toBeGreaterThan(0);
	});
});

describe("the buckets of a database", () => {
	let database: { url: string; drop(): Promise<void> };
	let folder: string;
	beforeAll(async () => {
		database = await createDatabase();
		folder =
			database.url === "memory:"
				? await mkdtemp(join(tmpdir(), "rem-buckets-"))
				: "";
	});
	afterAll(async () => {
		await database.drop();
		if (folder !== "") await rm(folder, { recursive: true, force: true });
	});

	/** Connects, runs the work and closes; the database stays. */
	async function connected<T>(
		options: ConnectOptions<typeof models>,
		work: (
			service: Awaited<
				ReturnType<typeof PostgresService.connect<typeof models>>
			>,
		) => Promise<T>,
	): Promise<T> {
		const service = await PostgresService.connect({
			connectionString: folder === "" ? database.url : `file:${folder}`,
			embedding: { provider: "local" },
			models,
			...options,
		});
		try {
			return await work(service);
		} finally {
			await service.close();
		}
	}

	test("are refused where the schema's name would be too long", async () => {
		const schema = "s".repeat(60);
		expect(
			await codeOf(connected({ schema, buckets }, async () => undefined)),
		).toBe("CONFIG_INVALID");
	});

	test("are needed before anything is read", async () => {
		await connected({ buckets }, async (service) => {
			const read = service.repository(Note).find({ tenantId: "tenant-0" });
			await expect(read).rejects.toMatchObject({
				code: "SCHEMA_DRIFT",
				message: expect.stringMatching(/public_b0\d/),
			});
		});
	});

	test("that were begun are completed, and one that fails does not keep the others from it", async () => {
		await connected({ buckets }, async (service) => {
			// A table of another program in the place of one of ours.
			await service.execute(
				"CREATE SCHEMA public_b01; CREATE TABLE public_b01.notes (id INT)",
			);
			await expect(service.migrate()).rejects.toMatchObject({
				code: "TABLE_CONFLICT",
				message: expect.stringContaining("public_b01"),
			});
			const differing = (await service.schema.status()).filter(
				({ state }) => state === "pending" || state === "changed",
			);
			expect(new Set(differing.map(({ bucket }) => bucket))).toEqual(
				new Set(["public_b01"]),
			);
			await service.execute("DROP TABLE public_b01.notes");
			const { applied } = await service.migrate();
			expect(applied.length).toBeGreaterThan(0);
			expect(applied.every((name) => name.startsWith("public_b01/"))).toBe(
				true,
			);
			expect(await service.migrate()).toEqual({ applied: [] });
		});
	});

	test.runIf(engine === "server")(
		"are created once by migrators that begin at the same time",
		async () => {
			const migrators = await Promise.all(
				[1, 2, 3, 4].map(() =>
					connected({ schema: "race", buckets: 2 }, (service) =>
						service.migrate(),
					),
				),
			);
			const applied = migrators.flatMap((one) => one.applied);
			expect(applied.length).toBeGreaterThan(0);
			expect(new Set(applied).size).toBe(applied.length);
		},
	);

	test("are no other number", async () => {
		for (const other of [2, 4])
			await expect(
				connected({ buckets: other }, async () => undefined),
			).rejects.toMatchObject({
				code: "CONFIG_INVALID",
				hint: expect.stringContaining("buckets: 3"),
			});
	});

	test("are not left out", async () => {
		await expect(connected({}, async () => undefined)).rejects.toMatchObject({
			code: "CONFIG_INVALID",
			hint: expect.stringContaining("buckets: 3"),
		});
	});

	test("are of the same hash", async () => {
		await connected({ buckets }, (service) =>
			service.execute("UPDATE public.rem_buckets SET hash = 'md5/32'"),
		);
		await expect(
			connected({ buckets }, async () => undefined),
		).rejects.toMatchObject({ code: "CONFIG_INVALID" });
	});

	test("are not added to tables without buckets", async () => {
		const schema = "plain";
		await connected({ schema }, (service) => service.migrate());
		await expect(
			connected({ schema, buckets }, async () => undefined),
		).rejects.toMatchObject({
			code: "CONFIG_INVALID",
			message: expect.stringContaining("without buckets"),
		});
	});

	test("get files of one's own, each in its schema", async () => {
		const migrations = await mkdtemp(join(tmpdir(), "rem-files-"));
		try {
			await writeFile(
				join(migrations, "001_note.sql"),
				"CREATE TABLE own_notes (id INT);",
			);
			await connected({ schema: "filed", buckets: 2 }, async (service) => {
				const { applied } = await service.migrate({ migrations });
				expect(applied.filter((name) => name.includes("file:"))).toEqual([
					"filed_b00/file:001_note.sql",
					"filed_b01/file:001_note.sql",
				]);
				await service.execute(
					"SELECT FROM filed_b00.own_notes, filed_b01.own_notes",
				);
				expect(await service.migrate({ migrations })).toEqual({ applied: [] });
			});
		} finally {
			await rm(migrations, { recursive: true, force: true });
		}
	});

	test("get a model that is registered", async () => {
		const Late = defineEntity("late", { name: z.string() });
		await connected({ schema: "later", buckets: 2 }, async (service) => {
			await service.migrate();
			const seen: string[] = [];
			await service.migrate({
				onProgress: (progress) => seen.push(progress.kind),
			});
			expect(seen).toEqual([]);
			const { applied } = await service.register(Late);
			expect(applied).toEqual([
				"later_b00/entity:late",
				"later_b01/entity:late",
			]);
		});
	});
});
