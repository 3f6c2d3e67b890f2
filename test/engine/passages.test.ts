import { setTimeout as sleep } from "node:timers/promises";
import * as fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import {
	defineEntity,
	type EmbeddingProvider,
	type PostgresService,
} from "../../src/index.ts";
import { useService } from "../support/engine.ts";

// Texts that are longer than the model takes.

const Page = defineEntity(
	"pages",
	{
		name: z.string(),
		content: z.string().optional(),
		summary: z.string().optional(),
	},
	{ entityKeyField: "name" },
);

const words = ["alpha", "beta", "gamma", "delta", "refused"];
let sent: string[] = [];
let refuses = (_text: string) => false;

/** Counts words, takes 20 tokens of a text. */
const counting: EmbeddingProvider = {
	name: "counting",
	model: "words",
	dimensions: words.length + 1,
	limits: { maxTexts: 100, maxTokensPerText: 20 },
	embed: async (texts) => {
		sent.push(...texts);
		if (texts.some((text) => text.length > 60 || refuses(text)))
			throw Object.assign(new Error("refused"), { status: 400 });
		return texts.map((text) =>
			Float32Array.from([
				0.01,
				...words.map((word) => text.split(word).length - 1),
			]),
		);
	},
};

const db = useService({ models: [Page], embedding: counting });
beforeEach(() => {
	sent = [];
	refuses = () => false;
});

let tenants = 0;
const newTenant = () => `tenant-${++tenants}`;

const alphas = "Here is alpha, and alpha again. More alpha follows. ";
const betas = "Then come beta and beta. Nothing but beta. Again, beta. ";
const gammas = "The gamma is last, it is gamma. Only gamma remains here. ";
const long = `${alphas}${betas}${gammas}`;

function upsert(
	service: PostgresService<[typeof Page]>,
	tenantId: string,
	entities: readonly Record<string, unknown>[],
) {
	return service.batchUpsert({
		tableName: "pages",
		entities: entities as never,
		tenantId,
	});
}

interface Chunk {
	readonly field_name: string;
	readonly chunk: number;
	readonly chunk_start: number | null;
	readonly chunk_end: number | null;
	readonly is_current: boolean;
	readonly part: string | null;
}

/** Every stored chunk of the tenant, with what `substring` finds at its place. */
async function chunks(tenantId: string, field = "content"): Promise<Chunk[]> {
	const { rows } = await db.service.execute(
		`SELECT e.field_name, e.chunk, e.chunk_start, e.chunk_end,
			e.content_hash = sha256(convert_to(r.${field}, 'UTF8')) AS is_current,
			substring(r.${field} FROM e.chunk_start + 1 FOR e.chunk_end - e.chunk_start) AS part
		FROM embeddings_pages AS e JOIN pages AS r ON r.id = e.entity_id
		WHERE e.tenant_id = $1 AND e.field_name = $2 ORDER BY r.name, e.chunk`,
		[tenantId, field],
	);
	return rows as unknown as Chunk[];
}

test("a long text is stored as passages with their places, and counted as one text", async () => {
	const tenantId = newTenant();
	const result = await upsert(db.service, tenantId, [
		{ name: "long", content: long },
		{ name: "short", content: "alpha" },
	]);
	expect(result).toMatchObject({ inserted: 2, embeddingsGenerated: 2 });
	const stored = await chunks(tenantId);
	expect(stored.map(({ chunk }) => chunk)).toEqual([0, 1, 2, 3, 0]);
	expect(stored.every(({ is_current }) => is_current)).toBe(true);
	expect(stored.map(({ part }) => part)).toEqual([
		"Here is alpha, and alpha again. More alpha follows.",
		...sent.slice(1, 4),
		null,
	]);
	expect(stored[4]).toMatchObject({ chunk_start: null, chunk_end: null });
});

test("a hit names the entity once", async () => {
	const tenantId = newTenant();
	await upsert(db.service, tenantId, [
		{ name: "long", content: long },
		{ name: "other", content: "delta" },
	]);
	const hits = await db.service.vectorSearch({
		tableName: "pages",
		queryText: "gamma",
		tenantId,
	});
	expect(hits.map(({ name }) => name)).toEqual(["long", "other"]);
	expect(hits[0]?.similarity).toBeGreaterThan(0.99);
});

test("an unchanged long text costs nothing, a changed one only itself", async () => {
	const tenantId = newTenant();
	const page = { name: "p", content: long, summary: `${betas}${gammas}` };
	await upsert(db.service, tenantId, [page]);
	sent = [];
	expect(await upsert(db.service, tenantId, [page])).toMatchObject({
		unchanged: 1,
		embeddingsGenerated: 0,
		embeddingsReused: 2,
	});
	expect(sent).toEqual([]);
	const changed = { ...page, content: `${long}And delta.` };
	expect(await upsert(db.service, tenantId, [changed])).toMatchObject({
		embeddingsGenerated: 1,
		embeddingsReused: 1,
	});
	expect((await chunks(tenantId)).every((chunk) => chunk.is_current)).toBe(
		true,
	);
});

test("a text that becomes shorter loses the chunks it no longer has; one that is emptied, all", async () => {
	const tenantId = newTenant();
	const count = async (content: string | null) => {
		await upsert(db.service, tenantId, [{ name: "p", content }]);
		const stored = await chunks(tenantId);
		expect(stored.every((chunk) => chunk.is_current)).toBe(true);
		return stored.length;
	};
	expect(await count(long)).toBe(4);
	expect(await count(`${alphas}${betas}`)).toBe(2);
	expect(await count("short")).toBe(1);
	expect(await count(long)).toBe(4);
	expect(await count(null)).toBe(0);
});

test("a refused passage fails the batch, naming row and field, and nothing is written", async () => {
	const tenantId = newTenant();
	refuses = (text) => text.includes("gamma is last");
	await expect(
		upsert(db.service, tenantId, [
			{ name: "good", content: "alpha" },
			{ name: "bad", content: long },
		]),
	).rejects.toMatchObject({
		code: "PROVIDER_FAILED",
		issues: [{ index: 1, field: "content" }],
	});
	expect(await chunks(tenantId)).toEqual([]);
	expect(await db.service.repository(Page).count({ tenantId })).toBe(0);
});

test("a text denser in tokens than estimated is cut finer when it is refused", async () => {
	const tenantId = newTenant();
	refuses = (text) => text.length > 20;
	await upsert(db.service, tenantId, [{ name: "p", content: long }]);
	const stored = await chunks(tenantId);
	expect(stored.length).toBeGreaterThan(8);
	for (const { part } of stored) expect(part?.length).toBeLessThanOrEqual(20);
});

test("a ready vector is that of the whole text: passages of the same text go", async () => {
	const tenantId = newTenant();
	await upsert(db.service, tenantId, [{ name: "p", content: long }]);
	const content = Float32Array.of(1, 2, 3, 4, 5, 6);
	const page = { name: "p", content: long, vectors: { content } };
	sent = [];
	expect(await upsert(db.service, tenantId, [page])).toMatchObject({
		unchanged: 1,
		embeddingsGenerated: 1,
	});
	expect(await chunks(tenantId)).toMatchObject([
		{ chunk: 0, chunk_start: null, chunk_end: null, is_current: true },
	]);
	expect(await upsert(db.service, tenantId, [page])).toMatchObject({
		embeddingsReused: 1,
	});
	expect(sent).toEqual([]);
});

test("writers of the same long text leave the chunks of one of them", async () => {
	const tenantId = newTenant();
	const texts = [long, `${alphas}${gammas}`, "short", `${long}${long}`];
	for (let round = 0; round < 3; round++) {
		await Promise.all(
			texts.map(async (content, at) => {
				await sleep(at);
				await upsert(db.service, tenantId, [{ name: "p", content }]);
			}),
		);
		const stored = await chunks(tenantId);
		expect(stored.every((chunk) => chunk.is_current)).toBe(true);
		expect(stored.map(({ chunk }) => chunk)).toEqual(stored.map((_, at) => at));
		const [page] = await db.service.repository(Page).find({ tenantId });
		const { length } = page?.content ?? "";
		expect(stored.at(-1)?.chunk_end ?? length).toBe(
			page?.content?.trim().length,
		);
	}
});

test("soft delete removes all chunks, a new owner owns them all", async () => {
	const tenantId = newTenant();
	const pages = db.service.repository(Page);
	const { ids } = await upsert(db.service, tenantId, [
		{ name: "p", content: long },
	]);
	await db.service.execute("UPDATE pages SET user_id = 'u' WHERE id = $1", ids);
	const owners = await db.service.execute(
		"SELECT DISTINCT user_id FROM embeddings_pages WHERE entity_id = $1",
		ids,
	);
	expect(owners.rows).toEqual([{ user_id: "u" }]);
	await pages.delete(ids[0] as string, tenantId);
	const left = await db.service.execute(
		"SELECT FROM embeddings_pages WHERE entity_id = $1",
		ids,
	);
	expect(left.rowCount).toBe(0);
});

test("whatever the text, SQL's substring finds every passage, and together they are the whole", async () => {
	const piece = fc.oneof(
		fc.lorem({ maxCount: 9 }),
		fc.string({ unit: "grapheme", maxLength: 20 }),
		fc.constantFrom(
			"\n\n",
			"。",
			"👨‍👩‍👧‍👦",
			"🇩🇪",
			"日本語の文章です。",
			"e\u0301",
			"   ",
		),
	);
	const text = fc
		.array(piece, { minLength: 5, maxLength: 40 })
		.map((all) => all.join("").replaceAll("\0", ""))
		.filter((all) => all.trim() !== "");
	await fc.assert(
		fc.asyncProperty(text, async (content) => {
			const tenantId = newTenant();
			sent = [];
			await upsert(db.service, tenantId, [{ name: "p", content }]);
			const stored = await chunks(tenantId);
			expect(new Set(stored.map(({ part }) => part ?? content))).toEqual(
				new Set(sent),
			);
			const points = [...content];
			let covered = 0;
			for (const { chunk_start, chunk_end } of stored) {
				const gap = points.slice(covered, chunk_start ?? 0).join("");
				expect(gap.trim()).toBe("");
				covered = chunk_end ?? points.length;
			}
			expect(points.slice(covered).join("").trim()).toBe("");
		}),
		{ numRuns: Number(process.env.REM_TEST_RUNS ?? 25) },
	);
});

test("a text of 10 MB is stored, found and written again for nothing", async () => {
	const tenantId = newTenant();
	const content = `${"x y ".repeat(2_500_000)}delta`;
	const upsertLarge = (options = {}) =>
		db.service.batchUpsert({
			tableName: "pages",
			entities: [{ name: "large", content }],
			tenantId,
			embeddingProvider: "large",
			...options,
		});
	db.service.embeddings.registerProvider({
		...counting,
		name: "large",
		limits: { maxTexts: 100, maxTokensPerText: 100_000 },
		embed: async (texts) =>
			texts.map((text) =>
				Float32Array.of(0.01, 0, 0, 0, text.includes("delta") ? 1 : 0, 0),
			),
	});
	await upsertLarge({ generateEmbeddings: false });
	// The row is as it was: the vectors are stored after a look at its text.
	expect(await upsertLarge()).toMatchObject({ embeddingsGenerated: 1 });
	expect(await upsertLarge()).toMatchObject({ embeddingsReused: 1 });
	// In the order of their chunks, and only the last has the word.
	const { rows } = await db.service.execute(
		`SELECT count(*)::integer AS count, max(chunk_end) AS last,
			bool_and((embedding <=> '[0,0,0,0,1,0]' < 0.1) = (chunk_end = 10000005)) AS only_last
		FROM embeddings_pages WHERE tenant_id = $1`,
		[tenantId],
	);
	expect(rows).toEqual([{ count: 38, last: 10_000_005, only_last: true }]);
});

describe("a setting", () => {
	const own = useService({
		models: [Page],
		embedding: { provider: "local", maxTokensPerText: 16 },
	});

	test("makes passages shorter than the model needs", async () => {
		const entities = [{ name: "p", content: long }];
		const result = await own.service.batchUpsert({
			tableName: "pages",
			entities,
		});
		expect(result).toMatchObject({ embeddingsGenerated: 1 });
		const { rows } = await own.service.execute(
			"SELECT max(chunk_end - chunk_start) AS longest FROM embeddings_pages",
		);
		expect(rows[0]?.longest).toBeLessThanOrEqual(48);
	});
});
