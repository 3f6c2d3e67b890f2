import { AsyncResource } from "node:async_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, test, vi } from "vitest";
import * as z from "zod";
import { defineEntity, type NewRow, PostgresService } from "../../src/index.ts";
import { codeOf, engine, useService } from "../support/engine.ts";
import { FakeProvider } from "../support/fake-provider.ts";

// Whichever program writes a text, and whatever happens to the provider: in the end every
// text has the vector of its present content, and nothing else has one.

const Page = defineEntity(
	"pages",
	{
		name: z.string(),
		content: z.string().optional(),
		summary: z.string().optional(),
		year: z.number().int().optional(),
	},
	{ entityKeyField: "name" },
);
const Shared = defineEntity(
	"shared_pages",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name", tenantScoped: false },
);

const fake = new FakeProvider();
const db = useService({ models: [Page, Shared], embedding: fake });
const service = () => db.service;

beforeEach(async () => {
	fake.reset();
	await service().embeddings.stop();
	await service().execute("TRUNCATE pages, shared_pages CASCADE");
});

const upsert = (entities: readonly NewRow<typeof Page>[], options = {}) =>
	service().batchUpsert({ tableName: "pages", entities, ...options });

/** As psql would. */
const psql = (text: string) => service().execute(text);

const insert = (name: string, content: string | null) =>
	psql(
		`INSERT INTO pages (tenant_id, name, content) VALUES ('default', '${name}', ${content === null ? "NULL" : `'${content}'`})`,
	);

/** `a.content` of what waits. */
async function waiting(): Promise<string[]> {
	const { rows } = await service().execute<{ text: string }>(`
SELECT coalesce(p.name, q.entity_type) || '.' || q.field_name AS text
FROM rem_embedding_queue q LEFT JOIN pages p ON p.id = q.entity_id ORDER BY 1`);
	return rows.map(({ text }) => text);
}

/** Every vector with what is wrong with it: nothing should be. */
async function vectors(): Promise<string[]> {
	const { rows } = await service().execute<{ text: string }>(`
SELECT p.name || '.' || e.field_name || CASE WHEN e.content_hash =
  sha256(convert_to(CASE e.field_name WHEN 'content' THEN p.content ELSE p.summary END, 'UTF8'))
  THEN '' ELSE ' of another text' END AS text
FROM embeddings_pages e JOIN pages p ON p.id = e.entity_id ORDER BY 1`);
	return rows.map(({ text }) => text);
}

const sync = () => service().embeddings.sync();

describe("a text is queued in its writer's transaction", () => {
	test("by plain SQL, each field once however often it changes", async () => {
		await psql(`
INSERT INTO pages (tenant_id, name, content, summary) VALUES ('t', 'a', 'one', 'sum'), ('t', 'b', NULL, ' \t'), ('t', 'c', 'two', NULL);
UPDATE pages SET content = 'one more' WHERE name = 'a';
UPDATE pages SET year = 2000`);
		expect(await waiting()).toEqual(["a.content", "a.summary", "c.content"]);
		expect(await sync()).toMatchObject({ embedded: 3, dead: 0 });
		expect(await vectors()).toEqual(["a.content", "a.summary", "c.content"]);
		expect(await waiting()).toEqual([]);
		expect(fake.asked.toSorted()).toEqual(["one more", "sum", "two"]);
	});

	test("by COPY", async () => {
		// The embedded engine has files of its own in memory; of a server, none is left behind.
		const source =
			engine === "server"
				? `PROGRAM $$printf 't\ta\tone\nt\tb\t\\\\N\nt\tc\ttwo\n'$$`
				: "'/tmp/pages'";
		if (engine === "embedded")
			await psql(`
COPY (VALUES ('t', 'a', 'one'), ('t', 'b', NULL), ('t', 'c', 'two')) TO '/tmp/pages'`);
		await psql(`COPY pages (tenant_id, name, content) FROM ${source}`);
		expect(await waiting()).toEqual(["a.content", "c.content"]);
		expect(await sync()).toMatchObject({ embedded: 2 });
		expect(await vectors()).toEqual(["a.content", "c.content"]);
	});

	test("and is not, where the transaction is rolled back", async () => {
		await service()
			.transaction(async (tx) => {
				await tx.script(
					"INSERT INTO pages (tenant_id, name, content) VALUES ('t', 'a', 'one')",
				);
				throw new Error("no");
			})
			.catch(() => {});
		expect(await waiting()).toEqual([]);
	});

	test("of tables without tenants, too", async () => {
		await psql("INSERT INTO shared_pages (name, content) VALUES ('a', 'one')");
		expect(await sync()).toMatchObject({ embedded: 1 });
	});

	test("under REPEATABLE READ", async () => {
		await service().transaction(
			async (tx) => {
				await tx.script(
					"INSERT INTO pages (tenant_id, name, content) VALUES ('t', 'a', 'one')",
				);
			},
			{ isolation: "repeatable read" },
		);
		expect(await waiting()).toEqual(["a.content"]);
	});

	test("when another program's trigger replaces our text", async () => {
		await psql(`
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.content := upper(NEW.content); RETURN NEW; END $$;
CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON pages FOR EACH ROW EXECUTE FUNCTION shout()`);
		try {
			await upsert([{ name: "a", content: "quiet" }]);
			await sync();
			expect(fake.asked).toEqual(["quiet", "QUIET"]);
			expect(await vectors()).toEqual(["a.content"]);
		} finally {
			await psql("DROP TRIGGER shout ON pages; DROP FUNCTION shout()");
		}
	});

	test("when a trigger that an upsert sets off writes it", async () => {
		await psql(`
CREATE FUNCTION copy_page() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.name NOT LIKE '%copy' THEN
    INSERT INTO pages (tenant_id, name, content) VALUES (NEW.tenant_id, NEW.name || '-copy', NEW.content || ' copied');
  END IF; RETURN NULL; END $$;
CREATE TRIGGER copy_page AFTER INSERT ON pages FOR EACH ROW EXECUTE FUNCTION copy_page()`);
		try {
			await upsert([{ name: "a", content: "one" }]);
			expect(await vectors()).toEqual(["a.content"]);
			expect(await waiting()).toEqual(["a-copy.content"]);
		} finally {
			await psql("DROP TRIGGER copy_page ON pages; DROP FUNCTION copy_page()");
		}
	});
});

describe("an upsert settles its own texts", () => {
	test("and leaves nothing in the queue, also where something was", async () => {
		await upsert([{ name: "a", content: "one" }]);
		expect(await waiting()).toEqual([]);
		await psql("UPDATE pages SET content = 'two'");
		expect(await waiting()).toEqual(["a.content"]);
		expect(await vectors()).toEqual([]);
		await upsert([{ name: "a", content: "two" }]);
		expect(await waiting()).toEqual([]);
		await psql("UPDATE pages SET content = 'three'");
		await upsert([{ name: "a", content: null }]);
		expect(await waiting()).toEqual([]);
		expect(await vectors()).toEqual([]);
	});

	test("but not those that the caller's own statements change in the same transaction", async () => {
		await service().transaction(async (tx) => {
			await upsert([{ name: "a", content: "one" }], { transaction: tx });
			await tx.script("UPDATE pages SET content = 'two' WHERE name = 'a'");
		});
		expect(await waiting()).toEqual(["a.content"]);
		expect(await vectors()).toEqual([]);
	});

	test("leaves those it is not to embed for the worker", async () => {
		const result = await upsert(
			[
				{
					name: "a",
					content: "one",
					vectors: { content: new Float32Array(8).fill(1) },
				},
				{ name: "b", content: "two" },
			],
			{ generateEmbeddings: false },
		);
		expect(result).toMatchObject({
			embeddingsGenerated: 1,
			embeddingsQueued: 1,
		});
		expect(await waiting()).toEqual(["b.content"]);
	});
});

describe("vectors go with their text", () => {
	beforeEach(async () => {
		await upsert([{ name: "a", content: "one", summary: "sum" }]);
		fake.reset();
	});

	test.each(["NULL", "''", "E' \\n\\u00a0'"])(
		"that becomes %s",
		async (empty) => {
			await psql(`UPDATE pages SET content = 'other'`);
			await psql(`UPDATE pages SET content = ${empty}`);
			expect(await vectors()).toEqual(["a.summary"]);
			expect(await waiting()).toEqual([]);
		},
	);

	test("with a soft delete; a restore queues them", async () => {
		const repository = service().repository(Page);
		const [page] = await repository.find({ name: "a" });
		await repository.delete(page?.id as string);
		expect(await vectors()).toEqual([]);
		expect(await waiting()).toEqual([]);
		await repository.restore(page?.id as string);
		expect(await waiting()).toEqual(["a.content", "a.summary"]);
		await sync();
		expect(await vectors()).toEqual(["a.content", "a.summary"]);
	});

	test.each([
		["DELETE", "DELETE FROM pages"],
		["TRUNCATE", "TRUNCATE pages CASCADE"],
	])("with a %s, and nothing waits any more", async (_, statement) => {
		await psql("UPDATE pages SET content = 'two'");
		await psql(statement);
		expect(await waiting()).toEqual([]);
		expect(await vectors()).toEqual([]);
	});
});

describe("a vector is only stored for the text it was made of", () => {
	test("one that changed during the call gets its new text's", async () => {
		await insert("a", "one");
		fake.onCall = async ([text]) => {
			if (text === "one") await psql("UPDATE pages SET content = 'two'");
		};
		await sync();
		expect(fake.asked).toEqual(["one", "two"]);
		expect(await vectors()).toEqual(["a.content"]);
		expect(await waiting()).toEqual([]);
	});

	test.each([
		["deleted", "DELETE FROM pages"],
		["softly deleted", "UPDATE pages SET deleted_at = now()"],
		["emptied", "UPDATE pages SET content = ''"],
	])("one that was %s during the call gets none", async (_, statement) => {
		await insert("a", "one");
		fake.onCall = () => psql(statement);
		expect(await sync()).toMatchObject({ embedded: 0 });
		expect(await vectors()).toEqual([]);
		expect(await waiting()).toEqual([]);
	});

	test("one that has its vector already is not sent again", async () => {
		await upsert([{ name: "a", content: "one" }]);
		await psql(`
INSERT INTO rem_embedding_queue (entity_type, entity_id, field_name, provider, model, dimensions)
SELECT 'pages', id, 'content', 'fake', 'm1', 8 FROM pages`);
		fake.reset();
		expect(await sync()).toMatchObject({ embedded: 0, settled: 1 });
		expect(fake.asked).toEqual([]);
	});
});

describe("when the provider fails", () => {
	test("only a refused text is dead-lettered, with a reason that does not quote it; retry queues it again", async () => {
		await insert("a", "fine");
		await insert("b", "secret poison");
		fake.refuse((text) => text.includes("poison"));
		expect(await sync()).toMatchObject({ embedded: 1, dead: 1 });
		const status = await service().embeddings.status();
		expect(
			status.fields.find(({ fieldName }) => fieldName === "content"),
		).toMatchObject({
			tableName: "pages",
			model: "m1",
			state: "active",
			texts: 2,
			embedded: 1,
			queued: 0,
			dead: 1,
			reasons: [
				{
					reason: 'embedding provider "fake" refused the text (status 400)',
					count: 1,
				},
			],
		});
		expect(JSON.stringify(status)).not.toContain("poison");

		fake.reset();
		expect(await sync()).toMatchObject({ embedded: 0, dead: 0 });
		expect(await service().embeddings.retry()).toBe(1);
		expect(await sync()).toMatchObject({ embedded: 1, dead: 0 });
		expect(await waiting()).toEqual([]);
	});

	test("a change of the text brings it back as well", async () => {
		await insert("a", "poison");
		fake.refuse((text) => text === "poison");
		await sync();
		await psql("UPDATE pages SET content = 'fine'");
		expect(await sync()).toMatchObject({ embedded: 1 });
	});

	test("sync reports it, and everything stays queued", async () => {
		await insert("a", "one");
		fake.fail(401);
		expect(await codeOf(sync())).toBe("PROVIDER_NOT_CONFIGURED");
		expect(await waiting()).toEqual(["a.content"]);
		fake.reset();
		expect(await sync()).toMatchObject({ embedded: 1 });
	});

	test("an upsert fails and writes nothing, unless it is to queue", async () => {
		fake.fail(401);
		const rows = [{ name: "a", content: "one" }, { name: "b" }];
		expect(await codeOf(upsert(rows))).toBe("PROVIDER_NOT_CONFIGURED");
		expect(await service().repository(Page).count()).toBe(0);
		expect(await upsert(rows, { onEmbeddingError: "queue" })).toMatchObject({
			inserted: 2,
			embeddingsGenerated: 0,
			embeddingsQueued: 1,
		});
		expect(await waiting()).toEqual(["a.content"]);
		// Neither a row nor its text changed, but it still has no vector.
		expect(await upsert(rows, { onEmbeddingError: "queue" })).toMatchObject({
			unchanged: 2,
			embeddingsQueued: 1,
		});
		fake.reset();
		await sync();
		expect(await vectors()).toEqual(["a.content"]);
	});

	test("of one text, the others of the upsert get theirs", async () => {
		fake.refuse((text) => text === "poison");
		const result = await upsert(
			[
				{ name: "a", content: "one" },
				{ name: "b", content: "poison" },
			],
			{ onEmbeddingError: "queue" },
		);
		expect(result).toMatchObject({
			embeddingsGenerated: 1,
			embeddingsQueued: 1,
		});
		expect(await vectors()).toEqual(["a.content"]);
		expect(await waiting()).toEqual(["b.content"]);
	});

	test("a batch in chunks does not ask it again for every chunk", async () => {
		fake.fail(401);
		const rows = Array.from({ length: 1200 }, (_, index) => ({
			name: `p${index}`,
			content: `text ${index}`,
		}));
		const result = await upsert(rows, {
			onEmbeddingError: "queue",
			atomic: "chunk",
		});
		expect(result).toMatchObject({ inserted: 1200, embeddingsQueued: 1200 });
		expect(fake.asked.length).toBeLessThanOrEqual(500);
	});

	test("a repository queues, too", async () => {
		fake.fail(401);
		await service()
			.repository(Page)
			.upsert({ name: "a", content: "one" }, { onEmbeddingError: "queue" });
		expect(await waiting()).toEqual(["a.content"]);
	});
});

describe("sync", () => {
	test("finds what no trigger saw, and removes vectors whose text is gone", async () => {
		await upsert([
			{ name: "a", content: "one" },
			{ name: "b", content: "two" },
			{ name: "c", content: "three" },
		]);
		const triggers = ["insert", "update"].map(
			(event) => `trg_pages_embeddings_${event}`,
		);
		const all = (what: string) =>
			triggers
				.map((name) => `ALTER TABLE pages ${what} TRIGGER ${name};`)
				.join("");
		await psql(`${all("DISABLE")}
UPDATE pages SET content = 'changed' WHERE name = 'a';
UPDATE pages SET content = NULL WHERE name = 'b';
INSERT INTO pages (tenant_id, name, content) VALUES ('default', 'd', 'four');
${all("ENABLE ALWAYS")}`);
		expect(await waiting()).toEqual([]);
		expect(await sync()).toMatchObject({ embedded: 2, removed: 1 });
		expect(await vectors()).toEqual(["a.content", "c.content", "d.content"]);
		expect(await sync()).toEqual({
			embedded: 0,
			settled: 0,
			dead: 0,
			tokens: 0,
			removed: 0,
		});
	});

	test("reports its progress, and can be interrupted", async () => {
		await psql(
			"INSERT INTO pages (tenant_id, name, content) SELECT 't', 'p' || n, 'text ' || n FROM generate_series(1, 1200) AS n",
		);
		expect(await service().embeddings.estimate()).toEqual({
			texts: 1200,
			tokens: expect.any(Number),
		});
		const stop = new AbortController();
		const seen: number[] = [];
		const cut = service().embeddings.sync({
			signal: stop.signal,
			onProgress: ({ done, total, totalTokens }) => {
				expect(total).toBe(1200);
				expect(totalTokens).toBeGreaterThan(1200);
				seen.push(done);
				if (done > 0) stop.abort();
			},
		});
		expect(await codeOf(cut)).toBe("CANCELLED");
		expect(seen[0]).toBe(0);
		await sync();
		expect(await vectors()).toHaveLength(1200);
	});

	test("takes over what a worker that died had, when its lease ends", async () => {
		await insert("a", "one");
		await psql(
			"UPDATE rem_embedding_queue SET lease_owner = gen_random_uuid(), due_at = now() + interval '300 ms'",
		);
		expect(await sync()).toMatchObject({ embedded: 1 });
	});

	test("ends with its own last text, and does not wait for its next look at the queue", async () => {
		await insert("a", "one");
		const start = setTimeout;
		// The poll of what others have leased never ends.
		const spy = vi
			.spyOn(globalThis, "setTimeout")
			.mockImplementation(((run: () => void, ms?: number) =>
				start(run, ms === 500 ? 2 ** 31 - 1 : ms)) as typeof setTimeout);
		try {
			expect(await sync()).toMatchObject({ embedded: 1 });
		} finally {
			spy.mockRestore();
		}
	});

	test("of two services shares the work", async () => {
		await psql(
			"INSERT INTO pages (tenant_id, name, content) SELECT 't', 'p' || n, 'text ' || n FROM generate_series(1, 1500) AS n",
		);
		const [one, two] = await Promise.all([sync(), sync()]);
		expect(one.embedded + two.embedded).toBe(1500);
		expect(new Set(fake.asked).size).toBe(fake.asked.length);
	});
});

// The embedded engine has one connection: no other client can own a lock.
test.runIf(engine === "server")(
	"a text that another client has locked for a moment is not paid for twice",
	async () => {
		await insert("a", "one");
		await insert("b", "two");
		let release: Promise<unknown> | undefined;
		fake.onCall = () => {
			if (release !== undefined) return;
			return new Promise<void>((isLocked) => {
				release = service().transaction(async (tx) => {
					await tx.script(
						"SELECT FROM rem_embedding_queue FOR UPDATE; SELECT FROM pages WHERE name = 'b' FOR UPDATE",
					);
					isLocked();
					await sleep(150);
				});
			});
		};
		expect(await sync()).toMatchObject({ embedded: 2 });
		await release;
		expect(fake.asked.toSorted()).toEqual(["one", "two"]);
		expect(await vectors()).toEqual(["a.content", "b.content"]);
	},
);

// A worker that looks for texts locks those that another one has just taken, until
// its own commit is on disk: under load that took longer than half a second.
test.runIf(engine === "server")(
	"a text whose place in the queue another worker has locked is not paid for twice",
	async () => {
		await insert("a", "one");
		await insert("b", "two");
		let release: Promise<unknown> | undefined;
		fake.onCall = () => {
			if (release !== undefined) return;
			return new Promise<void>((isLocked) => {
				release = service().transaction(async (tx) => {
					await tx.script("SELECT FROM rem_embedding_queue FOR UPDATE");
					isLocked();
					await sleep(1500);
				});
			});
		};
		expect(await sync()).toMatchObject({ embedded: 2 });
		await release;
		expect(fake.asked.toSorted()).toEqual(["one", "two"]);
	},
);

describe("the worker", () => {
	test("embeds what is queued while it runs, by others and by upserts", async () => {
		service().embeddings.start();
		service().embeddings.start();
		await insert("a", "one");
		await expect.poll(vectors).toEqual(["a.content"]);
		fake.fail(401);
		await upsert([{ name: "b", content: "two" }], {
			onEmbeddingError: "queue",
		});
		fake.reset();
		await service().embeddings.retry();
		await expect.poll(vectors).toEqual(["a.content", "b.content"]);
		expect((await service().embeddings.status()).running).toBe(true);
		await service().embeddings.stop();
		await service().embeddings.stop();
		await insert("c", "three");
		expect(await waiting()).toEqual(["c.content"]);
		expect((await service().embeddings.status()).running).toBe(false);
	});

	test("gives back what it has when it is stopped", async () => {
		await insert("a", "one");
		let called = () => {};
		const isCalled = new Promise<void>((resolve) => {
			called = resolve;
		});
		fake.onCall = () => {
			called();
			return new Promise(() => {});
		};
		service().embeddings.start();
		await isCalled;
		await service().embeddings.stop();
		const { rows } = await service().execute(
			"SELECT lease_owner, due_at <= now() AS due FROM rem_embedding_queue",
		);
		expect(rows).toEqual([{ lease_owner: null, due: true }]);
	});
});

test.runIf(engine === "server")(
	"a writer that has locked a row does not block a worker, nor a worker the writer",
	async () => {
		await upsert([{ name: "a", content: "one" }]);
		await insert("b", "two");
		await psql("UPDATE pages SET content = 'one more' WHERE name = 'a'");
		// What another client sees, and no part of the transaction.
		const vectorsBeside = AsyncResource.bind(vectors);
		await service().transaction(async (tx) => {
			await tx.script("UPDATE pages SET content = 'last' WHERE name = 'a'");
			const other = await PostgresService.connect({
				connectionString: db.url,
				models: [Page, Shared],
				embedding: fake,
			});
			other.embeddings.start();
			await expect.poll(vectorsBeside).toEqual(["b.content"]);
			await other.close();
		});
		await sync();
		expect(await vectors()).toEqual(["a.content", "b.content"]);
	},
);
