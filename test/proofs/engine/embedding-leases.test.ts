import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../../src/index.ts";
import { createDatabase, engine } from "../../support/engine.ts";
import { FakeProvider } from "../../support/fake-provider.ts";

// What a worker has taken is free again 15 seconds after its death at the latest,
// whatever the server's clock does during that time. A clock that was set back by two
// hours is the same to the queue as times that lie two hours further ahead.

const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);
const limitMs = 15_000;

const fake = new FakeProvider();
let url: string;
let drop: () => Promise<void>;
let services: PostgresService[];

beforeEach(async () => {
	fake.reset();
	services = [];
	if (engine === "server") {
		({ url, drop } = await createDatabase());
	} else {
		const folder = mkdtempSync(join(tmpdir(), "remdb-leases-"));
		url = `file:${folder}`;
		drop = async () => rmSync(folder, { recursive: true, force: true });
	}
});
afterEach(async () => {
	for (const service of services) await service.close();
	await drop();
});

async function connect(embedding = fake): Promise<PostgresService> {
	const service = (await PostgresService.connect({
		connectionString: url,
		models: [Page],
		embedding,
		poolSize: 4,
		backgroundIndex: { enabled: false },
	})) as unknown as PostgresService;
	services.push(service);
	return service;
}

async function withTexts(count: number): Promise<PostgresService> {
	const service = await connect();
	await service.migrate();
	await service.execute(
		`INSERT INTO pages (tenant_id, name, content) SELECT 'default', 'p' || n, 'text ' || n FROM generate_series(1, ${count}) AS n`,
	);
	return service;
}

const clockSetBack = (service: PostgresService) =>
	service.execute(
		"UPDATE rem_embedding_queue SET due_at = due_at + interval '2 hours', queued_at = queued_at + interval '2 hours'",
	);

async function left(service: PostgresService): Promise<number> {
	const { rows } = await service.execute<{ count: number }>(
		"SELECT count(*)::int AS count FROM rem_embedding_queue WHERE state = 'pending'",
	);
	return rows[0]?.count ?? 0;
}

/** Milliseconds until nothing waits any more. */
async function untilEmpty(service: PostgresService): Promise<number> {
	const started = performance.now();
	await expect.poll(() => left(service), { interval: 100 }).toBe(0);
	return performance.now() - started;
}

/** As a worker of a process that died has left it. */
const leased = (service: PostgresService) =>
	service.execute(
		"UPDATE rem_embedding_queue SET lease_owner = gen_random_uuid(), due_at = now() + interval '10 seconds'",
	);

describe("after the server's clock was set back by two hours", () => {
	test("a worker takes over what a dead one had, while it runs and when it starts", async () => {
		const service = await withTexts(3);
		await leased(service);
		await clockSetBack(service);
		service.embeddings.start();
		expect(await untilEmpty(service)).toBeLessThan(limitMs);
		await service.execute("UPDATE pages SET content = content || '!'");
		await leased(service);
		await clockSetBack(service);
		expect(await untilEmpty(service)).toBeLessThan(limitMs);
	});

	test("sync does", async () => {
		const service = await withTexts(3);
		await leased(service);
		await clockSetBack(service);
		const started = performance.now();
		expect(await service.embeddings.sync()).toMatchObject({ embedded: 3 });
		expect(performance.now() - started).toBeLessThan(limitMs);
	});

	test("texts that rest after a failure rest no longer than before", async () => {
		const service = await withTexts(1);
		fake.fail();
		await service.embeddings.sync().catch(() => {});
		expect(await left(service)).toBe(1);
		fake.reset();
		await clockSetBack(service);
		service.embeddings.start();
		expect(await untilEmpty(service)).toBeLessThan(limitMs);
	});

	test("a worker that lives gets its vectors stored, or another one does", async () => {
		const service = await withTexts(1);
		let calls = 0;
		fake.onCall = async () => {
			if (calls++ > 0) return;
			await clockSetBack(service);
			await sleep(5000);
		};
		service.embeddings.start();
		expect(await untilEmpty(service)).toBeLessThan(limitMs);
		const { fields } = await service.embeddings.status();
		expect(fields.map(({ embedded }) => embedded)).toEqual([1]);
	});
});

test("retry ends leases and pauses, whatever their time", async () => {
	const service = await withTexts(2);
	service.embeddings.start();
	await untilEmpty(service);
	await service.embeddings.stop();
	await service.execute("UPDATE pages SET content = content || '!'");
	await service.execute(
		"UPDATE rem_embedding_queue SET due_at = now() + interval '4 minutes', lease_owner = CASE WHEN random() < 0.5 THEN gen_random_uuid() END",
	);
	expect(await service.embeddings.retry()).toBe(0);
	const { rows } = await service.execute(
		"SELECT DISTINCT lease_owner, due_at <= now() AS due FROM rem_embedding_queue",
	);
	expect(rows).toEqual([{ lease_owner: null, due: true }]);
});

test.runIf(engine === "server")(
	"a worker that waits long for its provider renews its lease: the text is sent once",
	async () => {
		const service = await withTexts(1);
		fake.onCall = () => sleep(13_000);
		const other = await connect();
		service.embeddings.start();
		await expect.poll(() => fake.asked.length).toBe(1);
		other.embeddings.start();
		await untilEmpty(service);
		expect(fake.asked).toHaveLength(1);
	},
);

test("what a process had that was killed with SIGKILL is embedded by another within 15 seconds", async () => {
	const first = await withTexts(20);
	if (engine === "embedded") {
		await first.close();
		services = [];
	}
	const { child, called } = startWorker();
	await called;
	child.kill("SIGKILL");
	await new Promise((resolve) => child.once("close", resolve));
	const died = performance.now();
	const service = engine === "embedded" ? await connect() : first;
	expect(await left(service)).toBe(20);
	service.embeddings.start();
	await untilEmpty(service);
	expect(performance.now() - died).toBeLessThan(limitMs);
	expect(fake.asked).toHaveLength(20);
});

/** A process whose provider never answers; `called` when it was asked. */
function startWorker(): { child: ChildProcess; called: Promise<void> } {
	const script = `
import { createJiti } from "jiti";
import * as z from "zod";
const { defineEntity, PostgresService } = await createJiti(import.meta.url).import("./src/index.ts");
const Page = defineEntity("pages", { name: z.string(), content: z.string() }, { entityKeyField: "name" });
const embedding = { name: "fake", model: "m1", dimensions: 8, limits: { maxTexts: 100 }, embed: () => { console.log("called"); return new Promise(() => {}); } };
const service = await PostgresService.connect({ connectionString: ${JSON.stringify(url)}, models: [Page], embedding });
service.embeddings.start();
setInterval(() => {}, 1000);`;
	const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	const called = new Promise<void>((resolve) => {
		child.stdout.setEncoding("utf8").on("data", (text: string) => {
			if (text.includes("called")) resolve();
		});
	});
	return { child, called };
}
