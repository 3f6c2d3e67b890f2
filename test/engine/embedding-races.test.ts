import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { engine, useService } from "../support/engine.ts";
import { FakeProvider } from "../support/fake-provider.ts";

// Interleavings of writers and workers, step by step: no vector is ever that of
// an older text, or of another owner. The embedded engine has one connection,
// so that no other client comes in between.

const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string().optional() },
	{ entityKeyField: "name" },
);

describe.runIf(engine === "server")("between a writer and a worker", () => {
	const fake = new FakeProvider();
	const db = useService({ models: [Page], embedding: fake });
	const clients: pg.Client[] = [];

	beforeEach(async () => {
		fake.reset();
		await db.service.execute("TRUNCATE pages CASCADE");
	});

	afterEach(async () => {
		for (const client of clients.splice(0)) await client.end();
	});

	/** A connection of another program. */
	async function writer(): Promise<pg.Client> {
		const client = new pg.Client({ connectionString: db.url });
		clients.push(client);
		await client.connect();
		return client;
	}

	const insert = (name: string, content: string) =>
		db.service.execute(
			"INSERT INTO pages (tenant_id, name, content) VALUES ('t', $1, $2)",
			[name, content],
		);

	/** Vectors that are not those of their row's present text and owner, and texts that neither have one nor wait. */
	async function wrong(): Promise<unknown[]> {
		const { rows } = await db.service.execute(`
SELECT p.name, p.content, e.tenant_id, q.state FROM pages p
LEFT JOIN embeddings_pages e ON e.entity_id = p.id
LEFT JOIN rem_embedding_queue q ON q.entity_id = p.id
WHERE CASE WHEN e IS NULL THEN p.deleted_at IS NULL AND p.content <> '' AND q IS NULL
  ELSE (p.tenant_id, p.deleted_at IS NULL, sha256(convert_to(p.content, 'UTF8')))
    IS DISTINCT FROM (e.tenant_id::varchar, TRUE, e.content_hash) END`);
		return rows;
	}

	test.each([
		["another text", "content = 'two'"],
		["no text", "content = NULL"],
		["another tenant", "tenant_id = 'u'"],
		["a soft delete", "deleted_at = now()"],
	])(
		"a REPEATABLE READ writer that cannot see the vector must begin again: %s",
		async (_, change) => {
			await insert("a", "one");
			const other = await writer();
			const update = async () => {
				await other.query(`UPDATE pages SET ${change}`);
				await other.query("COMMIT");
			};
			await other.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
			await other.query("SELECT FROM pages");
			await db.service.embeddings.sync();
			await expect(update()).rejects.toMatchObject({ code: "40001" });
			await other.query("ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ");
			await update();
			expect(await wrong()).toEqual([]);
		},
	);

	test("a writer of many rows is no deadlock for a sync that finds them", async () => {
		await db.service.execute(
			"INSERT INTO pages (tenant_id, name, content) SELECT 't', 'p' || n, 'text ' || n FROM generate_series(1, 9) AS n",
		);
		await db.service.execute("DELETE FROM rem_embedding_queue");
		const other = await writer();
		await other.query("BEGIN");
		await other.query("UPDATE pages SET content = 'last' WHERE name = 'p9'");
		const syncing = db.service.embeddings.sync();
		// Longer than the server's deadlock_timeout: from now on it would find us guilty.
		await new Promise((resolve) => setTimeout(resolve, 1300));
		await other.query("UPDATE pages SET content = 'first' WHERE name = 'p1'");
		await other.query("COMMIT");
		expect(await syncing).toMatchObject({ dead: 0 });
		expect(await wrong()).toEqual([]);
	});

	test("a vector of another tenant is replaced by the next sync, whatever wrote it", async () => {
		await insert("a", "one");
		await db.service.embeddings.sync();
		await db.service.execute("UPDATE embeddings_pages SET tenant_id = 'u'");
		expect(await db.service.embeddings.sync()).toMatchObject({
			removed: 1,
			embedded: 1,
		});
		expect(await wrong()).toEqual([]);
	});

	test("an upsert leaves in the queue what others changed while it embedded", async () => {
		await insert("a", "one");
		const other = await writer();
		fake.onCall = async ([text]) => {
			if (text !== "one") return;
			fake.onCall = () => {};
			// Another writes, a worker embeds that, and something queues it once more.
			await other.query("UPDATE pages SET content = 'two'");
			await db.service.embeddings.sync();
			await other.query(
				"INSERT INTO rem_embedding_queue (entity_type, entity_id, field_name, provider, model, dimensions) SELECT 'pages', id, 'content', 'fake', 'm1', 8 FROM pages",
			);
			await other.query("BEGIN");
			await other.query("UPDATE pages SET content = 'three'");
			setTimeout(() => other.query("COMMIT"), 500);
		};
		await db.service.batchUpsert({
			tableName: "pages",
			entities: [{ name: "a", content: "one" }],
			tenantId: "t",
		});
		await expect.poll(wrong).toEqual([]);
		await db.service.embeddings.sync();
		expect(await wrong()).toEqual([]);
		const { rows } = await db.service.execute("SELECT content FROM pages");
		expect(rows).toEqual([{ content: "three" }]);
	});
});
