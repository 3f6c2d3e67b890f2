import { AsyncResource } from "node:async_hooks";
import { beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type Handle } from "../../../src/index.ts";
import { rebuildKv } from "../../../src/kv/rebuild.ts";
import { compile, type Sql, type Statement, sql } from "../../../src/sql.ts";
import { engine, useService } from "../../support/engine.ts";

// What protects the cache is taken away, piece by piece: each time verify must
// find the cache wrong, or it is not known to detect errors.

const Note = defineEntity(
	"notes_of_day",
	{ name: z.string() },
	{ entityKeyField: "name" },
);
const db = useService({
	models: [Note],
	embedding: { provider: "local", dimensions: 8 },
});
const run = (text: string) => db.service.execute(text);

beforeEach(async () => {
	await run("DELETE FROM notes_of_day");
	await run(
		"INSERT INTO notes_of_day (tenant_id, name) SELECT 't', 'note ' || i FROM generate_series(1, 20) AS i",
	);
	await db.service.kv.ensureReady();
	await db.service.kv.verify({ repair: true });
});

const found = async () => {
	const { ready, differences } = await db.service.kv.verify();
	return [
		ready,
		...differences.map(({ kind, entityKey }) => [kind, entityKey]),
	];
};

/** The database, but for what is done before a statement, and what it is replaced by. */
function intercepted(
	before: (text: string) => Promise<unknown> | undefined,
	replace: (text: string) => string = (text) => text,
): Handle {
	const wrap = (handle: Handle): Handle => ({
		script: (text) => handle.script(text),
		vectorOid: () => handle.vectorOid(),
		transaction: (work, options) =>
			handle.transaction((tx) => work(wrap(tx)), options),
		query: async <R>(statement: Sql | Statement) => {
			const { text, values } =
				"text" in statement ? statement : compile(statement);
			await before(text);
			return handle.query<R>({ text: replace(text), values });
		},
	});
	return wrap(db.service.core.db);
}

describe("without the token", () => {
	const finishes = (text: string) => text.includes("'ready', token, filenode");

	test("a cache that was emptied during its rebuild is called ready", async () => {
		await run("TRUNCATE kv_store");
		let emptied = false;
		// A crash takes the rows and the tokens and leaves the file; so does this.
		const crashing = intercepted(async (text) => {
			if (!finishes(text) || emptied) return;
			emptied = true;
			await run("DELETE FROM kv_state; DELETE FROM kv_store");
		});
		await rebuildKv(crashing, "public");
		expect(await found()).toEqual([true]);

		await run("TRUNCATE kv_store");
		emptied = false;
		const tokenless = intercepted(
			async (text) => {
				if (!finishes(text) || emptied) return;
				emptied = true;
				await run("DELETE FROM kv_state; DELETE FROM kv_store");
			},
			(text) =>
				finishes(text)
					? `WITH marker AS MATERIALIZED (SELECT 'ready', gen_random_uuid(), pg_relation_filenode('kv_store') WHERE $1::text IS NOT NULL)
INSERT INTO kv_state (kind, token, filenode) SELECT * FROM marker`
					: text,
		);
		await rebuildKv(tokenless, "public");
		expect(await found()).toHaveLength(21);
	});
});

// Two transactions at the same time: there is one connection on the embedded database.
describe.runIf(engine === "server")("without the locks of the rebuild", () => {
	/** Copies as asked, and deletes a row after the copy's snapshot was taken. */
	async function copyWhileDeleting(copy: string): Promise<void> {
		await run("TRUNCATE kv_store");
		const gate = await db.service.core.db.openSession();
		await gate.query(sql`SELECT pg_advisory_lock(77)`);
		const copied = run(copy);
		await expect
			.poll(async () => {
				const { rows } = await run(
					"SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
				);
				return rows.length;
			})
			.toBe(1);
		const deleted = run("DELETE FROM notes_of_day WHERE name = 'note 7'");
		// It ends at once, or waits for the row that is being copied.
		await Promise.race([
			deleted,
			new Promise((resolve) => setTimeout(resolve, 500)),
		]);
		await gate.query(sql`SELECT pg_advisory_unlock(77)`);
		await gate.close();
		await Promise.all([copied, deleted]);
		await run(
			"INSERT INTO kv_state (kind, token, filenode) SELECT 'ready', gen_random_uuid(), pg_relation_filenode('kv_store') ON CONFLICT (kind) DO UPDATE SET filenode = excluded.filenode",
		);
	}
	const columns =
		"tenant_id, entity_key, normalized_key, entity_type, entity_id, user_id, content_summary, metadata, graph_edges, created_at";
	const copyOf = (
		lock: string,
	) => `WITH batch AS MATERIALIZED (SELECT * FROM kv_source_notes_of_day ORDER BY entity_id ${lock}),
gate AS MATERIALIZED (SELECT pg_advisory_xact_lock(77) FROM (SELECT count(*) FROM batch) AS n)
INSERT INTO kv_store (${columns}) SELECT ${columns} FROM batch, gate ON CONFLICT DO NOTHING`;

	test("a row that was deleted during the rebuild comes back", async () => {
		await copyWhileDeleting(copyOf(""));
		expect(await found()).toEqual([true, ["extra", "note 7"]]);
	});

	test("and with them it does not", async () => {
		await copyWhileDeleting(copyOf("FOR SHARE SKIP LOCKED"));
		expect(await found()).toEqual([true]);
	});
});

describe.runIf(engine === "server")("without the isolation guard", () => {
	/** Deletes a row in a snapshot that is older than its entry. */
	async function deleteInOldSnapshot(): Promise<void> {
		await run("TRUNCATE kv_store");
		// Of another process, and no part of the transaction.
		const rebuildBeside = AsyncResource.bind(() =>
			rebuildKv(db.service.core.db, "public"),
		);
		await db.service.transaction(
			async (tx) => {
				await tx.query(sql`SELECT FROM notes_of_day`);
				await rebuildBeside();
				await tx.query(sql`DELETE FROM notes_of_day WHERE name = ${"note 3"}`);
			},
			{ isolation: "repeatable read" },
		);
	}

	test("an entry that the writer cannot see outlives its row; with it, the writer gets 40001", async () => {
		await expect(deleteInOldSnapshot()).rejects.toMatchObject({
			sqlState: "40001",
		});
		expect(await found()).toEqual([true]);

		const fn = "fn_notes_of_day_kv_store_upsert";
		const { rows } = await db.service.execute<{ text: string }>(
			`SELECT pg_get_functiondef('${fn}'::regproc) AS text`,
		);
		const guarded = rows[0]?.text ?? "";
		const unguarded = guarded.replace(
			/rem_snapshot BOOLEAN := .*;/,
			"rem_snapshot BOOLEAN := FALSE;",
		);
		expect(unguarded).not.toBe(guarded);
		await run(unguarded);
		await deleteInOldSnapshot();
		expect(await found()).toEqual([true, ["extra", "note 3"]]);
		await run(guarded);
	});
});
