import { expect, test } from "vitest";
import {
	Comparison,
	type Likeness,
	mostLike,
} from "../../src/query/likeness.ts";
import { useService } from "../support/engine.ts";

// What the library computes of summaries is what pg_trgm computes of them.

const db = useService({ models: [] });

const words = [
	..."a of the in and report reports reporter budget budgets spring springs".split(
		" ",
	),
	..."ab abc abcd abab aaa aaaa C# 42 4242 X-ray under_score don't".split(" "),
];

/** Texts of words and marks, the same each time. */
function randomTexts(count: number, more: readonly string[]): string[] {
	let seed = 1;
	const random = (below: number) => {
		seed = (seed * 48_271) % 2_147_483_647;
		return seed % below;
	};
	const all = [...words, ...more];
	return Array.from({ length: count }, () =>
		Array.from({ length: random(40) }, () => {
			const word = all[random(all.length)] as string;
			const mark = [" ", ", ", "--", " . "][random(4)];
			return `${random(3) === 0 ? word.toUpperCase() : word}${mark}`;
		}).join(""),
	);
}

async function scoresOf(query: string, texts: readonly string[]) {
	const { rows } = await db.service.execute<{ score: number; tie: number }>(
		`SELECT word_similarity($1, t.text) AS score, similarity(t.text, $1) AS tie
FROM jsonb_array_elements_text($2::text::jsonb) WITH ORDINALITY AS t (text, no) ORDER BY t.no`,
		[query, JSON.stringify(texts)],
	);
	return rows.map(({ score, tie }) => ({
		score: Math.fround(score),
		tie: Math.fround(tie),
	}));
}

test.each([
	["of ASCII", []],
	["with other letters", ["Überblick", "naïve", "ÉCOLE", "Жук", "жуки"]],
])("scores of texts %s are those of PostgreSQL", async (_, more) => {
	const texts = randomTexts(300, more);
	const queries = [
		...randomTexts(20, more).map((text) => text.slice(0, 40)),
		"the report",
		"abab aaa",
		"#",
	];
	let found = 0;
	for (const query of queries) {
		const comparison = new Comparison(query);
		const expected = await scoresOf(query, texts);
		const scores = texts.map((text) => comparison.compare(text));
		expect([query, scores]).toEqual([query, expected]);
		found += expected.filter(({ score }) => score > 0 && score < 1).length;
		for (const [at, text] of texts.entries())
			expect(comparison.compare(text, expected[at]?.score)).toEqual(
				expected[at],
			);
	}
	expect(found).toBeGreaterThan(1000);
});

test("the best of many texts are those that a comparison of all finds, with all that are equal to the last", async () => {
	const texts = randomTexts(300, []).map((text) => ({ text }));
	const equal = Array.from({ length: 30 }, () => ({ text: "the budgets" }));
	const all = [...texts, ...equal];
	for (const query of ["the budget report", "budgets", "spring of abcd"]) {
		const comparison = new Comparison(query);
		const scores = all
			.map(({ text }) => comparison.compare(text) as Likeness)
			.filter(({ score }) => score >= 0.3)
			.sort((a, b) => b.score - a.score || b.tie - a.tie);
		for (const count of [1, 10, 40, 1000]) {
			const best = mostLike(all, { query, count, minScore: 0.3 });
			const last = scores[count - 1];
			expect(best.map(({ score, tie }) => ({ score, tie }))).toEqual(
				scores.filter(
					({ score, tie }, at) =>
						at < count || (score === last?.score && tie === last.tie),
				),
			);
		}
	}
});
