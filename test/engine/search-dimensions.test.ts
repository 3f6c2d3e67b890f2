import { describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { useService } from "../support/engine.ts";

// pgvector indexes 2,000 dimensions as `vector` and 4,000 as `halfvec`.

const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);
const count = 120;
const tenantId = "t";

describe.each([2000, 2001, 4000])("vectors of %i dimensions", (dimensions) => {
	const db = useService({
		models: [Page],
		embedding: { provider: "local", dimensions },
		backgroundIndex: { enabled: false },
	});

	test("are found by their index, as by comparing all", async () => {
		const vectors = Array.from({ length: count }, (_, at) =>
			vectorOf(dimensions, at + 1),
		);
		await db.service.batchUpsert({
			tableName: "pages",
			entities: vectors.map((content, at) => ({
				name: `page ${at}`,
				content: `page ${at}`,
				vectors: { content },
			})),
			tenantId,
		});
		await db.service.createIndexConcurrently({
			tableName: "pages",
			indexType: "hnsw",
		});
		const queryEmbedding = (vectors[17] as Float32Array).map(
			(value, at) => value + (at % 5) / 5,
		);
		const similarities = new Map(
			vectors.map((vector, at) => [
				`page ${at}`,
				cosine(vector, queryEmbedding),
			]),
		);
		const search = (mode: "exact" | "approximate") =>
			db.service.vectorSearch({
				tableName: "pages",
				queryEmbedding,
				fieldName: "content",
				tenantId,
				mode,
				explain: true,
			});

		const exact = await search("exact");
		const nearest = [...similarities].sort(([, a], [, b]) => b - a);
		expect(exact.map(({ name }) => name)).toEqual(
			nearest.slice(0, 10).map(([name]) => name),
		);

		const byIndex = await search("approximate");
		expect(byIndex.explain.fields[0]?.plan).toBe("hnsw");
		expect(byIndex).toHaveLength(10);
		expect(byIndex[0]?.name).toBe("page 17");
		// Half precision has three digits.
		for (const { name, similarity } of byIndex)
			expect(similarity).toBeCloseTo(similarities.get(name) ?? Number.NaN, 3);
	});
});

/** Numbers between -0.5 and 0.5 that a seed determines. */
function vectorOf(length: number, seed: number): Float32Array {
	let state = seed * 2_654_435_761;
	return Float32Array.from({ length }, () => {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		return state / 2 ** 32 - 0.5;
	});
}

function cosine(one: Float32Array, other: Float32Array): number {
	let product = 0;
	let ones = 0;
	let others = 0;
	one.forEach((value, at) => {
		const next = other[at] as number;
		product += value * next;
		ones += value * value;
		others += next * next;
	});
	return product / Math.sqrt(ones * others);
}
