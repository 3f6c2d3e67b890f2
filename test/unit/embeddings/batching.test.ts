import { describe, expect, test } from "vitest";
import { estimateTokens, pack } from "../../../src/embeddings/pack.ts";

describe("estimateTokens", () => {
	// cl100k_base counts 29, 49, 60, 60, 67, 62 and 54.
	test.each([
		["", 0],
		[
			"The quick brown fox jumped over the lazy dog, while the committee deliberated over whether the regulations concerning municipal infrastructure ought to be amended before winter.",
			59,
		],
		[
			"Die Donaudampfschifffahrtsgesellschaft veröffentlichte gestern ihre Geschäftsbedingungen, während die Versicherungsunternehmen über Rückerstattungsansprüche verhandelten.",
			61,
		],
		[
			"敏捷的棕色狐狸跳过了懒狗,与此同时委员会正在讨论是否应在冬季之前修改有关市政基础设施的规定。",
			68,
		],
		[
			"빠른 갈색 여우가 게으른 개를 뛰어넘는 동안 위원회는 겨울이 오기 전에 도시 기반 시설 규정을 개정해야 하는지 심의했다.",
			80,
		],
		["Быстрая коричневая лиса перепрыгнула через ленивую собаку", 53],
		["😀🎉🚀", 9],
	])("rather too many than too few: %s", (text, tokens) => {
		expect(estimateTokens(text)).toBe(tokens);
	});
});

describe("pack", () => {
	const sizes = (
		texts: readonly string[],
		limits: Parameters<typeof pack>[1],
	): number[] => [...pack(texts, limits)].map((batch) => batch.texts.length);

	test("fills calls by count", () => {
		expect(sizes(["a", "b", "c", "d", "e"], { maxTexts: 2 })).toEqual([
			2, 2, 1,
		]);
	});

	test("fills calls by tokens", () => {
		const texts = Array.from({ length: 5 }, () => "x".repeat(30));
		const limits = { maxTexts: 100, maxTokensPerRequest: 25 };
		expect(sizes(texts, limits)).toEqual([2, 2, 1]);
	});

	test("preserves the order and counts the tokens", () => {
		expect([...pack(["abc", "defdef", "g"], { maxTexts: 2 })]).toEqual([
			{ texts: ["abc", "defdef"], tokens: 3 },
			{ texts: ["g"], tokens: 1 },
		]);
	});

	test("sends a text that may be too long alone", () => {
		const long = "x".repeat(300);
		const limits = { maxTexts: 10, maxTokensPerText: 50 };
		expect(
			[...pack(["a", long, "b"], limits)].map(({ texts }) => texts),
		).toEqual([[long], ["a", "b"]]);
	});

	test("sends a text larger than a whole request all the same", () => {
		const long = "x".repeat(300);
		expect(
			sizes(["a", long], { maxTexts: 10, maxTokensPerRequest: 50 }),
		).toEqual([1, 1]);
	});

	test("has no call for nothing", () => {
		expect(sizes([], { maxTexts: 10 })).toEqual([]);
	});
});
