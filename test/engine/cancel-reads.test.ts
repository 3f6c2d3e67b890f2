import pg from "pg";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { rowsVerbs } from "../../src/verbs/repository/verbs.ts";
import { verbs } from "../../src/verbs/verbs.ts";
import { codeOf, engine, useService } from "../support/engine.ts";
import { rowsVerbSamples } from "../support/rows-verb-samples.ts";
import { invoke } from "../support/sample-calls.ts";
import { sampleDimensions, verbSamples } from "../support/verb-samples.ts";

const Paper = defineEntity(
	"papers",
	{ name: z.string(), content: z.string(), sessionId: z.string().optional() },
	{ entityKeyField: "name" },
);
const db = useService({
	models: [Paper],
	embedding: { provider: "local", dimensions: sampleDimensions },
});
const rows = {
	tableName: "papers",
	tenantId: "acme",
	id: "0198c5a0-0000-7000-8000-000000000001",
};
const samples = verbSamples(rows);
const writes = ["batchUpsert", "link", "unlink"];
const reads = verbs
	.filter(({ name }) => !writes.includes(name))
	.map(({ name, scopeAt }) => [name, scopeAt] as const);

const rowsSamples = rowsVerbSamples(rows);
const rowsWrites = [
	"upsert",
	"update",
	"updateMany",
	"delete",
	"restore",
	"purge",
];
const rowsReads = rowsVerbs
	.map(({ name }) => name)
	.filter((name) => !rowsWrites.includes(name));

/** The sample of a repository's verb with a signal; its options are the last argument. */
function callRows(name: string, signal: AbortSignal) {
	const { given } = rowsSamples[name as keyof typeof rowsSamples];
	return invoke(db.service.repository(Paper), name, [...given, { signal }]);
}

/** The verb's sample with a signal among its options. */
function call(name: string, scopeAt: number, signal: AbortSignal) {
	const { given } = samples[name as keyof typeof samples];
	const args = [...given];
	args[scopeAt] = { ...(args[scopeAt] as object), signal };
	return invoke(db.service, name, args);
}

beforeAll(async () => {
	await invoke(db.service, "batchUpsert", samples.batchUpsert.given);
	// What is asked once is known: the calls below send the read itself.
	for (const [name, scopeAt] of reads)
		await call(name, scopeAt, new AbortController().signal);
	for (const name of rowsReads)
		await callRows(name, new AbortController().signal);
});

test.each(reads)("%s with an aborted signal is CANCELLED", async (...read) => {
	expect(await codeOf(call(...read, AbortSignal.abort()))).toBe("CANCELLED");
});

test.each(reads)("%s with a signal finds the same", async (name, scopeAt) => {
	const { given } = samples[name as keyof typeof samples];
	const { signal } = new AbortController();
	const found = JSON.stringify(await invoke(db.service, name, given));
	if (name === "evaluate") return;
	expect(JSON.stringify(await call(name, scopeAt, signal))).toBe(found);
});

test("every verb of a repository that changes no row is among them", () => {
	const changing = rowsVerbs
		.filter(({ name, buckets }) => buckets.changes || name === "upsert")
		.map(({ name }) => name);
	expect(rowsWrites.toSorted()).toEqual(changing.toSorted());
});

test.each(rowsReads)(
	"repository.%s with an aborted signal is CANCELLED, and with another one finds the same",
	async (name) => {
		expect(await codeOf(callRows(name, AbortSignal.abort()))).toBe("CANCELLED");
		const { given } = rowsSamples[name as keyof typeof rowsSamples];
		const found = await invoke(db.service.repository(Paper), name, given);
		const { signal } = new AbortController();
		expect(await callRows(name, signal)).toEqual(found);
	},
);

test("iterate gives no further row once the signal is aborted, be it read already", async () => {
	const papers = db.service.repository(Paper);
	const tenantId = "aborted";
	await papers.upsert(
		["a", "b", "c"].map((name) => ({ name, content: name })),
		{ tenantId, generateEmbeddings: false },
	);
	const controller = new AbortController();
	const { signal } = controller;
	const names: string[] = [];
	const reading = async () => {
		for await (const { name } of papers.iterate({ tenantId }, { signal })) {
			names.push(name);
			controller.abort();
		}
	};
	expect(await codeOf(reading())).toBe("CANCELLED");
	expect(names).toEqual(["a"]);
});

describe.runIf(engine === "server")("on a server", () => {
	const waiting = async () => {
		const { rows } = await db.service.execute<{ n: number }>(
			"SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
		);
		return rows[0]?.n;
	};

	test.each(reads)("the statement of %s is cancelled", async (...read) => {
		await expectCancelled((signal) => call(...read, signal));
	});

	test.each(rowsReads)(
		"the statement of repository.%s is cancelled",
		async (name) => {
			await expectCancelled((signal) => callRows(name, signal));
		},
	);

	async function expectCancelled(
		read: (signal: AbortSignal) => Promise<unknown>,
	) {
		const controller = new AbortController();
		const { client, end } = await lockTables(db.url);
		try {
			const code = codeOf(read(controller.signal));
			await expect.poll(waiting).toBeGreaterThan(0);
			controller.abort();
			expect(await code).toBe("CANCELLED");
			await expect.poll(waiting).toBe(0);
		} finally {
			await client.query("ROLLBACK");
			await end();
		}
	}
});

async function lockTables(url: string) {
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	await client.query(
		"BEGIN; LOCK TABLE papers, embeddings_papers, rem_words_papers, kv_store IN ACCESS EXCLUSIVE MODE",
	);
	return { client, end: () => client.end() };
}
