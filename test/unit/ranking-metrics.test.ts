import { describe, expect, test } from "vitest";
import {
	mean,
	ndcgAt,
	percentile,
	recallAt,
	reciprocalRankAt,
} from "../../src/util/ranking-metrics.ts";

const binary = (...items: string[]) =>
	new Map(items.map((item) => [item, 1] as const));
const graded = new Map([
	["a", 3],
	["b", 2],
	["c", 1],
]);

describe("nDCG", () => {
	test("is 1 for the best order, whatever follows", () => {
		expect(ndcgAt(10, ["a", "b", "c", "x"], graded)).toBe(1);
		expect(ndcgAt(10, ["a", "x"], binary("a"))).toBe(1);
	});

	test("discounts by log2 of rank + 1", () => {
		// Rank 2: 1 / log2(3) = 0.630930; rank 3: 1 / log2(4) = 0.5.
		expect(ndcgAt(10, ["x", "a"], binary("a"))).toBeCloseTo(0.63093, 6);
		expect(ndcgAt(10, ["x", "y", "a"], binary("a"))).toBe(0.5);
		// (1 + 0.5) / (1 + 0.630930)
		expect(ndcgAt(10, ["a", "x", "b"], binary("a", "b"))).toBeCloseTo(
			0.919721,
			6,
		);
	});

	test("weighs by the gain itself", () => {
		// c, x, a: 1 / 1 + 3 / 2 = 2.5; best: 3 / 1 + 2 / 1.584963 + 1 / 2 = 4.761860.
		expect(ndcgAt(10, ["c", "x", "a"], graded)).toBeCloseTo(0.525005, 6);
	});

	test("compares with the best k, where there are more", () => {
		// Two of three relevant ones fill both places.
		expect(ndcgAt(2, ["a", "b"], binary("a", "b", "c"))).toBe(1);
		// b, a of graded: 2 + 3 / 1.584963 = 3.892789; best: 3 + 2 / 1.584963 = 4.261860.
		expect(ndcgAt(2, ["b", "a", "c"], graded)).toBeCloseTo(0.913402, 6);
	});

	test("is 0 where nothing relevant is among the first k, or nothing is relevant", () => {
		expect(ndcgAt(1, ["x", "a"], binary("a"))).toBe(0);
		expect(ndcgAt(10, [], binary("a"))).toBe(0);
		expect(ndcgAt(10, ["a"], new Map())).toBe(0);
	});
});

test("recall is the part of the relevant items among the first k", () => {
	expect(recallAt(10, ["x", "a", "b"], binary("a", "b", "c", "d"))).toBe(0.5);
	expect(recallAt(2, ["x", "a", "b"], binary("a", "b", "c", "d"))).toBe(0.25);
	expect(recallAt(10, ["a", "b", "c"], graded)).toBe(1);
	expect(recallAt(10, [], graded)).toBe(0);
	expect(recallAt(10, ["a"], new Map())).toBe(0);
});

test("the reciprocal rank is that of the first relevant item among the first k", () => {
	expect(reciprocalRankAt(10, ["a", "b"], graded)).toBe(1);
	expect(reciprocalRankAt(10, ["x", "y", "z", "b", "a"], graded)).toBe(0.25);
	expect(reciprocalRankAt(3, ["x", "y", "z", "b"], graded)).toBe(0);
});

test("a percentile is the smallest value that so many do not exceed", () => {
	const values = [15, 20, 35, 40, 50];
	expect(percentile(5, values)).toBe(15);
	expect(percentile(30, values)).toBe(20);
	expect(percentile(50, values)).toBe(35);
	expect(percentile(95, values)).toBe(50);
	expect(percentile(100, values.toReversed())).toBe(50);
	expect(percentile(50, [7])).toBe(7);
	expect(percentile(50, [])).toBe(0);
});

test("the mean of nothing is 0", () => {
	expect(mean([1, 2, 6])).toBe(3);
	expect(mean([])).toBe(0);
});
