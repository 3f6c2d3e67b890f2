import { describe, expect, test } from "vitest";
import { estimateTokens } from "../../src/embeddings/pack.ts";
import { mergeHybrid } from "../../src/query/merge-hybrid.ts";
import { edgesOfBest } from "../../src/query/recall/edges.ts";
import {
	type Found,
	fuse,
	shareOfRank,
	shareOfSimilarity,
} from "../../src/query/recall/fuse.ts";
import { bestPassage, fitText } from "../../src/query/recall/item-text.ts";
import { nameSpans, unknownNames } from "../../src/query/recall/names.ts";
import { packItems } from "../../src/query/recall/pack-items.ts";
import { termsOf } from "../../src/query/recall/words.ts";

const texts = (query: string) => nameSpans(query).map(({ text }) => text);

describe("names in a query", () => {
	test("are runs of words, without stop words and numbers alone", () => {
		expect(texts("who is Sarah Chen at 7")).toEqual(
			expect.arrayContaining(["Sarah Chen", "Sarah", "Chen"]),
		);
		for (const none of ["who", "is", "7", "at 7", "who is"])
			expect(texts("who is Sarah Chen at 7")).not.toContain(none);
		expect(texts("7")).toEqual(["7"]);
	});

	test("are what stands in quotes, with their own punctuation, and without a genitive", () => {
		const found = texts('is "The Curious Case, of Mr. X" in C++ (Sarah\'s)?');
		for (const name of ["The Curious Case, of Mr. X", "C++", "Sarah"])
			expect(found).toContain(name);
	});

	test("are runs of characters where there are no spaces", () => {
		const found = texts("長期記憶システムのAPI");
		for (const name of ["長期記憶", "長期記憶システム", "記憶", "API"])
			expect(found).toContain(name);
		expect(found).not.toContain("の");
		expect(texts("สวัสดีกรุงเทพ")).toContain("กรุงเทพ");
	});

	test("are distinct unless they are a single plain word", () => {
		const distinct = (query: string, name: string) =>
			nameSpans(query).find(({ text }) => text === name)?.isDistinct;
		expect(distinct("Flow over a plate", "Flow")).toBe(false);
		expect(distinct("the flow over a plate", "flow")).toBe(false);
		expect(distinct("the Flow over a plate", "Flow")).toBe(true);
		expect(distinct("see doc-42 for it", "doc-42")).toBe(true);
		expect(distinct("a red car there", "red car")).toBe(true);
	});

	test("never overlap a surrogate pair, and stay in number", () => {
		for (const query of ["a😀".repeat(3000), "a b ".repeat(3000)]) {
			const spans = nameSpans(query);
			expect(spans.length).toBeLessThanOrEqual(401);
			for (const { text } of spans) expect(text.isWellFormed()).toBe(true);
		}
	});

	test("that none has are compared, at most three", () => {
		const unknown = (query: string, found: { start: number; end: number }[]) =>
			unknownNames(query, found).map(({ text }) => text);
		expect(unknown("ask Sara Chenn about the Zepelin", [])).toEqual([
			"Sara Chenn",
			"Zepelin",
		]);
		expect(unknown("ask Sara Chenn about it", [{ start: 4, end: 14 }])).toEqual(
			[],
		);
		expect(unknown("sara chenn", [])).toEqual(["sara chenn"]);
		expect(unknown("see Chenn. They and The Zepelin. It flew", [])).toEqual([
			"Chenn. They",
			"The Zepelin. It",
		]);
		expect(unknown("the ship flew. The crew of it slept", [])).toEqual([]);
		expect(unknown("x A1 is B2 is C3 is D4 and more words", [])).toHaveLength(
			3,
		);
	});
});

test("terms are words that say something, and pairs of characters", () => {
	expect(termsOf("What is the Payments-Migration?")).toEqual([
		"payments",
		"migration",
	]);
	expect(termsOf("長期記憶")).toEqual(["長期", "期記", "記憶"]);
});

test("items share the tokens that the first ones leave", () => {
	const body = "A sentence of some length about gardens. ".repeat(20);
	const items = Array.from({ length: 8 }, (_, at) => ({
		at,
		source: { key: null, body },
	}));
	const whole = estimateTokens(body.trim());
	const maxTokens = 2 * whole + 250;
	const equal = packItems(items, { maxTokens, terms: [] });
	expect(equal.items.some(({ isWhole }) => isWhole)).toBe(false);
	const { items: packed, ...rest } = packItems(items, {
		maxTokens,
		terms: [],
		first: 2,
	});
	expect(packed.map(({ isWhole }) => isWhole).slice(0, 3)).toEqual([
		true,
		true,
		false,
	]);
	expect(packed.length + rest.omitted).toBe(8);
	expect(rest.tokens).toBeLessThanOrEqual(maxTokens);
});

const entity = (entityId: string) => ({ entityType: "notes", entityId });
const found = (
	entityId: string,
	share: number,
): Found<{ entityType: string; entityId: string }> => ({
	entity: entity(entityId),
	share,
	reasons: [{ step: "vector", rank: 1 }],
});

describe("fusing", () => {
	test("takes the best share and a tenth of the others, each entity once, ties by id", () => {
		const fused = fuse([
			[found("b", 1), found("c", 0.5), found("a", 0.5)],
			[found("c", 0.8), found("c", 0.3)],
		]);
		expect(fused.map(({ entity, score }) => [entity.entityId, score])).toEqual([
			["b", 1],
			["c", 0.8 + 0.05],
			["a", 0.5],
		]);
		expect(fused[1]?.reasons).toHaveLength(3);
	});

	test("keeps the order of a list that no other step says anything of", () => {
		const list = Array.from({ length: 50 }, (_, at) =>
			found(String((at * 37) % 50), shareOfRank(at + 1)),
		);
		expect(fuse([list]).map(({ entity }) => entity)).toEqual(
			list.map(({ entity }) => entity),
		);
	});

	test("puts an edge of the best hit behind the ninth, and a misspelt name before", () => {
		expect(0.6 * shareOfRank(1)).toBeLessThan(shareOfRank(8));
		expect(0.6 * shareOfRank(1)).toBeGreaterThan(shareOfRank(10));
		expect(shareOfSimilarity(0.6)).toBeGreaterThan(shareOfRank(8));
	});
});

describe("edges of the best hits", () => {
	const hit = (entityId: string, score: number, graphEdges: unknown[]) => ({
		entity: { ...entity(entityId), entityKey: entityId, graphEdges },
		score,
		reasons: [],
	});

	test("come by the hit's score, their weight, and whether the query asks for them", () => {
		const edges = edgesOfBest(
			[
				hit("a", 1, [
					{ dst: "x", rel_type: "cites" },
					{ dst: "y", rel_type: "managed_by" },
				]),
				hit("b", 0.9, [{ dst: "z", rel_type: "cites", weight: 0.1 }]),
			],
			"who manages it",
		);
		expect(edges.map(({ dst }) => dst)).toEqual(["y", "x", "z"]);
		expect(edges[0]?.reason).toMatchObject({ via: "a", relType: "managed_by" });
	});

	test("are of five hits, fifty at most, and nothing that is no edge", () => {
		const many = Array.from({ length: 99 }, (_, at) => ({
			dst: `${at}`,
			rel_type: "t",
		}));
		const broken = [null, 1, {}, { dst: "" }, { dst: "a", rel_type: 1 }];
		expect(edgesOfBest([hit("a", 1, many)], "q")).toHaveLength(50);
		expect(edgesOfBest([hit("a", 1, broken)], "q")).toEqual([]);
		const six = "abcdef"
			.split("")
			.map((id) => hit(id, 1, [{ dst: id, rel_type: "t" }]));
		expect(edgesOfBest(six, "q")).toHaveLength(5);
	});
});

describe("packing", () => {
	const item = (key: string | null, body: string) => ({
		id: key,
		source: { key, body },
	});
	const words = (count: number) =>
		Array.from({ length: count }, (_, at) => `word${at}.`).join(" ");

	test("never exceeds the budget, and counts what has no room", () => {
		const items = [
			item("a", words(500)),
			item("b", words(3)),
			item("c", words(900)),
			item(null, words(50)),
		];
		for (let maxTokens = 1; maxTokens < 5000; maxTokens += 37) {
			const packed = packItems(items, { maxTokens, terms: [] });
			const sum = packed.items.reduce(
				(all, { text }) => all + estimateTokens(text),
				0,
			);
			expect(packed.tokens).toBe(sum);
			expect(sum).toBeLessThanOrEqual(maxTokens);
			expect(packed.items.length + packed.omitted).toBe(4);
		}
	});

	test("leaves to long texts what short ones do not need", () => {
		const { items } = packItems(
			[item("a", words(200)), item("b", "short"), item("c", "short")],
			{ maxTokens: 700, terms: [] },
		);
		expect(items.map(({ isWhole }) => isWhole)).toEqual([true, true, true]);
	});

	test("omits items rather than cutting all of them to nothing", () => {
		const many = Array.from({ length: 20 }, (_, at) =>
			item(`k${at}`, words(300)),
		);
		const { items, omitted } = packItems(many, { maxTokens: 400, terms: [] });
		expect(items.length).toBeGreaterThanOrEqual(3);
		expect(items.length + omitted).toBe(20);
		for (const { tokens } of items.slice(0, 3))
			expect(tokens).toBeGreaterThan(40);
	});

	test("takes the passage that was found, else the one with the query's words", () => {
		const body = `${words(300)}\n\nThe zeppelin lands here.\n\n${words(300)}`;
		const fitted = fitText({ key: "k", body }, 60, ["zeppelin"]);
		expect(fitted?.text).toContain("zeppelin");
		expect(fitted).toMatchObject({ isWhole: false });
		const passage = "This passage was the nearest.";
		expect(fitText({ key: "k", body, passage }, 60, ["zeppelin"])?.text).toBe(
			`k\n${passage}`,
		);
		expect(fitText({ key: "k".repeat(255), body }, 60, [])?.text).toMatch(
			/^word/,
		);
		expect(fitText({ key: "k", body }, 7, [])).toBeUndefined();
	});

	test("finds the passage in a text of any length, whole characters only", () => {
		const text = `${"😀 ".repeat(20_000)}the zeppelin lands ${"😀 ".repeat(20_000)}`;
		const passage = bestPassage(text, 50, ["zeppelin"]);
		expect(passage).toContain("zeppelin");
		expect(passage.isWellFormed()).toBe(true);
		expect(estimateTokens(passage)).toBeLessThanOrEqual(50);
	});
});

test("hits of tables are weighed by the table's nearest row", () => {
	const hit = (id: string, score: number, similarity?: number) => ({
		id,
		score,
		ranks: {},
		...(similarity === undefined ? {} : { similarity }),
	});
	const merged = mergeHybrid(
		[
			{
				tableName: "b",
				isCompared: true,
				hits: [hit("b1", 0.03, 0.2), hit("b2", 0.02)],
			},
			{
				tableName: "a",
				isCompared: true,
				hits: [hit("a1", 0.03, 0.8), hit("a2", 0.02, 0.1)],
			},
		],
		3,
	);
	expect(merged.map(({ id, entityType }) => [id, entityType])).toEqual([
		["a1", "a"],
		["a2", "a"],
		["b1", "b"],
	]);
	const [one] = mergeHybrid(
		[{ tableName: "a", isCompared: true, hits: [hit("a", 0.01, -0.5)] }],
		1,
	);
	expect(one?.score).toBe(0.01);
});

test("hits of a table without vectors are not taken for far ones", () => {
	const hit = (id: string, score: number, similarity?: number) => ({
		id,
		score,
		ranks: {},
		...(similarity === undefined ? {} : { similarity }),
	});
	const texts = { tableName: "a", isCompared: false, hits: [hit("a1", 0.09)] };
	const near = [hit("b1", 0.18, 0.8), hit("b2", 0.08, 0.7)];
	const compared = { tableName: "b", isCompared: true, hits: near };
	const ids = mergeHybrid([texts, compared], 3).map(({ id }) => id);
	expect(ids).toEqual(["b1", "a1", "b2"]);
	const [alone] = mergeHybrid([texts], 1);
	expect(alone?.score).toBe(0.09);
});
