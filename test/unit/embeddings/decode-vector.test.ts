import { expect, test } from "vitest";
import { decodeVector } from "../../../src/embeddings/decode-vector.ts";
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

test("base64 that is not of whole floats is no vector", () => {
	expect(decodeVector("AAAA").length).toBe(0);
	expect(decodeVector("").length).toBe(0);
});

test("base64 decoded as bytes of numbers would be a quarter as long, which the check says", () => {
	const truncated = decodeVector(base64Of(Array(384).fill(1)));
	expect(vectorProblem(truncated, 1536)?.message).toBe(
		"384 dimensions, expected 1536",
	);
});

test("numbers are taken as they are, what is no number becomes NaN", () => {
	expect(decodeVector([1, -2.5])).toEqual(Float32Array.of(1, -2.5));
	expect(decodeVector([1, null, "2"])).toEqual(
		Float32Array.of(1, Number.NaN, Number.NaN),
	);
});

test.each([undefined, null, 7, {}, true])("%s is no vector", (value) => {
	expect(decodeVector(value).length).toBe(0);
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
