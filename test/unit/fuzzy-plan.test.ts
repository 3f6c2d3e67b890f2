import { describe, expect, test } from "vitest";
import {
	countInCommon,
	type Having,
	havingOf,
	requiredParts,
} from "../../src/query/fuzzy-plan.ts";
import { FuzzySample } from "../../src/query/fuzzy-sample.ts";
import { trigramsOf } from "../../src/query/trigram-thresholds.ts";
import { splitQuery } from "../../src/query/unspaced-text.ts";

const budget = { entries: 10, postings: 100, some: 50 };

/** Texts "0" to "99": each part is in as many of them as it says. */
const texts = Array.from({ length: 100 }, (_, at) => String(at));
const having = (part: string) =>
	havingOf(texts, (text) => Number(text) < Number(part));

/** For each text 1 if it has the part, else 0. */
const flagsOf = ({ packed, size }: Having) => [
	...new Uint8Array(packed.buffer, 0, size),
];

describe("how many parts an entry must have in common", () => {
	test("as many as are asked for, where that is within the budget", () => {
		expect(
			requiredParts(["1", "5", "9"], 1, { budget, scale: 1, having }),
		).toEqual({ count: 1, selective: ["1", "5", "9"], entries: 9 });
	});

	test("more, where too many entries have so few; the rarest are looked for", () => {
		expect(
			requiredParts(["40", "30", "5"], 1, { budget, scale: 1, having }),
		).toEqual({ count: 3, selective: ["5"], entries: 5 });
		expect(
			requiredParts(["8", "60", "6"], 1, { budget, scale: 1, having }),
		).toEqual({ count: 2, selective: ["6", "8"], entries: 8 });
	});

	test("more, where the index would have too much to read", () => {
		const small = { ...budget, postings: 12 };
		expect(
			requiredParts(["5", "6", "7"], 1, { budget: small, scale: 1, having }),
		).toMatchObject({ count: 2, selective: ["5", "6"] });
	});

	test("all of them, also if some entries only can be compared; none, if there are more still", () => {
		const plan = (share: string) =>
			requiredParts([share], 1, { budget, scale: 1, having });
		expect(plan("50")).toMatchObject({ count: 1, entries: 50 });
		expect(plan("51")).toBeUndefined();
	});

	test("entries are counted by what one of the sample stands for", () => {
		expect(
			requiredParts(["5"], 1, { budget, scale: 10, having }),
		).toMatchObject({ entries: 50 });
		expect(
			requiredParts(["6"], 1, { budget, scale: 10, having }),
		).toBeUndefined();
	});
});

test("texts are counted by how many parts they have, also of more parts than a byte counts", () => {
	const parts = Array.from({ length: 300 }, (_, at) => having(String(at % 4)));
	expect([...countInCommon(parts)].slice(0, 5)).toEqual([225, 150, 75, 0, 0]);
	expect([
		...countInCommon(Array.from({ length: 600 }, () => having("2"))),
	]).toEqual([600, 600, ...Array.from({ length: 98 }, () => 0)]);
	expect([...countInCommon([])]).toEqual([]);
});

describe("a sample", () => {
	const sample = new FuzzySample(
		["Sarah Chen", "O'Neill, Ed", "长期记忆"],
		300,
	);

	test("stands for all entries", () => {
		expect([sample.size, sample.scale]).toEqual([3, 100]);
	});

	test.each(["sarah", "chen sarah", "o'neill ed", "ed"])(
		"has every trigram of the words of %j in its text, and in no other",
		(text) => {
			const own = text.includes("sarah") ? 0 : 1;
			for (const trigram of trigramsOf(text))
				expect([trigram, flagsOf(sample.withTrigram(trigram))[own]]).toEqual([
					trigram,
					1,
				]);
			expect(flagsOf(sample.withTrigram("  x"))).toEqual([0, 0, 0]);
		},
	);

	test("tells the beginning of a word from its middle", () => {
		expect(flagsOf(sample.withTrigram(" ar"))).toEqual([0, 0, 0]);
		expect(flagsOf(sample.withTrigram("ara"))).toEqual([1, 0, 0]);
		expect(flagsOf(sample.withTrigram("ll "))).toEqual([0, 1, 0]);
	});

	test("has neighbouring letters", () => {
		expect(flagsOf(sample.withPair("记忆"))).toEqual([0, 0, 1]);
	});
});

describe("a query is split by its scripts", () => {
	test.each([
		["sarah chen", [], 0, "sarah chen"],
		["数据库", ["数据", "据库"], 3, " "],
		["雨", ["雨"], 1, " "],
		["ｶﾀｶﾅ plus", ["カタ", "タカ", "カナ"], 4, "  plus"],
		["记忆 and 记忆", ["记忆"], 4, "  and  "],
		["서울", [], 0, "서울"],
	])("%s", (query, pairs, unspacedLetters, rest) => {
		expect(splitQuery(query)).toEqual({ pairs, unspacedLetters, rest });
	});
});
