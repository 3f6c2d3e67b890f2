import { metrics, SpanStatusCode, trace } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { codeOf, engine, useService } from "../support/engine.ts";
import { FakeProvider } from "../support/fake-provider.ts";
import { useTelemetry } from "../support/telemetry.ts";

const Note = defineEntity(
	"notes",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name", indexes: [["name"]] },
);
const provider = new FakeProvider("fake", "m1", 8);
const telemetry = useTelemetry();
const db = useService({
	models: [Note],
	embedding: provider,
	backgroundIndex: { enabled: false },
	retryTimeoutMs: 10_000,
});

beforeEach(() => telemetry.forgetSpans());
afterEach(() => provider.reset());

const write = (name: string, content = `about ${name}`) =>
	db.service.batchUpsert({
		tableName: "notes",
		entities: [{ name, content }],
	});

const named = (name: string) =>
	telemetry.spans().filter((span) => span.name === name);

function only(name: string): ReadableSpan {
	const found = named(name);
	expect(
		found,
		telemetry
			.spans()
			.map((span) => span.name)
			.join(),
	).toHaveLength(1);
	return found[0] as ReadableSpan;
}

async function figure(
	metric: string,
	attributes: Readonly<Record<string, unknown>> = {},
): Promise<unknown> {
	const points = await telemetry.points();
	return points.find(
		(point) =>
			point.metric === metric &&
			Object.entries(attributes).every(
				([name, value]) => point.attributes[name] === value,
			),
	)?.value;
}

test("a write is a span with its counts, and the provider's call one inside it", async () => {
	await write("first");
	const upsert = only("batchUpsert notes");
	expect(upsert.attributes).toMatchObject({
		"db.system.name": "postgresql",
		"db.operation.name": "batchUpsert",
		"db.collection.name": "notes",
		"remdb.inserted": 1,
		"remdb.unchanged": 0,
		"remdb.embeddingsGenerated": 1,
		"remdb.kvEntries": 1,
	});
	const call = only("embeddings m1");
	expect(call.attributes).toEqual({
		"gen_ai.operation.name": "embeddings",
		"gen_ai.provider.name": "fake",
		"gen_ai.request.model": "m1",
		"gen_ai.embeddings.dimension.count": 8,
		"remdb.texts": 1,
	});
	expect(call.parentSpanContext?.spanId).toBe(upsert.spanContext().spanId);
});

test("every public verb is a span", async () => {
	const { service } = db;
	await write("a");
	const scope = service.scope({ tenantId: "default" });
	const notes = service.repository(Note);
	await service.lookupEntity({ entityKey: "a" });
	await service.lookupEntities({ entityKeys: ["a"] });
	await service.fuzzySearch({ query: "a" });
	await service.vectorSearch({ tableName: "notes", queryText: "a" });
	await service.hybridSearch({ tableName: "notes", query: "a" });
	await service.evaluate({
		tableName: "notes",
		queries: [{ query: "a", relevant: ["a"] }],
		modes: ["hybrid"],
	});
	await service.recall({ query: "a" });
	await service.traverse({ from: "a" });
	await service.link({
		from: "a",
		edges: [{ dst: "b", rel_type: "knows" }],
	});
	await service.unlink({ from: "a", dst: "b" });
	await scope.query("LOOKUP a");
	const row = await notes.upsert({ name: "b", content: "b" });
	await notes.find({});
	await notes.count({});
	await notes.getById(row.id);
	await notes.delete(row.id);
	await notes.restore(row.id);
	await notes.purge(row.id);
	await service.execute("SELECT 1");
	await service.transaction(async (tx) => tx.script("SELECT 1"));
	await service.kv.rebuild();
	await service.kv.verify();
	await service.embeddings.sync();
	await service.createIndexConcurrently({
		tableName: "notes",
		indexType: "hnsw",
	});
	await service.migrate();
	await service.doctor();
	const names = new Set(telemetry.spans().map(({ name }) => name));
	for (const name of [
		"batchUpsert notes",
		"lookupEntity",
		"lookupEntities",
		"fuzzySearch",
		"vectorSearch notes",
		"hybridSearch notes",
		"evaluate notes",
		"recall",
		"traverse",
		"link",
		"unlink",
		"query",
		"upsert notes",
		"find notes",
		"count notes",
		"getById notes",
		"delete notes",
		"restore notes",
		"purge notes",
		"execute",
		"transaction",
		"kv.rebuild",
		"kv.verify",
		"embeddings.sync",
		"createIndexConcurrently notes",
		"index.build",
		"index.buildOne embeddings_notes",
		"migrate",
		"doctor",
		"embeddings m1",
	])
		expect(names, name).toContain(name);
	expect(only("query").attributes["remdb.query.kind"]).toBe("lookup");
	expect(only("fuzzySearch").attributes["db.response.returned_rows"]).toBe(1);
	expect(only("vectorSearch notes").attributes["remdb.search.plan"]).toBe(
		"exact",
	);
	expect(
		telemetry
			.spans()
			.filter(({ status }) => status.code === SpanStatusCode.ERROR),
	).toEqual([]);
});

test("a failed call's span has the code, and nothing of the message", async () => {
	const secret = "hidden-in-the-message";
	await codeOf(
		db.service.vectorSearch({
			tableName: secret as "notes",
			queryText: secret,
		}),
	);
	const span = only("vectorSearch");
	expect(span.status).toEqual({ code: SpanStatusCode.ERROR });
	expect(span.attributes["error.type"]).toBe("UNKNOWN_ENTITY");
	expect(span.events).toEqual([]);
	await codeOf(db.service.execute(`SELECT '${secret}'::int`));
	expect(only("execute").attributes).toMatchObject({
		"error.type": "DATABASE",
		"db.response.status_code": "22P02",
	});
});

test("searches are counted by their plan", async () => {
	const attributes = {
		"remdb.search.plan": "exact",
		"db.collection.name": "notes",
	};
	const before = Number((await figure("remdb.searches", attributes)) ?? 0);
	await write("planned");
	await db.service.vectorSearch({ tableName: "notes", queryText: "x" });
	await db.service.hybridSearch({ tableName: "notes", query: "x" });
	expect(await figure("remdb.searches", attributes)).toBe(before + 2);
});

test("a read that found the cache emptied is counted, and marked in its span", async () => {
	await write("fallen back");
	await db.service.execute("TRUNCATE kv_store");
	telemetry.forgetSpans();
	const found = await db.service.lookupEntity({ entityKey: "fallen back" });
	expect(found).toBeDefined();
	expect(only("lookupEntity").attributes["remdb.kv.fallback"]).toBe("emptied");
	expect(
		await figure("remdb.kv.fallbacks", { "remdb.reason": "emptied" }),
	).toBe(1);
	await db.service.kv.ensureReady();
});

test("what is run again is counted, and reported in the span of the call", async () => {
	await db.service.execute("CREATE SEQUENCE conflicts");
	await db.service.execute(`
CREATE FUNCTION conflict_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('conflicts') = 1 THEN RAISE EXCEPTION 'conflict' USING ERRCODE = '40001'; END IF;
  RETURN new;
END $$`);
	await db.service.execute(
		"CREATE TRIGGER conflict_once BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION conflict_once()",
	);
	await write("again");
	await db.service.execute("DROP TRIGGER conflict_once ON notes");
	const retry = {
		name: "remdb.retry",
		attributes: { "remdb.unit": "database", "error.type": "DATABASE" },
	};
	expect(only("batchUpsert notes").events).toMatchObject([retry]);
	expect(await figure("remdb.retries", retry.attributes)).toBe(1);
});

test("so is a provider's call that is made again", async () => {
	let calls = 0;
	provider.onCall = () => {
		if (++calls === 1)
			throw Object.assign(new Error("busy"), {
				status: 429,
				headers: { "retry-after": "0" },
			});
	};
	await write("asked twice");
	expect(named("embeddings m1").map(({ status }) => status.code)).toEqual([
		SpanStatusCode.ERROR,
		SpanStatusCode.UNSET,
	]);
	expect(await figure("remdb.retries", { "remdb.unit": "provider" })).toBe(1);
});

test("the queues are measured when metrics are collected, and dead letters counted", async () => {
	const { service } = db;
	await service.embeddings.sync();
	await service.batchUpsert({
		tableName: "notes",
		entities: [
			{ name: "waits", content: "waits" },
			{ name: "refused", content: "refused" },
		],
		onEmbeddingError: "queue",
		generateEmbeddings: false,
	});
	const waiting = { "remdb.queue": "embeddings", "remdb.state": "pending" };
	expect(await figure("remdb.queue.depth", waiting)).toBe(2);
	const age = await figure("remdb.queue.oldest_age", {
		"remdb.queue": "embeddings",
	});
	expect(age).toBeGreaterThanOrEqual(0);
	provider.refuse((text) => text === "refused");
	await service.embeddings.sync();
	expect(await figure("remdb.embeddings.dead_letters")).toBe(1);
	expect(
		await figure("remdb.queue.depth", { ...waiting, "remdb.state": "dead" }),
	).toBe(1);
	const batches = named("embeddings.batch notes").map(
		({ attributes }) => attributes,
	);
	for (const batch of batches)
		expect(batch).toMatchObject({
			"db.collection.name": "notes",
			"gen_ai.provider.name": "fake",
		});
	// One batch takes both, or two that run beside each other take one each.
	const total = (name: string) =>
		batches.reduce((sum, batch) => sum + Number(batch[name]), 0);
	expect([total("remdb.embedded"), total("remdb.dead")]).toEqual([1, 1]);
});

describe.runIf(engine === "server")("on a server", () => {
	test("a read on a connection that was killed is counted as run again", async () => {
		await write("killed");
		const before = Number(
			(await figure("remdb.retries", { "error.type": "CONNECTION_FAILED" })) ??
				0,
		);
		const slow = db.service.core.db.query(
			{ text: "SELECT pg_sleep(5)", values: [] },
			{ idempotent: true },
		);
		await expect
			.poll(async () => {
				const { rows } = await db.service.execute<{ killed: boolean }>(
					"SELECT pg_terminate_backend(pid) AS killed FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(5)' AND state = 'active' AND datname = current_database()",
				);
				return rows.length;
			})
			.toBe(1);
		await slow;
		expect(
			await figure("remdb.retries", { "error.type": "CONNECTION_FAILED" }),
		).toBe(before + 1);
	});
});

test("with no provider registered a call is made as if nothing were there", async () => {
	telemetry.forgetSpans();
	trace.disable();
	metrics.disable();
	await write("unseen");
	expect(await db.service.lookupEntity({ entityKey: "unseen" })).toBeDefined();
	expect(telemetry.spans()).toEqual([]);
});
