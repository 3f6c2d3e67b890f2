import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { localProvider } from "../../../src/embeddings/local.ts";
import type { EmbeddingPurpose } from "../../../src/embeddings/provider.ts";
import { knownShareOf } from "../../../src/embeddings/semantic.ts";
import { vectorProblem } from "../../../src/embeddings/vector-problem.ts";
import { stemOf } from "../../../src/embeddings/word-stem.ts";
import {
	loadWordVectors,
	readWordVectors,
} from "../../../src/embeddings/word-vectors.ts";

const provider = localProvider({ model: "semantic-v1", dimensions: 612 });

async function vectorOf(text: string, purpose: EmbeddingPurpose = "document") {
	const [vector] = await provider.embed([text], { purpose });
	return vector as Float32Array;
}

/** As a search scores the document. */
async function score(query: string, document: string): Promise<number> {
	return cosine(await vectorOf(query, "query"), await vectorOf(document));
}

function cosine(a: Float32Array, b: Float32Array): number {
	return a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
}

test("a text has the same vector today and on any machine", async () => {
	const text = "The tenant's lawyer isn't paying rent: 東京, naïve Ωmega";
	const document = await vectorOf(text);
	const query = await vectorOf(text, "query");
	expect(pinned(document)).toEqual([
		0.05246, -0.02374, -0.02563, -0.08064, -0.04031, 0.0405, 0.04857, 0.72888,
	]);
	expect(pinned(query)).toEqual([
		0.04728, -0.02139, -0.0231, -0.07267, -0.07546, 0.07581, 0.09092, 0,
	]);
});

/** Some numbers of each part, rounded to what every platform's logarithm agrees on. */
function pinned(vector: Float32Array): number[] {
	const places = [0, 1, 50, 99, ...marked(vector), 611];
	return places.map((at) => Number((vector[at] ?? 0).toFixed(5)));
}

/** The first three words and spellings that are not 0. */
function marked(vector: Float32Array): number[] {
	return [...vector.keys()]
		.filter((at) => at >= 100 && at < 611 && vector[at] !== 0)
		.slice(0, 3);
}

describe("every text has a vector of length 1", () => {
	test.each([
		["a sentence", "The quick brown fox jumps over the lazy dog."],
		["one letter", "a"],
		["a stop word", "the"],
		["an unknown word", "xqzzkv"],
		["a digit", "7"],
		["punctuation only", "?!… — ,"],
		["emoji only", "🎉🚀"],
		["a lone CJK character", "猫"],
		["Japanese", "素早い茶色の狐"],
		["Thai", "สุนัขจิ้งจอกสีน้ำตาล"],
		["Hindi", "तेज़ भूरी लोमड़ी"],
		["Arabic", "الثعلب البني"],
		["a combining mark alone", "\u0301"],
		["white space", " \n\t"],
		["nothing", ""],
		["a contraction and nothing else", "'s"],
		["a lone surrogate", "\ud800"],
		["100,000 characters", "word ".repeat(20_000)],
		["a word of 100,000 characters", "x".repeat(100_000)],
	])("%s", async (_, text) => {
		for (const purpose of ["document", "query"] as const) {
			const vector = await vectorOf(text, purpose);
			expect(vectorProblem(vector, 612)).toBeUndefined();
			expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
		}
	});
});

describe("compares meanings", () => {
	test.each([
		["car", "automobile", "banana"],
		["doctor", "The physician examined her", "The bridge was repaired"],
		[
			"who fixes cars?",
			"Anna is a mechanic at the garage",
			"Anna is a singer at the opera",
		],
	])("%s is nearer to %s than to %s", async (query, near, far) => {
		expect(await score(query, near)).toBeGreaterThan(
			(await score(query, far)) + 0.05,
		);
	});

	test("a form of a word that has no vector has that of the word", async () => {
		const { rows } = await loadWordVectors();
		expect([rows.has("ukulele"), rows.has("ukuleles")]).toEqual([true, false]);
		const meaning = async (text: string) =>
			(await vectorOf(text, "query")).slice(0, 100);
		expect(await meaning("ukuleles")).toEqual(await meaning("ukulele"));
	});
});

describe("compares words and spellings", () => {
	test("of names that have no meaning", async () => {
		const near = await score("xqzzkv", "the xqzzkv project");
		expect(near).toBeGreaterThan((await score("xqzzkv", "the project")) + 0.1);
	});

	test("of other forms of a word", async () => {
		expect(await score("deploying", "we deploy it")).toBeGreaterThan(
			(await score("deploying", "we destroy it")) + 0.1,
		);
	});

	test("case, width and order of words make no difference", async () => {
		const [one, other] = [
			await vectorOf("Blue Sky"),
			await vectorOf("ｓｋｙ BLUE"),
		];
		expect(cosine(one, other)).toBeCloseTo(1, 5);
	});

	test("a contraction is the word without it", async () => {
		for (const [long, short] of [
			["she's", "she"],
			["wouldn’t", "would"],
			["we'll", "we"],
		] as const)
			expect(
				cosine(await vectorOf(long, "query"), await vectorOf(short, "query")),
			).toBeCloseTo(1, 5);
	});

	test.each([
		["Chinese", "数据库", "我们的数据库很快", "我们的汽车很快"],
		["Japanese", "東京", "昨日東京に行った", "昨日大阪に行った"],
		["Thai", "แมว", "ฉันมีแมวสองตัว", "ฉันมีบ้านสองหลัง"],
	])("of %s, inside a sentence", async (_, query, near, far) => {
		expect(await score(query, near)).toBeGreaterThan(
			(await score(query, far)) + 0.1,
		);
	});
});

test("a document that says more about the query goes before a short one that says less", async () => {
	const query = "when does the ferry to the island leave?";
	const long =
		"The ferry to the island leaves at nine in the morning, except on Sundays.";
	expect(await score(query, long)).toBeGreaterThan(
		await score(query, "Leave it."),
	);
	expect(await score(query, long)).toBeGreaterThan(await score(query, "When?"));
});

test("only documents use the last number", async () => {
	expect((await vectorOf("a short text", "query"))[611]).toBe(0);
	const [short, long] = [
		await vectorOf("a short text"),
		await vectorOf("a longer text with many more words about rivers and seas"),
	];
	expect(short[611]).toBeGreaterThan(long[611] ?? 0);
});

describe("how much of a query is known", () => {
	const known = async (query: string) =>
		knownShareOf(await vectorOf(query, "query"));

	test.each([
		["all of it", "who keeps the lighthouse?", 1],
		["all of it, words of one letter or not", "a policeman in a taxi", 1],
		["none of it", "灯台守の日記", 0],
		["not even a word", "?!", 0],
	])("%s", async (_, query, share) => {
		expect(await known(query)).toBeCloseTo(share, 5);
	});

	test("a part of it, rare words more than frequent ones", async () => {
		const share = await known("lighthouse xqzzkv");
		expect(share).toBeGreaterThan(0.4);
		expect(share).toBeLessThan(0.6);
		expect(await known("the xqzzkv")).toBeLessThan(0.1);
	});

	test("does not depend on the vector's length, and is all of a document's", async () => {
		const vector = await vectorOf("lighthouse xqzzkv", "query");
		for (const factor of [0.1, 10])
			expect(knownShareOf(vector.map((value) => value * factor))).toBeCloseTo(
				knownShareOf(vector),
				5,
			);
		expect(knownShareOf(await vectorOf("lighthouse xqzzkv"))).toBe(1);
		expect(knownShareOf(new Float32Array(612))).toBe(1);
	});

	test("is read from vectors of fewer numbers, too", async () => {
		const [vector] = await localProvider({
			model: "semantic-v1",
			dimensions: 128,
		}).embed(["lighthouse xqzzkv"], { purpose: "query" });
		expect(knownShareOf(vector as Float32Array)).toBeCloseTo(
			await known("lighthouse xqzzkv"),
			5,
		);
	});
});

test("has the length that is asked for", async () => {
	for (const dimensions of [128, 384, 2000]) {
		const [vector] = await localProvider({
			model: "semantic-v1",
			dimensions,
		}).embed(["a river"], { purpose: "query" });
		expect(vectorProblem(vector as Float32Array, dimensions)).toBeUndefined();
	}
});

test("stems join the forms of a word and leave others apart", () => {
	const stems = (words: string) => new Set(words.split(" ").map(stemOf)).size;
	for (const one of [
		"deploy deploys deployed deploying",
		"stop stops stopped stopping",
		"city cities",
		"base bases based basing",
		"quick quickly",
	])
		expect([one, stems(one)]).toEqual([one, 1]);
	expect(stems("string strong sting bus bed red thing 2nd bring")).toBe(9);
});

describe("the file of the word vectors", () => {
	const file = fileURLToPath(
		new URL("../../../assets/semantic-v1.bin", import.meta.url),
	);
	let folder: string;
	beforeAll(async () => {
		folder = await mkdtemp(join(tmpdir(), "word-vectors-"));
	});
	afterAll(() => rm(folder, { recursive: true }));

	test("is read once, also by calls at the same time", async () => {
		const [one, other] = await Promise.all([
			loadWordVectors(),
			loadWordVectors(),
		]);
		expect(one).toBe(other);
		expect(await loadWordVectors()).toBe(one);
		expect(one.length).toBe(100);
		expect(one.rows.size).toBe(60_000);
		expect(one.numbers.length).toBe(6_000_000);
	});

	test("is found at the first place that has it", async () => {
		const copy = join(folder, "copy.bin");
		await copyFile(file, copy);
		const found = await readWordVectors([
			join(folder, "none.bin"),
			join(file, "below-a-file.bin"),
			copy,
		]);
		expect(found.rows.get("the")).toBe(0);
	});

	test("missing, it is named with what to do", async () => {
		await expect(readWordVectors([join(folder, "none.bin")])).rejects.toThrow(
			expect.objectContaining({
				code: "PROVIDER_NOT_CONFIGURED",
				message: expect.stringContaining("semantic-v1.bin is missing"),
				hint: expect.stringContaining("EMBEDDING__MODEL=lexical-v1"),
			}),
		);
	});

	test.each([
		["empty", () => Buffer.alloc(0)],
		["cut off", (whole: Buffer) => whole.subarray(0, 1_000_000)],
		[
			"changed in one bit",
			(whole: Buffer) => {
				const copy = Buffer.from(whole);
				copy.writeUInt8(copy.readUInt8(5_000_000) ^ 1, 5_000_000);
				return copy;
			},
		],
		["a pointer of git-lfs", () => Buffer.from("version https://git-lfs")],
	])("%s, it is refused", async (_, spoil) => {
		const path = join(folder, "spoilt.bin");
		await writeFile(path, spoil(await readFile(file)));
		await expect(readWordVectors([path, file])).rejects.toThrow(
			expect.objectContaining({
				code: "PROVIDER_NOT_CONFIGURED",
				message: expect.stringContaining("differs from the file"),
			}),
		);
	});

	test("a folder in its place is reported", async () => {
		await expect(readWordVectors([folder])).rejects.toThrow(
			expect.objectContaining({
				code: "PROVIDER_NOT_CONFIGURED",
				message: expect.stringContaining("cannot be read"),
			}),
		);
	});
});
