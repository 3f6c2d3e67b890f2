import { describe, expect, test } from "vitest";
import { localProvider } from "../../../src/embeddings/local.ts";
import { vectorProblem } from "../../../src/embeddings/vector-problem.ts";

async function vectorOf(text: string, dimensions = 512) {
	const provider = localProvider({ model: "lexical-v1", dimensions });
	const [vector] = await provider.embed([text], {
		purpose: "document",
	});
	return vector as Float32Array;
}

async function similarity(a: string, b: string): Promise<number> {
	const [one, other] = [await vectorOf(a), await vectorOf(b)];
	return one.reduce((sum, value, at) => sum + value * (other[at] ?? 0), 0);
}

test("the same text has the same vector, today and on any machine", async () => {
	expect([...(await vectorOf("Deploy to Kubernetes", 8))]).toEqual(
		[
			0.399704039, 0, -0.13323468, -0.444115609, -0.266469359, 0.13323468,
			-0.17764625, 0.710584939,
		].map(Math.fround),
	);
	expect(await vectorOf("Deploy to Kubernetes")).toEqual(
		await vectorOf("Deploy to Kubernetes"),
	);
});

describe("every text has a vector of length 1", () => {
	test.each([
		["a sentence", "The quick brown fox jumps over the lazy dog."],
		["one letter", "a"],
		["a stop word", "the"],
		["a digit", "7"],
		["punctuation only", "?!… — ,"],
		["emoji only", "🎉🚀"],
		["one emoji with modifiers", "👩‍👩‍👧‍👦"],
		["a lone CJK character", "猫"],
		["Japanese", "素早い茶色の狐"],
		["Arabic", "الثعلب البني"],
		["a combining mark alone", "\u0301"],
		["white space", " \n\t"],
		["nothing", ""],
		["a lone surrogate", "\ud800"],
		["100,000 characters", "word ".repeat(20_000)],
	])("%s", async (_, text) => {
		const vector = await vectorOf(text);
		expect(vectorProblem(vector, 512)).toBeUndefined();
		expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
	});
});

describe("compares words and letters", () => {
	test("a shared word is nearer than none", async () => {
		const query = "kubernetes deployment";
		const near = await similarity(query, "How we deploy to Kubernetes");
		const far = await similarity(query, "Recipes for apple pie");
		expect(near).toBeGreaterThan(0.3);
		expect(far).toBeLessThan(0.1);
	});

	test("another form of a word is near", async () => {
		expect(await similarity("deploying", "deploy")).toBeGreaterThan(0.2);
		expect(await similarity("destroying", "deploy")).toBeLessThan(0.1);
	});

	test("case, width and order of words make no difference", async () => {
		expect(await similarity("Blue Sky", "ｓｋｙ BLUE")).toBeCloseTo(1, 5);
	});

	test("stop words hardly count", async () => {
		expect(await similarity("the sky", "sky")).toBeGreaterThan(0.95);
	});

	test("it knows nothing of meaning", async () => {
		expect(await similarity("car", "automobile")).toBeLessThan(0.2);
	});

	test("different emoji are different", async () => {
		expect(await similarity("🎉", "🚀")).toBeLessThan(0.5);
	});
});
