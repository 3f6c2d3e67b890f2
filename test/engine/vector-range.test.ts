import { expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type EmbeddingProvider } from "../../src/index.ts";
import { codeOf, useService } from "../support/engine.ts";

const Item = defineEntity(
	"items",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);

/** Names the vector that it answers with: `{scale} {name}`. */
const provider = (dimensions: number): EmbeddingProvider => ({
	name: "scaled",
	model: `scaled-${dimensions}`,
	dimensions,
	limits: { maxTexts: 100 },
	embed: async (texts) =>
		texts.map((text) =>
			direction(dimensions, Number(text.split(" ")[0]), text),
		),
});

/** A direction that depends on the name, of that length in each dimension. */
function direction(dimensions: number, scale: number, name: string) {
	return Float32Array.from(
		{ length: dimensions },
		(_, at) => scale * Math.cos(at * (name.length + 1)) || scale,
	);
}

const lengths = [3, 64, 2048];
const services = lengths.map((dimensions) => ({
	dimensions,
	db: useService({
		models: [Item],
		embedding: { provider: provider(dimensions), retry: { baseMs: 1 } },
	}),
}));

/** From the smallest float32 to the largest, also those that are fine. */
const scales = [
	1.4e-45, 1e-30, 1e-22, 1e-20, 1e-18, 1e-10, 1e-6, 1e-3, 1, 1e3, 7e4, 1e10,
	1e17, 1e18, 5e18, 2e19, 1e30, 3e38,
];

for (const { dimensions, db } of services)
	test(`vectors of ${dimensions} dimensions have their similarity or are refused`, async () => {
		const tenantId = "scales";
		const search = (queryEmbedding: Float32Array) =>
			db.service.vectorSearch({ tableName: "items", tenantId, queryEmbedding });
		await db.service.batchUpsert({
			tableName: "items",
			tenantId,
			entities: ["a", "bb", "ccc"].map((name) => ({
				name,
				content: `1 ${name}`,
			})),
		});
		const expected = await search(direction(dimensions, 1, "1 bb"));
		const accepted: number[] = [];
		for (const scale of scales) {
			const vector = direction(dimensions, scale, "1 bb");
			const name = `x${scale}`;
			const write = (content: string, vectors?: object) =>
				codeOf(
					db.service.batchUpsert({
						tableName: "items",
						tenantId: name,
						entities: [{ name, content, ...vectors }],
					}),
				);
			const code = await write("given", { vectors: { content: vector } });
			expect(await codeOf(search(vector))).toBe(code);
			const hybrid = db.service.hybridSearch({
				tableName: "items",
				tenantId,
				query: "x",
				queryEmbedding: vector,
			});
			expect(await codeOf(hybrid)).toBe(code);
			if (code !== "no error") {
				expect(code).toBe("VALIDATION");
				continue;
			}
			accepted.push(scale);
			// As a query, and as a stored vector.
			const found = await search(vector);
			expect(found.map(({ name }) => name)).toEqual(
				expected.map(({ name }) => name),
			);
			found.forEach(({ similarity }, at) => {
				expect(similarity).toBeCloseTo(expected[at]?.similarity as number, 3);
			});
			const [own] = await db.service.vectorSearch({
				tableName: "items",
				tenantId: name,
				queryEmbedding: direction(dimensions, 1, "1 ccc"),
			});
			expect(own?.similarity).toBeCloseTo(
				expected.find(({ name }) => name === "bb") === undefined
					? Number.NaN
					: cosine(vector, direction(dimensions, 1, "1 ccc")),
				3,
			);
		}
		expect(accepted).toContain(1);
		expect(accepted).toEqual(
			expect.arrayContaining(
				dimensions > 2000 ? [1e-3, 1e3] : [1e-18, 1e-10, 1e10, 1e17],
			),
		);
		for (const scale of [1e-30, 2e19, 3e38])
			expect(accepted).not.toContain(scale);
	});

test("a provider's vector outside of the range is PROVIDER_FAILED, to store and to search with", async () => {
	const { db } = services[1] as (typeof services)[number];
	for (const scale of [1e-30, 2e19]) {
		const text = `${scale} bb`;
		const calls = [
			() => db.service.embeddings.generateBatch([text]),
			() =>
				db.service.batchUpsert({
					tableName: "items",
					tenantId: "made",
					entities: [{ name: "a", content: text }],
				}),
			() =>
				db.service.vectorSearch({
					tableName: "items",
					tenantId: "made",
					queryText: text,
				}),
		];
		for (const call of calls)
			expect(await codeOf(call())).toBe("PROVIDER_FAILED");
	}
});

function cosine(a: Float32Array, b: Float32Array): number {
	const dot = (x: Float32Array, y: Float32Array) =>
		x.reduce((sum, value, at) => sum + value * (y[at] as number), 0);
	return dot(a, b) / (Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b)));
}

test("an index of halfvec is built over every vector that is accepted", async () => {
	const { db } = services[2] as (typeof services)[number];
	await db.service.createIndexConcurrently({
		tableName: "items",
		indexType: "hnsw",
	});
	const found = await db.service.vectorSearch({
		tableName: "items",
		tenantId: "scales",
		queryEmbedding: direction(2048, 1e-3, "1 bb"),
		mode: "approximate",
	});
	expect(found.map(({ name }) => name).sort()).toEqual(["a", "bb", "ccc"]);
});
