import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { createDatabase, engine } from "../support/engine.ts";

// A publication and a subscription between two databases of one server. A
// subscription to its own server would wait for itself to make its slot, so the
// slot is made first.

const Note = defineEntity(
	"notes",
	{
		title: z.string(),
		text: z.string(),
		about: z.string().nullish().meta({ embed: true }),
	},
	{ entityKeyField: "title" },
);
const models = [Note] as const;
const tenantId = "acme";
const embedding = { provider: "local", dimensions: 16 } as const;

type Service = PostgresService<typeof models>;

interface Pair {
	readonly publisher: Service;
	readonly subscriber: Service;
	readonly subscription: string;
	close(): Promise<void>;
}

async function connected(url: string): Promise<Service> {
	const service = await PostgresService.connect({
		connectionString: url,
		models,
		embedding,
		poolSize: 4,
	});
	await service.migrate();
	return service;
}

let pairs = 0;

/** Two databases, the second of which subscribes to what the first publishes. */
async function pairOf(published: string): Promise<Pair> {
	const databases = [await createDatabase(), await createDatabase()] as const;
	const [publisher, subscriber] = await Promise.all(
		databases.map(({ url }) => connected(url)),
	);
	if (publisher === undefined || subscriber === undefined)
		throw new Error("not connected");
	const name = `rem_test_${process.pid}_${Date.now()}_${++pairs}`;
	await publisher.batchUpsert({
		tableName: "notes",
		entities: [{ title: "copied", text: "there before the subscription" }],
		tenantId,
	});
	await publisher.execute(`CREATE PUBLICATION ${name} ${published}`);
	await publisher.execute(
		`SELECT pg_create_logical_replication_slot('${name}', 'pgoutput')`,
	);
	await subscriber.execute(
		`CREATE SUBSCRIPTION ${name} CONNECTION '${databases[0].url}' PUBLICATION ${name} WITH (create_slot = false, slot_name = '${name}')`,
	);
	return {
		publisher,
		subscriber,
		subscription: name,
		close: async () => {
			await subscriber.execute(`ALTER SUBSCRIPTION ${name} DISABLE`);
			await subscriber.execute(
				`ALTER SUBSCRIPTION ${name} SET (slot_name = NONE)`,
			);
			await subscriber.execute(`DROP SUBSCRIPTION ${name}`);
			await until(async () => {
				const { rows } = await publisher.execute(
					`SELECT FROM pg_replication_slots WHERE slot_name = '${name}' AND active`,
				);
				return rows.length === 0;
			});
			await publisher.execute(`SELECT pg_drop_replication_slot('${name}')`);
			await publisher.close();
			await subscriber.close();
			for (const { drop } of databases) await drop();
		},
	};
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
	const end = performance.now() + 120_000;
	while (!(await isSo())) {
		if (performance.now() > end) throw new Error("it did not come to that");
		await sleep(50);
	}
}

/** Waits until the subscriber has applied all that the publisher has committed. */
async function caughtUp({ publisher, subscriber, subscription }: Pair) {
	await until(async () => {
		const { rows } = await subscriber.execute(
			"SELECT FROM pg_subscription_rel WHERE srsubstate <> 'r'",
		);
		return rows.length === 0;
	});
	const { rows } = await publisher.execute<{ at: string }>(
		"SELECT pg_current_wal_lsn()::text AS at",
	);
	await until(async () => {
		const { rows: done } = await publisher.execute<{ done: boolean }>(
			`SELECT confirmed_flush_lsn >= '${rows[0]?.at}'::pg_lsn AS done FROM pg_replication_slots WHERE slot_name = '${subscription}'`,
		);
		return done[0]?.done === true;
	});
}

async function queuedOf(service: Service): Promise<string[]> {
	const { rows } = await service.execute<{ text: string }>(
		"SELECT coalesce(n.title, '?') || ' ' || q.field_name AS text FROM rem_embedding_queue AS q LEFT JOIN notes AS n ON n.id = q.entity_id ORDER BY 1",
	);
	return rows.map(({ text }) => text);
}

async function vectorsOf(service: Service): Promise<string[]> {
	const { rows } = await service.execute<{ text: string }>(
		"SELECT coalesce(n.title, '?') || ' ' || e.field_name AS text FROM embeddings_notes AS e LEFT JOIN notes AS n ON n.id = e.entity_id ORDER BY 1",
	);
	return rows.map(({ text }) => text);
}

const found = (service: Service, queryText: string) =>
	service
		.vectorSearch({ tableName: "notes", queryText, tenantId, limit: 1 })
		.then((rows) => rows.map(({ title }) => title));

const check = async (service: Service, name: string) =>
	(await service.doctor()).checks.filter((one) => one.name === name);

// The embedded database has no replication.
describe.runIf(engine === "server")(
	"a subscriber that embeds by itself",
	() => {
		let pair: Pair;
		beforeAll(async () => {
			pair = await pairOf(
				"FOR TABLE notes WITH (publish = 'insert, update, delete')",
			);
			await caughtUp(pair);
		});
		afterAll(() => pair?.close());

		const upsert = async (...entities: object[]) => {
			await pair.publisher.batchUpsert({
				tableName: "notes",
				entities: entities as never,
				tenantId,
			});
			await caughtUp(pair);
		};

		test("queues what the first copy brings", async () => {
			expect(await queuedOf(pair.subscriber)).toEqual(["copied text"]);
			await pair.subscriber.embeddings.sync();
			expect(await found(pair.subscriber, "before the subscription")).toEqual([
				"copied",
			]);
		});

		test("queues new texts, and those that have changed", async () => {
			const { subscriber } = pair;
			await upsert(
				{ title: "one", text: "about whales", about: "the sea" },
				{ title: "two", text: "about trains" },
			);
			expect(await queuedOf(subscriber)).toEqual([
				"one about",
				"one text",
				"two text",
			]);
			await subscriber.embeddings.sync();
			await upsert({ title: "one", text: "about bread", about: "the sea" });
			expect(await queuedOf(subscriber)).toEqual(["one text"]);
			// The vector of the older text is gone at once.
			expect(await vectorsOf(subscriber)).toEqual([
				"copied text",
				"one about",
				"two text",
			]);
			await subscriber.embeddings.sync();
			expect(await found(subscriber, "about bread")).toEqual(["one"]);
			await upsert({ title: "one", text: "about bread", about: null });
			expect(await vectorsOf(subscriber)).toEqual([
				"copied text",
				"one text",
				"two text",
			]);
			expect(await queuedOf(subscriber)).toEqual([]);
		});

		test("wakes its worker", async () => {
			const { subscriber } = pair;
			subscriber.embeddings.start();
			try {
				await upsert({ title: "woken", text: "about clocks" });
				await until(async () => (await queuedOf(subscriber)).length === 0);
			} finally {
				await subscriber.embeddings.stop();
			}
			expect(await vectorsOf(subscriber)).toContain("woken text");
		});

		test("follows soft deletes, restores, removals and a new user", async () => {
			const { publisher, subscriber } = pair;
			const rows = publisher.repository(Note);
			const [two] = await rows.find({ tenantId, title: "two" });
			const id = two?.id as string;
			await rows.delete(id, tenantId);
			await caughtUp(pair);
			expect(await vectorsOf(subscriber)).not.toContain("two text");
			await rows.restore(id, tenantId);
			await caughtUp(pair);
			expect(await queuedOf(subscriber)).toEqual(["two text"]);
			await subscriber.embeddings.sync();
			await publisher.execute(
				"UPDATE notes SET user_id = 'sara' WHERE id = $1",
				[id],
			);
			await caughtUp(pair);
			const { rows: users } = await subscriber.execute(
				"SELECT user_id FROM embeddings_notes WHERE entity_id = $1",
				[id],
			);
			expect(users).toEqual([{ user_id: "sara" }]);
			await rows.purge(id, tenantId);
			await caughtUp(pair);
			expect((await vectorsOf(subscriber)).join()).not.toMatch(/two|\?/);
			expect(await queuedOf(subscriber)).toEqual([]);
			expect(
				await subscriber.lookupEntity({ entityKey: "two", tenantId }),
			).toBeUndefined();
		});

		test("is in order by the doctor, and so is its publisher", async () => {
			expect(await check(pair.subscriber, "subscriptions")).toMatchObject([
				{ state: "ok" },
			]);
			expect(await check(pair.publisher, "publications")).toMatchObject([
				{ state: "ok" },
			]);
		});
	},
);

describe.runIf(engine === "server")("a publisher that embeds", () => {
	let pair: Pair;
	beforeAll(async () => {
		pair = await pairOf("FOR TABLE notes, embeddings_notes");
		await caughtUp(pair);
	});
	afterAll(() => pair?.close());

	test("sends its vectors, and nothing is queued on the other side", async () => {
		const { publisher, subscriber } = pair;
		const upsert = (text: string, generateEmbeddings = true) =>
			publisher.batchUpsert({
				tableName: "notes",
				entities: [{ title: "one", text }],
				tenantId,
				generateEmbeddings,
			});
		await upsert("about whales");
		await caughtUp(pair);
		expect(await queuedOf(subscriber)).toEqual([]);
		expect(await vectorsOf(subscriber)).toEqual(["copied text", "one text"]);
		await upsert("about bread", false);
		await caughtUp(pair);
		expect(await vectorsOf(subscriber)).toEqual(["copied text"]);
		expect(await queuedOf(subscriber)).toEqual([]);
		await publisher.embeddings.sync();
		await caughtUp(pair);
		expect(await found(subscriber, "about bread")).toEqual(["one"]);
		await publisher.repository(Note).purge(
			(await publisher.repository(Note).find({ tenantId })).map(({ id }) => id),
			tenantId,
		);
		await caughtUp(pair);
		expect(await vectorsOf(subscriber)).toEqual([]);
	});

	test("conflicts with a subscriber that embeds too, and the doctor of that one reports it", async () => {
		const { publisher, subscriber, subscription } = pair;
		expect(await check(subscriber, "subscriptions")).toMatchObject([
			{ state: "ok" },
		]);
		await publisher.batchUpsert({
			tableName: "notes",
			entities: [{ title: "both", text: "about conflicts" }],
			tenantId,
			generateEmbeddings: false,
		});
		await caughtUp(pair);
		await subscriber.embeddings.sync();
		await publisher.embeddings.sync();
		await until(async () => {
			const checks = await check(subscriber, "subscriptions");
			return checks.some(({ found }) => /was stopped \d+ times/.test(found));
		});
		expect(await check(subscriber, "subscriptions")).toMatchObject([
			{ state: "warning", remedy: expect.stringContaining("server's log") },
		]);
		// The remedy of the guide: this side's vectors go, and the publisher's are applied.
		await subscriber.execute("DELETE FROM embeddings_notes");
		await caughtUp(pair);
		await subscriber.execute(
			"SELECT pg_stat_reset_subscription_stats(oid) FROM pg_subscription WHERE subname = $1",
			[subscription],
		);
		expect(await vectorsOf(subscriber)).toEqual(["both text"]);
		await subscriber.execute(
			"INSERT INTO notes (tenant_id, title, text) VALUES ('acme', 'written here', 'text')",
		);
		expect(await check(subscriber, "subscriptions")).toMatchObject([
			{
				state: "warning",
				found: expect.stringContaining("brings embeddings_notes"),
			},
		]);
	});
});

describe.runIf(engine === "server")("a publication of all tables", () => {
	let pair: Pair;
	beforeAll(async () => {
		pair = await pairOf("FOR ALL TABLES");
	});
	afterAll(() => pair?.close());

	test("never completes, and both doctors report why", async () => {
		const { publisher, subscriber } = pair;
		expect(await check(publisher, "publications")).toMatchObject([
			{
				state: "warning",
				found: expect.stringMatching(/rem_embedding_models|rem_migrations/),
				remedy: expect.stringContaining("FOR TABLE notes, embeddings_notes"),
			},
		]);
		await until(async () => {
			const checks = await check(subscriber, "subscriptions");
			return checks.some(({ found }) => found.includes("was stopped"));
		});
		expect(await check(subscriber, "subscriptions")).toMatchObject([
			{ state: "warning", found: expect.stringContaining("never finishes") },
			{ state: "warning" },
		]);
	});
});
