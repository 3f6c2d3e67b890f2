import { describe, expect, test } from "vitest";
import {
	exactUpTo,
	inferredStatistics,
	planSearch,
	widen,
} from "../../src/query/vector-plan.ts";

const options = { limit: 10, mode: "auto", defaultEfSearch: 100 } as const;
const field = (vectors: number, indexed?: number, name = "content") => ({
	field: name,
	vectors,
	perEntity: 1,
	...(indexed === undefined
		? {}
		: { index: { kind: "hnsw" as const, vectors: indexed } }),
});
const plan = (
	vectors: number,
	indexed?: number,
	more: Partial<Parameters<typeof planSearch>[1]> = {},
) => planSearch([field(vectors, indexed)], { ...options, ...more })[0];

describe("an index is used", () => {
	test.each<[string, number, number | undefined, "exact" | "hnsw"]>([
		["not where there is none", 1e6, undefined, "exact"],
		["not for 1,500 vectors", 1_500, 1_500, "exact"],
		["for 1,501", 1_501, 1_501, "hnsw"],
		["for 1,582 of 5,000", 1_582, 5_000, "hnsw"],
		["not for 4,819 of 50,000", 4_819, 50_000, "exact"],
		["for 9,639 of 50,000", 9_639, 50_000, "hnsw"],
		["not for 6,000 of a million", 6_000, 1e6, "exact"],
		["for 30,000 of a million", 30_000, 1e6, "hnsw"],
		["not for 30,000 of ten million", 30_000, 1e7, "exact"],
		["not for an empty scope", 0, 1e6, "exact"],
	])("%s", (_, vectors, indexed, how) => {
		expect(plan(vectors, indexed)?.how).toBe(how);
	});

	test("never in mode exact, always in mode approximate", () => {
		expect(plan(1e6, 1e6, { mode: "exact" })?.how).toBe("exact");
		expect(plan(3, 1e6, { mode: "approximate" })?.how).toBe("hnsw");
	});

	test("from the size that exactUpTo returns", () => {
		for (const vectors of [2_000, 50_000, 1e6, 1e7]) {
			const most = exactUpTo({ kind: "hnsw", vectors }, options);
			expect(plan(most - 1, vectors)?.how).toBe("exact");
			expect(plan(most + 1, vectors)?.how).toBe("hnsw");
		}
	});
});

test("a round of the graph meets as many of the scope as are asked for, and two standard deviations more", () => {
	expect(plan(50_000, 50_000)?.efSearch).toBe(100);
	expect(plan(10_000, 100_000)?.efSearch).toBe(164);
	expect(plan(10_000, 100_000, { limit: 100 })?.how).toBe("exact");
	expect(plan(30_000, 100_000, { limit: 100 })?.efSearch).toBe(400);
	expect(plan(3, 1e6, { mode: "approximate" })?.efSearch).toBe(1000);
	expect(plan(10_000, 100_000, { efSearch: 40 })?.efSearch).toBe(40);
});

test("a small graph has fewer candidates", () => {
	expect(plan(5_000, 5_000)?.efSearch).toBe(50);
	expect(plan(10_000, 10_000)?.efSearch).toBe(71);
	expect(plan(1_582, 5_000)?.efSearch).toBe(52);
	expect(plan(5_000, 5_000, { defaultEfSearch: 40 })?.efSearch).toBe(40);
});

test("of a filter's rows so many are looked up one by one as cost less than the scope", () => {
	const most = (vectors: number, scope?: number) =>
		planSearch([{ ...field(vectors), scope }], options)[0]?.maxByEntity;
	expect(most(10, 100)).toBe(1_000);
	expect(most(10_000, 1e6)).toBe(125_000);
	expect(most(1e6)).toBe(125_000);
	expect(plan(1e6, 1e6)?.maxByEntity).toBe(125_000);
});

test("fields without an index are one scan, each other has its own", () => {
	const branches = planSearch(
		[field(5, 1e6, "a"), field(1e6, 1e6, "b"), field(7, undefined, "c")],
		options,
	);
	expect(branches).toMatchObject([
		{ fields: ["a", "c"], how: "exact", take: 20 },
		{ fields: ["b"], how: "hnsw", take: 10 },
	]);
});

describe("looking further", () => {
	const exact = { fields: ["a"], how: "exact", take: 10 } as const;
	const hnsw = { fields: ["a"], how: "hnsw", take: 10, efSearch: 100 } as const;

	test.each<[string, Parameters<typeof widen>, ReturnType<typeof widen>]>([
		["enough entities", [hnsw, { vectors: 10, entities: 10 }, 10], undefined],
		[
			"a scan that saw all there is",
			[exact, { vectors: 9, entities: 2 }, 10],
			undefined,
		],
		[
			"passages that crowd a scan",
			[exact, { vectors: 10, entities: 2 }, 10],
			{ ...exact, take: 80 },
		],
		[
			"passages that crowd an index",
			[hnsw, { vectors: 10, entities: 9 }, 10],
			{ ...hnsw, take: 80 },
		],
		[
			"an index that gave too little",
			[hnsw, { vectors: 9, entities: 9 }, 10],
			{ fields: ["a"], how: "exact", take: undefined },
		],
		[
			"a crowd without end",
			[{ ...hnsw, take: 10_000 }, { vectors: 10_000, entities: 1 }, 10],
			{ fields: ["a"], how: "exact", take: undefined },
		],
	])("%s", (_, given, expected) => {
		expect(widen(...given)).toEqual(expected);
	});

	test("ends, and what it inferred leads there at once", () => {
		const known = [field(50_000, 50_000)];
		const planned = planSearch(known, options);
		const wider = planned.map(
			(branch) => widen(branch, { vectors: 10, entities: 1 }, 10) ?? branch,
		);
		const next = planSearch(
			inferredStatistics(known, wider, planned, 10),
			options,
		);
		expect(next).toMatchObject([{ how: "hnsw", take: 80 }]);
		const given = planned.map(
			(branch) => widen(branch, { vectors: 3, entities: 3 }, 10) ?? branch,
		);
		const after = planSearch(
			inferredStatistics(known, given, planned, 10),
			options,
		);
		expect(after).toMatchObject([{ how: "exact" }]);
	});
});
