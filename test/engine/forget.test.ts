import { beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { codeOf, engine, useService } from "../support/engine.ts";
import { login } from "../support/row-security.ts";

const Note = defineEntity(
	"notes",
	{ name: z.string(), content: z.string().optional() },
	{ entityKeyField: "name" },
);
const Plain = defineEntity(
	"plains",
	{ name: z.string() },
	{ entityKeyField: null, createEmbeddings: false },
);
const Shared = defineEntity(
	"lands",
	{ name: z.string() },
	{ entityKeyField: "name", tenantScoped: false },
);
const models = [Note, Plain, Shared] as const;
const db = useService({ models });

let count = 0;
let tenantId = "";
let other = "";
beforeEach(() => {
	tenantId = `t${++count}`;
	other = `${tenantId} other`;
});

const note = (name: string, userId: string | null = null, text = name) => ({
	name,
	content: `text of ${text}`,
	userId,
});

/** Everything that is stored of a tenant, by table. */
async function stored(tenantId: string) {
	const { rows } = await db.service.execute(
		`SELECT (SELECT count(*)::int FROM notes WHERE tenant_id = $1) AS notes,
  (SELECT count(*)::int FROM plains WHERE tenant_id = $1) AS plains,
  (SELECT count(*)::int FROM embeddings_notes WHERE tenant_id = $1) AS vectors,
  (SELECT count(*)::int FROM ${Note.wordsTableName} WHERE tenant_id = $1) AS words,
  (SELECT count(*)::int FROM kv_store WHERE tenant_id = $1) AS names,
  (SELECT count(*)::int FROM rem_embedding_queue AS q JOIN notes AS n ON n.id = q.entity_id WHERE n.tenant_id = $1) AS queued`,
		[tenantId],
	);
	return rows[0];
}

async function fill(tenantId: string): Promise<void> {
	const notes = db.service.repository(Note);
	await notes.upsert([note("a"), note("b", "u"), note("c", "v")], { tenantId });
	const gone = await notes.upsert(note("gone", "u"), { tenantId });
	await notes.delete(gone.id, tenantId);
	await notes.upsert(note("waits", "u"), {
		tenantId,
		generateEmbeddings: false,
	});
	await db.service
		.repository(Plain)
		.upsert([{ name: "p" }, { name: "q", userId: "u" }], { tenantId });
}

describe("forget", () => {
	test("refuses an empty user, which no row has", async () => {
		await expect(
			db.service.forget({ tenantId: "acme", userId: "" }),
		).rejects.toMatchObject({ code: "VALIDATION" });
	});

	test("erases everything of a tenant, nothing of another, and counts it", async () => {
		await fill(tenantId);
		await fill(other);
		const before = await stored(other);
		const report = await db.service.forget({ tenantId });
		expect(report).toEqual({
			rows: 7,
			vectors: 3,
			words: 4,
			kvEntries: 4,
			queued: 1,
			tables: {
				notes: { rows: 5, vectors: 3, words: 4, kvEntries: 4, queued: 1 },
				plains: { rows: 2, vectors: 0, words: 0, kvEntries: 0, queued: 0 },
			},
		});
		expect(await stored(tenantId)).toEqual({
			notes: 0,
			plains: 0,
			vectors: 0,
			words: 0,
			names: 0,
			queued: 0,
		});
		expect(await stored(other)).toEqual(before);
	});

	test("erases a user's rows only, deleted ones too; shared ones stay", async () => {
		await fill(tenantId);
		await fill(other);
		const before = await stored(other);
		const { rows, tables } = await db.service.forget({
			tenantId,
			userId: "u",
		});
		expect(rows).toBe(4);
		expect(tables.plains).toMatchObject({ rows: 1 });
		const left = await db.service
			.repository(Note)
			.find({ tenantId }, { orderBy: "name" });
		expect(left.map(({ name }) => name)).toEqual(["a", "c"]);
		expect(await stored(tenantId)).toMatchObject({ notes: 2, plains: 1 });
		expect(await stored(other)).toEqual(before);
	});

	test("again, and of nobody, it erases nothing", async () => {
		await fill(tenantId);
		await db.service.forget({ tenantId });
		for (const options of [{ tenantId }, { tenantId: other, userId: "u" }])
			expect(await db.service.forget(options)).toEqual({
				rows: 0,
				vectors: 0,
				words: 0,
				kvEntries: 0,
				queued: 0,
				tables: {},
			});
	});

	test("erases what other programs left without a row", async () => {
		await fill(tenantId);
		await db.service.execute(
			`BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM notes WHERE tenant_id = '${tenantId}'; COMMIT`,
		);
		expect(await db.service.forget({ tenantId })).toMatchObject({ rows: 2 });
		expect(await stored(tenantId)).toMatchObject({ words: 0, names: 0 });
	});

	test("works in batches, can be stopped, and goes on where it stopped", async () => {
		await db.service.repository(Plain).upsert(
			Array.from({ length: 1200 }, (_, n) => ({ name: `p${n}` })),
			{ tenantId },
		);
		const controller = new AbortController();
		const call = db.service.forget({
			tenantId,
			signal: controller.signal,
			onProgress: () => controller.abort(),
		});
		expect(await codeOf(call)).toBe("CANCELLED");
		expect(await stored(tenantId)).toMatchObject({ plains: 700 });
		expect(await db.service.forget({ tenantId })).toMatchObject({ rows: 700 });
	});

	test("writers of the tenant and of another one go on meanwhile", async () => {
		await fill(tenantId);
		const notes = db.service.repository(Note);
		await Promise.all([
			db.service.forget({ tenantId }),
			...[1, 2, 3].map((n) =>
				notes.upsert([note(`w${n}`), note("a")], { tenantId: other }),
			),
		]);
		expect(await notes.count({ tenantId: other })).toBe(4);
		expect(await stored(other)).toMatchObject({ names: 4, words: 4 });
	});

	test("needs a tenant, and takes no user that can be none", async () => {
		await fill(tenantId);
		const before = await stored(tenantId);
		for (const options of [
			{},
			{ tenantId: "" },
			{ tenantId, userId: null },
			{ tenantId, userId: "" },
			{ tenantId, userId: undefined },
		])
			expect(await codeOf(db.service.forget(options as never))).toBe(
				"VALIDATION",
			);
		expect(await stored(tenantId)).toEqual(before);
	});

	test("of a scope erases what is its user's, or its tenant's, and no other's", async () => {
		await fill(tenantId);
		await fill(other);
		const before = await stored(other);
		const ofUser = db.service.scope({ tenantId, userId: "u" });
		const { forget } = ofUser;
		const own = await forget({ tenantId, userId: "u" });
		await db.service.forget({ tenantId: other, userId: "u" });
		expect(await stored(tenantId)).toEqual(await stored(other));
		expect(own.rows).toBeGreaterThan(0);
		expect(await forget()).toMatchObject({ rows: 0 });
		await db.service.forget({ tenantId: other });
		await fill(other);
		const scope = db.service.scope({ tenantId });
		const done: number[] = [];
		const onProgress = (progress: { readonly done: number }) => {
			done.push(progress.done);
		};
		expect((await scope.forget({ onProgress })).rows).toBe(done.at(-1));
		expect(await stored(tenantId)).toMatchObject({ notes: 0, plains: 0 });
		expect(await stored(other)).toEqual(before);
	});

	test("of a scope names no other tenant or user, and needs one that can be erased", async () => {
		await fill(tenantId);
		const before = await stored(tenantId);
		const ofUser = db.service.scope({ tenantId, userId: "u" });
		const ofTenant = db.service.scope({ tenantId });
		const shared = db.service.scope({ tenantId, userId: null });
		for (const [call, code] of [
			[() => ofUser.forget({ tenantId: other }), "TENANT_MISMATCH"],
			[() => ofUser.forget({ userId: "v" }), "TENANT_MISMATCH"],
			[() => ofUser.forget({ userId: null } as never), "VALIDATION"],
			[() => ofTenant.forget({ userId: undefined } as never), "VALIDATION"],
			[() => ofTenant.forget({ tenantId: other }), "TENANT_MISMATCH"],
			[() => shared.forget(), "VALIDATION"],
			[() => shared.forget({ userId: "u" }), "TENANT_MISMATCH"],
			[() => db.service.transaction(() => ofUser.forget()), "VALIDATION"],
		] as const)
			expect(await codeOf(call())).toBe(code);
		expect(await stored(tenantId)).toEqual(before);
	});

	test("is refused inside a transaction: it commits batches of its own", async () => {
		const call = db.service.transaction(() => db.service.forget({ tenantId }));
		expect(await codeOf(call)).toBe("VALIDATION");
	});
});

// The last: it changes the rights on the tables for good.
describe.runIf(engine === "server")("under row level security", () => {
	test("an application erases its rows with all that is derived; words and names without a row are the owner's", async () => {
		await fill(tenantId);
		await fill(other);
		const account = await login(db as never, models, "rem_app");
		const app = await PostgresService.connect({
			connectionString: account.url,
			models,
			rowLevelSecurity: true,
		});
		try {
			expect(await app.forget({ tenantId, userId: "u" })).toMatchObject({
				rows: 4,
				vectors: 1,
				queued: 1,
			});
			// A word and a name of another row, which is not there.
			for (const table of [Note.wordsTableName, "kv_store"])
				await db.service.execute(
					`UPDATE ${table} SET entity_id = uuidv7() WHERE tenant_id = $1 AND entity_id = (SELECT id FROM notes WHERE tenant_id = $1 AND name = 'a')`,
					[tenantId],
				);
			expect(await app.forget({ tenantId })).toMatchObject({
				rows: 3,
				vectors: 2,
			});
			const left = { notes: 0, plains: 0, vectors: 0, queued: 0 };
			expect(await stored(tenantId)).toEqual({ ...left, words: 1, names: 1 });
			expect(await db.service.forget({ tenantId })).toMatchObject({
				rows: 0,
				words: 1,
				kvEntries: 1,
			});
			expect(await stored(tenantId)).toEqual({ ...left, words: 0, names: 0 });
			expect(await stored(other)).toMatchObject({ notes: 5, names: 4 });
		} finally {
			await app.close();
			await account.drop();
		}
	});
});
