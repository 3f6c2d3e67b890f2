import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { estimateTokens } from "../../../src/embeddings/pack.ts";
import { splitText } from "../../../src/embeddings/split-text.ts";

function passages(text: string, maxTokens: number): string[] {
	return splitText(text, maxTokens).map((passage) => passage.text);
}

describe("where a text is cut", () => {
	test("at the end of a paragraph, if one ends in the second half", () => {
		const first = "A first paragraph. It has two sentences.";
		const second = "The second one, of another matter altogether.";
		expect(passages(`${first}\n \n${second}`, 20)).toEqual([first, second]);
		expect(passages(`${first}\r\n\r\n${second}`, 20)).toEqual([first, second]);
	});

	test("else at the end of a sentence", () => {
		const text = "She paid $3.50 for a book. Glad. Then it began to rain.";
		expect(passages(text, 16)).toEqual([
			"She paid $3.50 for a book. Glad.",
			"Glad. Then it began to rain.",
		]);
	});

	test("else between words, sharing words with what comes before", () => {
		expect(passages("a bb cc dd ee ff gg hh ii jj kk ll mm nn", 10)).toEqual([
			"a bb cc dd ee ff gg hh ii jj",
			"jj kk ll mm nn",
		]);
	});

	test("in scripts without spaces, between sentences and words", () => {
		const chinese =
			"我们在北京的办公室工作。今天天气很好。明天我们去上海。我们很高兴。";
		expect(passages(chinese, 46)).toEqual([
			"我们在北京的办公室工作。今天天气很好。明天我们去上海。",
			"上海。我们很高兴。",
		]);
		const thai = "ฉันชอบกินข้าวผัดกับเพื่อนที่ตลาด";
		for (const passage of passages(thai, 20)) {
			const segmenter = new Intl.Segmenter("th", { granularity: "word" });
			const words = [...segmenter.segment(thai)].map(({ segment }) => segment);
			expect(words.join(" ")).toContain(
				[...segmenter.segment(passage)].map(({ segment }) => segment).join(" "),
			);
		}
	});

	test("never inside a visible character", () => {
		const family = "👩‍👩‍👧‍👦";
		expect(passages(family.repeat(5), 40).join("")).toMatch(
			new RegExp(`^(${family})+$`, "u"),
		);
		const flags = "🇩🇪🇫🇷🇮🇹🇪🇸🇵🇹🇬🇷";
		for (const passage of passages(flags, 20)) expect(flags).toContain(passage);
		expect(passages(flags, 20)[0]).toBe("🇩🇪🇫🇷🇮🇹");
	});

	test("anywhere, where there is nothing better", () => {
		const base64 = "QUJD".repeat(30);
		expect(passages(base64, 10)[0]).toHaveLength(30);
		// One letter with a thousand accents.
		const accents = `e${"\u0301".repeat(1000)}`;
		expect(passages(accents, 100).length).toBeGreaterThan(9);
	});

	test("white space around passages is left out, and nothing but white space is no passage", () => {
		const text = `  start${" ".repeat(1000)}\n\n${"\t".repeat(500)}end \n `;
		expect(splitText(text, 16)).toEqual([
			{ text: "start", start: 2, end: 7 },
			{ text: "end", start: 1509, end: 1512 },
		]);
		expect(splitText(" \n ".repeat(100), 16)).toEqual([]);
	});
});

/** The text between two places that count code points. */
function part(text: string, start: number, end: number): string {
	return [...text].slice(start, end).join("");
}

const pieces = fc.oneof(
	fc.lorem({ maxCount: 12 }),
	fc.lorem({ maxCount: 3, mode: "sentences" }),
	fc.string({ unit: "grapheme", maxLength: 30 }),
	fc.string({ unit: "binary", maxLength: 30 }),
	fc.constantFrom("\n\n", "\r\n \r\n", " ", "\t\n", "。", "\u2029", "\u0600 "),
	fc.constantFrom(
		"👨‍👩‍👧‍👦",
		"🇩🇪🇫🇷",
		"नमस्ते दुनिया",
		"日本語の文章です。",
		"ประเทศไทย",
	),
	fc.constantFrom("e\u0301".repeat(20), "x".repeat(200), " ".repeat(90)),
);
const texts = fc.array(pieces, { maxLength: 40 }).map((all) => all.join(""));

test("any text: every passage is within the limit and at its position, and together they are the whole", () => {
	fc.assert(
		fc.property(texts, fc.integer({ min: 16, max: 90 }), (text, maxTokens) => {
			let covered = 0;
			let before = { start: -1, end: 0 };
			for (const passage of splitText(text, maxTokens)) {
				expect(estimateTokens(passage.text)).toBeLessThanOrEqual(maxTokens);
				expect(passage.text).toBe(part(text, passage.start, passage.end));
				expect(passage.text).toBe(passage.text.trim());
				expect(passage.start).toBeGreaterThan(before.start);
				expect(passage.end).toBeGreaterThan(before.end);
				// What is between two passages is white space.
				expect(part(text, covered, passage.start).trim()).toBe("");
				expect(
					estimateTokens(part(text, passage.start, before.end)),
				).toBeLessThanOrEqual(Math.ceil(maxTokens / 8));
				covered = passage.end;
				before = passage;
			}
			expect(part(text, covered, text.length).trim()).toBe("");
		}),
		{ numRuns: Number(process.env.REM_TEST_RUNS ?? 300) },
	);
});

test("any text: no cut divides a visible character, if that fits", () => {
	const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
	fc.assert(
		fc.property(texts, (text) => {
			const segments = graphemes.segment(text);
			for (const { start, end } of splitText(text, 90))
				for (const place of [start, end]) {
					const unit = part(text, 0, place).length;
					const segment = segments.containing(unit);
					const isWhole =
						segment === undefined ||
						segment.index === unit ||
						// White space that carries an accent is not in a passage.
						segment.segment.trim() !== segment.segment ||
						estimateTokens(segment.segment) > 11;
					expect(isWhole).toBe(true);
				}
		}),
		{ numRuns: Number(process.env.REM_TEST_RUNS ?? 300) },
	);
});

test("megabytes are split in time that grows with their length", () => {
	const words = "The quick brown fox jumps over the lazy dog. ".repeat(45_000);
	const count = splitText(words, 8192).length;
	expect(count).toBeGreaterThan(words.length / 3 / 8192);
	expect(count).toBeLessThan((words.length / 3 / 8192) * 1.2);
	expect(splitText("x".repeat(1_000_000), 8192).length).toBeGreaterThan(40);
	expect(splitText("\n".repeat(1_000_000), 8192)).toEqual([]);
});
