import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import {
	decodeVector,
	NoVector,
} from "../../../src/embeddings/decode-vector.ts";
import { vectorProblem } from "../../../src/embeddings/vector-problem.ts";

function base64Of(numbers: readonly number[]): string {
	const buffer = Buffer.alloc(numbers.length * 4);
	numbers.forEach((number, at) => {
		buffer.writeFloatLE(number, at * 4);
	});
	return buffer.toString("base64");
}

test.each([1, 3, 384, 1536, 3072])(
	"base64 of %i little-endian floats",
	(length) => {
		const numbers = Array.from({ length }, (_, at) => Math.fround(at / 7 - 1));
		const vector = decodeVector(base64Of(numbers));
		expect(vector).toEqual(Float32Array.from(numbers));
	},
);

const floats = Float32Array.of(1, -2.5, 0.25);
const { buffer } = floats;
const numbers = [1, -2.5, 0.25];

describe("a vector may come as", () => {
	test.each<[string, unknown]>([
		["numbers", numbers],
		["texts of numbers", ["1", " -2.5 ", "2.5e-1"]],
		["numbers and texts of numbers", [1, "-2.50", ".25"]],
		["a Float32Array", floats],
		["a Float64Array", Float64Array.from(numbers)],
		[
			"a Float32Array of another realm",
			runInNewContext("Float32Array.of(1, -2.5, 0.25)"),
		],
		["an ArrayBuffer", buffer],
		["a DataView", new DataView(buffer)],
		["a Buffer", Buffer.from(buffer)],
		["base64", base64Of(numbers)],
		["base64 without padding", base64Of([...numbers, 1]).replace(/=+$/, "")],
		["a list around it", [numbers]],
		["two lists around it", [[numbers]]],
		["a list around a typed array", [floats]],
		["JSON in a text", "[1, -2.5, 0.25]"],
		["{ embedding }", { object: "embedding", embedding: numbers }],
		["{ embeddings }", { embeddings: [numbers] }],
		["{ vector }", { vector: numbers }],
		["{ values }, as of Gemini", { values: numbers }],
		["{ float }, as of Cohere", { float: numbers }],
		[
			"what JSON makes of a typed array",
			JSON.parse(JSON.stringify(floats)) as unknown,
		],
		["a Proxy around a list", new Proxy(numbers, {})],
		["a Set", new Set(numbers)],
		["an iterator", numbers.values()],
	])("%s", (_, value) => {
		const vector = decodeVector(value);
		expect([...vector].slice(0, 3)).toEqual(numbers);
	});

	test("integers of any size", () => {
		const integers = Float32Array.of(1, 2, 3);
		expect(decodeVector(Int8Array.of(1, 2, 3))).toEqual(integers);
		expect(decodeVector(BigInt64Array.of(1n, 2n, 3n))).toEqual(integers);
		expect(decodeVector([1n, 2n, 3n])).toEqual(integers);
	});

	test("base64 of 64-bit floats, where its length is known", () => {
		const doubles = Float64Array.from({ length: 384 }, (_, at) =>
			Math.sin(at + 1),
		);
		const text = Buffer.from(doubles.buffer).toString("base64");
		expect(decodeVector(text, 384)).toEqual(Float32Array.from(doubles));
	});
});

describe("what is no vector is named", () => {
	test.each<[unknown, string]>([
		[undefined, "nothing"],
		[null, "null"],
		[7, "number"],
		[true, "boolean"],
		["", "an empty text"],
		[" ", "an empty text"],
		["(not, base64)!?", "a text that is not base64"],
		["AAAA", "3 bytes that are not 32-bit floats"],
		[Buffer.alloc(10), "10 bytes that are not 32-bit floats"],
		[[], "an empty list"],
		[{}, "an empty object"],
		[{ code: 1, "a text of the user": 2 }, "an object (code)"],
		[[1, null], "a list with null among its numbers"],
		[[1, undefined], "a list with undefined among its numbers"],
		[[1, "secret"], "a list with a text among its numbers"],
		[[1, {}], "a list with an object among its numbers"],
		[[1, [2]], "a list with a list among its numbers"],
		[[1, true], "a list with boolean among its numbers"],
		[new Proxy(floats, {}), "a value that cannot be read"],
		["[1, 2", "a value that cannot be read"],
	])("%j", (value, what) => {
		const vector = decodeVector(value);
		expect(vector).toBeInstanceOf(NoVector);
		expect(vector).toHaveLength(0);
		expect((vector as NoVector).failure).toMatchObject({
			kind: "answer",
			message: `answered with ${what} in the place of a vector`,
		});
	});

	test("a vector for each token", () => {
		const { failure } = decodeVector([numbers, numbers]) as NoVector;
		expect(failure).toMatchObject({
			message: "answered with a list of 2 vectors in the place of one",
			hint: "have the server pool the vectors of a text's tokens into one",
		});
	});

	test.each<[string, Uint16Array | Uint8Array]>([
		["16-bit floats", new Uint16Array(384)],
		["bytes", new Uint8Array(384)],
	])("base64 of %s", (_, integers) => {
		for (let at = 0; at < integers.length; at++) integers[at] = at * 40_503;
		const text = Buffer.from(integers.buffer).toString("base64");
		const { failure } = decodeVector(text, 384) as NoVector;
		expect(failure.message).toContain("bytes that are not 32-bit floats");
	});
});

test("base64 of another model's vector is a vector of another length", () => {
	const other = decodeVector(base64Of(Array(384).fill(1)), 768);
	expect(vectorProblem(other, 768)?.message).toBe(
		"384 dimensions, expected 768",
	);
});

test.each([
	[[1, Number.NaN], "a value that is not finite"],
	[[1, Number.POSITIVE_INFINITY], "a value that is not finite"],
	[[0, 0], "nothing but zeros"],
	[[1], "1 dimensions, expected 2"],
	[[1, 0], undefined],
	[[1e-20, 0], undefined],
])("vectorProblem of %j", (numbers, problem) => {
	expect(vectorProblem(Float32Array.from(numbers), 2)?.message).toBe(problem);
});
