import { expect, test } from "vitest";
import * as z from "zod";
import { RemError } from "../../src/errors.ts";
import { indexFailed, judgeFailure } from "../../src/indexer/build-failure.ts";
import { isLeftover } from "../../src/indexer/build-index.ts";
import { memoryWarning } from "../../src/indexer/build-memory.ts";
import { percentOf } from "../../src/indexer/build-progress.ts";
import { defineEntity } from "../../src/models/entity.ts";
import type { HnswOptions } from "../../src/schema/index-types/definition.ts";
import {
	graphBytesPerVector,
	hnswForm,
	hnswProblem,
} from "../../src/schema/index-types/hnsw.ts";
import { backgroundIndexes, createIndex } from "../../src/schema/indexes.ts";
import { toText } from "../../src/sql.ts";

const usual: HnswOptions = { m: 16, efConstruction: 64 };
const space = (dimensions: number, model = "m") => ({
	provider: "p",
	model,
	dimensions,
});
const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);
const table = { schema: "public", entity: Page };

function hnswOf(dimensions: number, hnsw = usual, model?: string) {
	const index = backgroundIndexes(table, [space(dimensions, model)], hnsw).find(
		({ indexType }) => indexType === "hnsw",
	);
	if (index === undefined) throw new Error("no HNSW index is declared");
	return index;
}

test.each([
	[2000, "vector", undefined],
	[2001, "halfvec", undefined],
	[4000, "halfvec", undefined],
	[4001, "halfvec", /4001 dimensions.*at most 4000.*EMBEDDING__DIMENSIONS/],
])("%d dimensions stand in an index as %s", (dimensions, kind, problem) => {
	expect(hnswForm(space(dimensions), usual).kind).toBe(kind);
	const found = hnswProblem(hnswOf(dimensions), usual);
	if (problem === undefined) expect(found).toBeUndefined();
	else expect(found).toMatch(problem);
});

test("a quantized index stores bits, under a name of its own", () => {
	const index = hnswOf(1536, { ...usual, quantized: true });
	expect(toText(createIndex("public", index, { concurrently: true }))).toBe(
		`CREATE INDEX CONCURRENTLY IF NOT EXISTS "hnsw_pages__content__p__m__1536__binary" ON "public"."embeddings_pages" USING hnsw ((binary_quantize(embedding::vector(1536))::bit(1536)) bit_hamming_ops)
  WITH (m = 16, ef_construction = 64)
  WHERE field_name = 'content' AND provider = 'p'
    AND model = 'm' AND dimensions = 1536;
`,
	);
});

test.each(['it\'s a "model"', "模型".repeat(40), "x".repeat(100), "a USING b"])(
	"the index of model %s has a name of at most 63 bytes",
	(model) => {
		const { name } = hnswOf(8, usual, model);
		expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
		expect(name).not.toContain("\uFFFD");
		expect(name).not.toBe(hnswOf(8, usual, `${model}2`).name);
	},
);

// What pgvector itself reported with 1 MB: "graph no longer fits … after N tuples".
test.each([
	[1536, 8, 159],
	[1536, 16, 154],
	[1536, 32, 143],
	[128, 16, 856],
	[128, 32, 606],
	[3072, 16, 153],
])(
	"the graph of %d dimensions with m = %d is estimated well",
	(dimensions, m, fits) => {
		const hnsw = { m, efConstruction: 2 * m };
		const estimate =
			(1024 * 1024) / graphBytesPerVector(hnswOf(dimensions, hnsw), hnsw);
		expect(Math.abs(estimate / fits - 1)).toBeLessThan(0.03);
	},
);

test("a graph that does not fit is reported with its figures", () => {
	const index = hnswOf(1536);
	const memory = { vectors: 1_000_000, neededMb: 6551, grantedMb: 1024 };
	expect(memoryWarning(index, memory)).toMatch(
		/1000000 vectors needs about 6551 MB.*1024 MB.*BACKGROUND_INDEX__MEMORY_MB/,
	);
	expect(memoryWarning(index, { ...memory, grantedMb: 6551 })).toBeUndefined();
});

test.each([
	["55P03", true],
	["57014", true],
	["40P01", true],
	["57P01", true],
	["08006", true],
	["53100", true],
	["42P07", true],
	["54000", false],
	["0A000", false],
	["58P01", false],
	["42704", false],
	["22023", false],
	["23505", false],
	["25006", false],
])("after SQLSTATE %s another attempt is made: %s", (sqlState, isTransient) => {
	const error = new RemError("DATABASE", "…", { sqlState });
	expect(judgeFailure(error).isTransient).toBe(isTransient);
	expect(indexFailed(hnswOf(8), judgeFailure(error), 1)).toMatchObject({
		code: "INDEX_FAILED",
		sqlState,
		hint: expect.any(String),
	});
});

test("a connection that broke is tried again", () => {
	const error = new RemError("CONNECTION_FAILED", "the connection was lost");
	expect(judgeFailure(error).isTransient).toBe(true);
});

test("only rests of the index itself are leftovers", () => {
	const name = "idx_pages__year";
	for (const rest of [
		name,
		`${name}__next`,
		`${name}__old`,
		`${name}_ccnew`,
		`${name}_ccold2`,
	])
		expect(isLeftover(name, rest, false)).toBe(true);
	expect(isLeftover(name, name, true)).toBe(false);
	expect(isLeftover(name, `${name}__next`, true)).toBe(false);
	expect(isLeftover(name, "my_own_index", false)).toBe(false);
	expect(isLeftover(`${name}__title`, `${name}_ccnew`, false)).toBe(false);
});

test.each([
	["waiting for writers before build", 0, 0, 0],
	["building index: loading tuples", 50, 100, 45],
	["index validation: scanning table", 100, 100, 99],
	["waiting for old snapshots", 0, 0, 99],
	[null, 0, 0, 0],
])(
	"in phase %s with %d of %d, %d percent are done",
	(phase, done, total, percent) => {
		expect(percentOf({ phase, done, total })).toBe(percent);
	},
);
