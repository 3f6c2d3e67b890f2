import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type Entity, PostgresService } from "../../src/index.ts";
import { codeOf, createDatabase, engine } from "../support/engine.ts";
import { FakeProvider } from "../support/fake-provider.ts";

// Two versions of a model in use at once, as in a rolling update: every text of a
// field that either of them embeds has the vector of its present content, or waits
// for it, whichever version writes, migrates or works on the queue. The embedded
// engine has one process: there the versions take turns with the same folder.

const plain = () => z.string().optional().meta({ embed: false });
const embedded = () => z.string().optional().meta({ embed: true });
const key = { entityKeyField: "name" } as const;
const page = <S extends Record<string, z.ZodType>>(fields: S) =>
	defineEntity("pages", { name: z.string(), ...fields }, key);

/** The versions of the model by name. */
const versions = {
	content: page({ content: embedded(), title: plain() }),
	both: page({ content: embedded(), title: embedded() }),
	title: page({ content: plain(), title: embedded() }),
	none: page({ content: plain(), title: plain() }),
	withSummary: page({
		content: embedded(),
		title: plain(),
		summary: embedded(),
	}),
	withoutTable: defineEntity(
		"pages",
		{ name: z.string(), content: plain(), title: plain() },
		{ ...key, createEmbeddings: false },
	),
	heading: page({ content: embedded(), heading: embedded() }),
	shifted: page({ heading: embedded(), title: embedded() }),
	split: page({ heading: embedded(), lead: embedded(), title: embedded() }),
} satisfies Record<string, Entity>;
type Version = keyof typeof versions;

/** Of the random test; `npm run proofs` takes more. */
const steps = Number(process.env.REM_TEST_STEPS ?? 20);

const fake = new FakeProvider();
let url: string;
let drop: () => Promise<void>;
/** For the compiler, every version is the one with all fields. */
type Service = PostgresService<readonly [typeof versions.both]>;
const open = new Map<Version, Service>();

beforeEach(async () => {
	fake.reset();
	if (engine === "server") {
		({ url, drop } = await createDatabase());
	} else {
		const folder = mkdtempSync(join(tmpdir(), "remdb-versions-"));
		url = `file:${folder}`;
		drop = async () => rmSync(folder, { recursive: true, force: true });
	}
});
afterEach(async () => {
	await closeAll();
	await drop();
});

async function closeAll(): Promise<void> {
	for (const service of open.values()) await service.close();
	open.clear();
}

/** The service of a version; on the embedded engine the others are closed first. */
async function at(version: Version): Promise<Service> {
	const known = open.get(version);
	if (known !== undefined) return known;
	if (engine === "embedded") await closeAll();
	const service = (await PostgresService.connect({
		connectionString: url,
		models: [versions[version] as Entity],
		embedding: { provider: fake, retry: { baseMs: 1 } },
		poolSize: 4,
		backgroundIndex: { enabled: false },
	})) as unknown as Service;
	open.set(version, service);
	return service;
}

const migrate = async (version: Version) => (await at(version)).migrate();

const upsert = async (
	version: Version,
	entities: readonly Record<string, unknown>[],
) =>
	(await at(version)).batchUpsert({
		tableName: "pages",
		entities: entities as readonly { name: string }[],
	});

/** As another program would, through whichever connection there is. */
const psql = async <R>(text: string) => {
	const service = [...open.values()][0] ?? (await at("both"));
	return (await service.execute<R>(text)).rows;
};

/** Texts that neither have their vector nor wait for it, and vectors of other texts; there should be none. */
async function broken(fields = ["content", "title"]): Promise<string[]> {
	const columns = fields.map((field) => `('${field}', p.${field})`).join();
	const rows = await psql<{ text: string }>(`
WITH texts AS (
  SELECT p.id, p.name, f.field_name, sha256(convert_to(f.content, 'UTF8')) AS hash
  FROM pages AS p CROSS JOIN LATERAL (VALUES ${columns}) AS f (field_name, content)
  WHERE p.deleted_at IS NULL AND f.content ~ '[^ ]'
)
SELECT t.name || '.' || t.field_name || ' is forgotten for ' || m.model AS text
FROM texts AS t JOIN rem_embedding_models AS m ON m.entity_type = 'pages' AND m.state IN ('active', 'filling')
JOIN rem_embedding_fields AS r ON r.entity_type = 'pages' AND r.field_name = t.field_name AND r.state <> 'removing'
WHERE NOT EXISTS (SELECT FROM embeddings_pages AS e
    WHERE e.entity_id = t.id AND e.field_name = t.field_name AND e.model = m.model AND e.content_hash = t.hash)
  AND NOT EXISTS (SELECT FROM rem_embedding_queue AS q
    WHERE q.entity_id = t.id AND q.field_name = t.field_name AND q.model = m.model)
UNION ALL
SELECT coalesce(p.name, '?') || '.' || e.field_name || ' has the vector of another text'
FROM embeddings_pages AS e LEFT JOIN pages AS p ON p.id = e.entity_id
WHERE NOT EXISTS (SELECT FROM texts AS t WHERE t.id = e.entity_id AND t.field_name = e.field_name AND t.hash = e.content_hash)`);
	return rows.map(({ text }) => text);
}

async function vectors(): Promise<string[]> {
	const rows = await psql<{ text: string }>(`
SELECT p.name || '.' || e.field_name AS text FROM embeddings_pages AS e JOIN pages AS p ON p.id = e.entity_id ORDER BY 1`);
	return rows.map(({ text }) => text);
}

/** Each vector of the field, whatever the field is called. */
async function stored(field: string): Promise<unknown[]> {
	return psql(`
SELECT entity_id, model, chunk, chunk_start, chunk_end, content_hash, embedding::text
FROM embeddings_pages WHERE field_name = '${field}' ORDER BY entity_id, model, chunk`);
}

async function waiting(): Promise<string[]> {
	const rows = await psql<{ text: string }>(`
SELECT p.name || '.' || q.field_name AS text FROM rem_embedding_queue AS q JOIN pages AS p ON p.id = q.entity_id ORDER BY 1`);
	return rows.map(({ text }) => text);
}

const rows = [
	{ name: "a", content: "one", title: "One" },
	{ name: "b", content: "two", title: "Two" },
];

describe("a field that embeds from a later version on", () => {
	beforeEach(async () => {
		await migrate("content");
		await upsert("content", rows);
		expect(await vectors()).toEqual(["a.content", "b.content"]);
		await migrate("both");
	});

	test("has its older texts queued by the migration", async () => {
		expect(await waiting()).toEqual(["a.title", "b.title"]);
		expect(await broken()).toEqual([]);
		const { fields } = await (await at("both")).embeddings.status();
		expect(fields.map((field) => [field.fieldName, field.queued])).toEqual([
			["content", 0],
			["title", 2],
		]);
	});

	test("loses the vector of an older text with a write of the older version, which queues the new one", async () => {
		await (await at("both")).embeddings.sync();
		await upsert("content", [{ name: "a", title: "Other" }]);
		expect(await vectors()).toEqual(["a.content", "b.content", "b.title"]);
		expect(await waiting()).toEqual(["a.title"]);
		await upsert("content", [{ name: "c", content: "three", title: "Three" }]);
		expect(await waiting()).toEqual(["a.title", "c.title"]);
		expect(await broken()).toEqual([]);
	});

	test("stays after a migration of the older version, for every writer", async () => {
		await (await at("both")).embeddings.sync();
		await migrate("content");
		await psql("UPDATE pages SET title = 'Another' WHERE name = 'a'");
		expect(await waiting()).toEqual(["a.title"]);
		expect(await broken()).toEqual([]);
		await migrate("both");
		await migrate("content");
		await upsert("content", [{ name: "b", title: "And another" }]);
		expect(await waiting()).toEqual(["a.title", "b.title"]);
		expect(await broken()).toEqual([]);
	});

	test("is no difference of the schema to either version", async () => {
		for (const version of ["content", "both"] as const)
			expect(await (await at(version)).schema.diff()).toEqual([]);
	});

	test("gets its vectors from a worker of the older version as well, whose sync removes none", async () => {
		const old = await at("content");
		expect(await old.embeddings.sync()).toMatchObject({
			embedded: 2,
			removed: 0,
		});
		expect(await vectors()).toHaveLength(4);
		await psql("UPDATE pages SET title = 'Again' WHERE name = 'a'");
		old.embeddings.start();
		await expect.poll(waiting).toEqual([]);
		await old.embeddings.stop();
		expect(await vectors()).toHaveLength(4);
		expect(await broken()).toEqual([]);
	});

	test("is part of a change of the model that the older version makes", async () => {
		await (await at("both")).embeddings.sync();
		const old = await at("content");
		const next = new FakeProvider("fake", "m2", 8);
		old.embeddings.registerProvider(next);
		const space = { provider: "fake", model: "m2", dimensions: 8 };
		await old.embeddings.sync({ model: space });
		await old.embeddings.switch(space);
		const [{ count } = { count: 0 }] = await psql<{ count: number }>(
			"SELECT count(*)::int AS count FROM embeddings_pages WHERE model = 'm2' AND field_name = 'title'",
		);
		expect(count).toBe(2);
		expect(await broken()).toEqual([]);
	});

	test("is split into passages by whichever version embeds it", async () => {
		const title = "A sentence of a title. ".repeat(4000);
		await upsert("content", [{ name: "a", title }]);
		await (await at("content")).embeddings.sync();
		const [{ count } = { count: 0 }] = await psql<{ count: number }>(
			"SELECT count(*)::int AS count FROM embeddings_pages WHERE field_name = 'title'",
		);
		expect(count).toBeGreaterThan(1);
		expect(await broken()).toEqual([]);
	});
});

test("a later version that writes before its migration gives the new field no vector, and the migration queues it", async () => {
	await migrate("content");
	await upsert("both", rows);
	expect(await vectors()).toEqual(["a.content", "b.content"]);
	await upsert("content", [{ name: "a", title: "Other" }]);
	await migrate("both");
	expect(await waiting()).toEqual(["a.title", "b.title"]);
	expect(await broken()).toEqual([]);
	await upsert("both", [{ name: "a", title: "Own" }]);
	expect(await vectors()).toContain("a.title");
});

describe("a field that no longer embeds", () => {
	beforeEach(async () => {
		await migrate("both");
		await upsert("both", rows);
		await psql("UPDATE pages SET title = 'Waits' WHERE name = 'b'");
	});

	test("loses its vectors and what waits for them after the migration", async () => {
		await migrate("content");
		await expect.poll(vectors).toEqual(["a.content", "b.content"]);
		expect(await waiting()).toEqual([]);
		await psql("UPDATE pages SET title = 'New'");
		await upsert("content", [{ name: "a", title: "Newer" }]);
		expect(await waiting()).toEqual([]);
		expect(await broken()).toEqual([]);
	});

	test("and its index, where it is the last one of the model too", async () => {
		await psql(
			"CREATE INDEX hnsw_pages_title_x ON embeddings_pages USING hnsw ((embedding::vector(8)) vector_cosine_ops) WHERE field_name = 'title'",
		);
		await migrate("none");
		await expect.poll(vectors).toEqual([]);
		expect(
			await psql("SELECT FROM pg_class WHERE relname = 'hnsw_pages_title_x'"),
		).toEqual([]);
	});

	test("gets no vector from a writer of the older version, once that knows", async () => {
		await migrate("content");
		await expect.poll(vectors).toEqual(["a.content", "b.content"]);
		await expect
			.poll(
				async () => {
					await upsert("both", [{ name: "c", title: `At ${Date.now()}` }]);
					return (await vectors()).includes("c.title");
				},
				{ interval: 500 },
			)
			.toBe(false);
		await upsert("content", [{ name: "c", title: "Other" }]);
		expect(await broken()).toEqual([]);
	});

	test("comes back with a migration of the version that embeds it, and goes with the latest one", async () => {
		await migrate("content");
		await expect.poll(vectors).toHaveLength(2);
		await migrate("both");
		expect(await waiting()).toEqual(["a.title", "b.title"]);
		await (await at("both")).embeddings.sync();
		expect(await broken()).toEqual([]);
		await migrate("content");
		await expect.poll(vectors).toEqual(["a.content", "b.content"]);
	});
});

test("a version without a table of vectors leaves those of another one alone", async () => {
	await migrate("withoutTable");
	await upsert("withoutTable", rows);
	await migrate("both");
	expect(await waiting()).toHaveLength(4);
	await (await at("both")).embeddings.sync();
	await migrate("withoutTable");
	await psql("UPDATE pages SET title = 'Other', content = 'new'");
	expect(await waiting()).toHaveLength(4);
	await upsert("withoutTable", [{ name: "a", title: "Last" }]);
	expect(await broken()).toEqual([]);
});

test("a field of a new column is watched after the older version migrates again", async () => {
	await migrate("content");
	await upsert("content", rows);
	await migrate("withSummary");
	await upsert("withSummary", [{ name: "a", summary: "In short" }]);
	expect(await codeOf(migrate("content"))).toBe("no error");
	await psql("UPDATE pages SET summary = 'Shorter'");
	expect(await waiting()).toEqual(["a.summary", "b.summary"]);
	expect(await broken(["content", "summary"])).toEqual([]);
});

describe("a column", () => {
	beforeEach(async () => {
		await migrate("both");
		await upsert("both", rows);
	});

	test("that is renamed with its field is written before and after the migration", async () => {
		await psql("ALTER TABLE pages RENAME COLUMN title TO heading");
		await psql("UPDATE pages SET heading = 'New', content = 'new'");
		expect(await waiting()).toEqual(["a.content", "b.content"]);
		await migrate("heading");
		await expect
			.poll(waiting)
			.toEqual(["a.content", "a.heading", "b.content", "b.heading"]);
		await (await at("heading")).embeddings.sync();
		await expect
			.poll(vectors)
			.toEqual(["a.content", "a.heading", "b.content", "b.heading"]);
		expect(await broken(["content", "heading"])).toEqual([]);
	});

	/** The texts that the provider was asked for since the last call. */
	const asked = () => fake.asked.splice(0);

	test("that is renamed with its field takes its vectors with it, of every model", async () => {
		const both = await at("both");
		const next = new FakeProvider("fake", "m2", 8);
		both.embeddings.registerProvider(next);
		const space = { provider: "fake", model: "m2", dimensions: 8 };
		await both.embeddings.sync({ model: space });
		const before = await stored("title");
		asked();
		await psql("ALTER TABLE pages RENAME COLUMN title TO heading");
		await migrate("heading");
		await expect.poll(() => stored("heading")).toEqual(before);
		expect(await stored("title")).toEqual([]);
		expect(await waiting()).toEqual([]);
		expect(asked()).toEqual([]);
		expect(await broken(["content", "heading"])).toEqual([]);
		const [hit] = await (await at("heading")).vectorSearch({
			tableName: "pages",
			queryText: "One",
		});
		expect(hit).toMatchObject({ name: "a" });
	});

	test("that is renamed takes along the vectors of unchanged texts only", async () => {
		await upsert("both", [{ name: "c", content: "three", title: "Three" }]);
		await psql("ALTER TABLE pages RENAME COLUMN title TO heading");
		await psql("UPDATE pages SET heading = 'New' WHERE name = 'a'");
		await psql("UPDATE pages SET deleted_at = now() WHERE name = 'c'");
		await migrate("heading");
		await expect.poll(waiting).toEqual(["a.heading"]);
		await expect.poll(vectors).toEqual(["a.content", "b.content", "b.heading"]);
		expect(await broken(["content", "heading"])).toEqual([]);
	});

	test("that is renamed to one whose texts were queued before takes them out of the queue", async () => {
		await psql("ALTER TABLE pages RENAME COLUMN title TO heading");
		await psql(`INSERT INTO rem_embedding_fields (entity_type, field_name, column_name) VALUES ('pages', 'heading', 'heading');
INSERT INTO rem_embedding_queue (entity_type, entity_id, field_name, provider, model, dimensions)
SELECT 'pages', id, 'heading', 'fake', 'm1', 8 FROM pages`);
		await migrate("heading");
		await expect.poll(waiting).toEqual([]);
		await expect
			.poll(vectors)
			.toEqual(["a.content", "a.heading", "b.content", "b.heading"]);
	});

	test("takes the name of another one that is renamed as well, and the vectors go with the texts", async () => {
		asked();
		await psql("ALTER TABLE pages RENAME COLUMN title TO heading");
		await psql("ALTER TABLE pages RENAME COLUMN content TO title");
		await migrate("shifted");
		await expect
			.poll(vectors)
			.toEqual(["a.heading", "a.title", "b.heading", "b.title"]);
		expect(await broken(["heading", "title"])).toEqual([]);
		await (await at("shifted")).embeddings.sync();
		expect(asked()).toEqual([]);
	});

	test("that is split gives its vectors to the parts with the same text", async () => {
		await psql(`ALTER TABLE pages ADD COLUMN heading TEXT;
UPDATE pages SET heading = content WHERE name = 'a';
UPDATE pages SET heading = 'part', content = 'other' WHERE name = 'b';
ALTER TABLE pages RENAME COLUMN content TO lead`);
		await migrate("split");
		await expect.poll(waiting).toEqual(["b.heading", "b.lead"]);
		await expect
			.poll(vectors)
			.toEqual(["a.heading", "a.lead", "a.title", "b.title"]);
		expect(await broken(["heading", "lead", "title"])).toEqual([]);
	});

	test("that is renamed takes along all passages of a text", async () => {
		const title = "A sentence of a title. ".repeat(4000);
		await upsert("both", [{ name: "a", title }]);
		const before = await stored("title");
		expect(before.length).toBeGreaterThan(1);
		await psql("ALTER TABLE pages RENAME COLUMN title TO heading");
		await migrate("heading");
		await expect.poll(() => stored("heading")).toEqual(before);
		expect(await waiting()).toEqual([]);
	});

	test.runIf(engine === "server")(
		"that is renamed while a client has locked a row loses no text, and stores no outdated vector",
		async () => {
			const both = await at("both");
			await psql("ALTER TABLE pages RENAME COLUMN title TO heading");
			await psql(`UPDATE rem_embedding_fields SET state = 'removing' WHERE field_name = 'title';
INSERT INTO rem_embedding_fields (entity_type, field_name, column_name) VALUES ('pages', 'heading', 'heading')`);
			const heading = await at("heading");
			const moved = async () =>
				(
					await heading.execute(
						"SELECT name FROM pages JOIN embeddings_pages ON entity_id = pages.id WHERE field_name = 'heading'",
					)
				).rows;
			let syncing: Promise<unknown> | undefined;
			await both.transaction(async (tx) => {
				await tx.script("SELECT FROM pages WHERE name = 'a' FOR UPDATE");
				syncing = heading.embeddings.sync();
				await expect.poll(moved).toEqual([{ name: "b" }]);
				await tx.script("UPDATE pages SET heading = 'New' WHERE name = 'a'");
			});
			await syncing;
			expect(await vectors()).toEqual([
				"a.content",
				"a.heading",
				"b.content",
				"b.heading",
			]);
			expect(await broken(["content", "heading"])).toEqual([]);
		},
	);

	test("that is dropped takes its vectors with it", async () => {
		await psql("ALTER TABLE pages DROP COLUMN title");
		await psql("UPDATE pages SET content = 'new' WHERE name = 'a'");
		expect(await waiting()).toEqual(["a.content"]);
		await migrate("heading");
		await expect.poll(vectors).toEqual(["b.content"]);
	});
});

test("whatever the order of writers, migrations and workers of both versions, no text is forgotten and no vector outdated", async () => {
	await migrate("content");
	await migrate("both");
	let state = 42;
	const random = (below: number) => {
		state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
		return Math.floor((state / 2 ** 31) * below);
	};
	const pick = <T>(of: readonly T[]) => of[random(of.length)] as T;
	const text = () => pick(["", " ", "one", "two", `text ${random(1000)}`]);
	const name = () => `p${random(4)}`;
	// Where the versions take turns, a version stays for some steps.
	let version: Version = "content";
	let inserted = 0;
	const actions: Record<string, () => Promise<unknown>> = {
		upsert: () =>
			upsert(version, [{ name: name(), content: text(), title: text() }]),
		"upsert of a title": () =>
			upsert(version, [{ name: name(), title: text() }]),
		"upsert that queues": async () => {
			fake.fail();
			await (await at(version)).batchUpsert({
				tableName: "pages",
				entities: [{ name: name(), content: text(), title: text() }],
				onEmbeddingError: "queue",
			});
			fake.reset();
		},
		psql: () =>
			psql(
				`UPDATE pages SET title = '${text()}', content = '${text()}' WHERE name = '${name()}'`,
			),
		insert: () =>
			psql(
				`INSERT INTO pages (tenant_id, name, title) VALUES ('default', 'q${inserted++}', '${text()}')`,
			),
		"soft delete": () =>
			psql(
				`UPDATE pages SET deleted_at = CASE WHEN deleted_at IS NULL THEN now() END WHERE name LIKE 'q%'`,
			),
		migrate: () => migrate(version),
		sync: async () => (await at(version)).embeddings.sync(),
	};
	for (let step = 0; step < steps; step++) {
		if (random(engine === "server" ? 2 : 12) === 0)
			version = pick(["content", "both"]);
		await at(version);
		const [what, run] = pick(Object.entries(actions));
		await run();
		expect(
			await broken(),
			`after ${what} of "${version}" (step ${step})`,
		).toEqual([]);
	}
});

test("a claim of an earlier release, which names no fields, settles none", async () => {
	await migrate("both");
	await upsert("both", rows);
	const service = await at("both");
	await service.transaction(async (tx) => {
		await tx.script(
			"SELECT set_config('remdb.settles', 'public.pages fake m1 8', true); UPDATE pages SET title = 'Old writer'",
		);
	});
	expect(await waiting()).toEqual(["a.title", "b.title"]);
	expect(await vectors()).toEqual(["a.content", "b.content"]);
});
