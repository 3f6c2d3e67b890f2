import { unspacedScripts } from "../models/unspaced-scripts.ts";
import { hashOf, normalisedText, trigramHashes } from "./lexical.ts";
import type { EmbeddingPurpose } from "./provider.ts";
import { stemOf } from "./word-stem.ts";
import type { WordVectors } from "./word-vectors.ts";

export interface SemanticOptions {
	readonly words: WordVectors;
	readonly dimensions: number;
	readonly purpose: EmbeddingPurpose;
}

/**
 * A text's vector in semantic-v1: what its words mean (the sum of their vectors,
 * rare words weighing more; Arora et al. 2017, "A simple but tough-to-beat
 * baseline for sentence embeddings"), which words and spellings it has (feature
 * hashing, as in lexical-v1), and one number more.
 *
 * A cosine prefers short documents: nothing in them is not about the query.
 * So neither part of a document reaches its full length, the less so the shorter
 * the text, and the number at the end, which is 0 in every query, is what is missing
 * to length 1. It has the effect of the length in BM25, and of all that was tried it
 * improved the results most (docs/decisions/0067-meaning-without-a-key.md).
 *
 * Of a query, the meaning counts as much as of its words are known: a question in
 * another language has a few names and a preposition in the table, which do not
 * stand for the whole (docs/decisions/0094-queries-that-a-model-does-not-know.md).
 */
export function semanticVector(
	text: string,
	{ words, dimensions, purpose }: SemanticOptions,
): Float32Array {
	const terms = termsOf(text, words);
	const isDocument = purpose === "document";
	const meant = isDocument ? meaningShare : meaningShare * knownShare(terms);
	const vector = new Float64Array(dimensions);
	const meaning = vector.subarray(0, words.length);
	const spelling = vector.subarray(words.length, -1);
	addMeaning(meaning, terms, words);
	addSpelling(spelling, terms);
	scale(meaning, {
		share: meant,
		missing: isDocument ? meaningMissing : 0,
	});
	scale(spelling, {
		share: 1 - meant,
		missing: isDocument ? spellingMissing : 0,
	});
	const squares = sumOfSquares(vector);
	// Nothing but signs, or features that cancel out: still a direction of its own.
	if (squares === 0) spelling[hashOf(text) % spelling.length] = 1;
	// A query without a known word has one part only.
	else if (!isDocument) multiply(vector, 1 / Math.sqrt(squares));
	else vector[dimensions - 1] = Math.sqrt(1 - squares);
	return new Float32Array(vector);
}

/** Numbers of the vectors of words. */
const meaningLength = 100;

/**
 * How much of a query `semantic-v1` knows, 0 to 1, by its vector of any length: the
 * part of its words that has meanings, frequent ones counting less. A document's
 * vector, which a caller may search with, says nothing about it: 1.
 */
export function knownShareOf(query: Float32Array): number {
	const squares = sumOfSquares(query);
	if (squares === 0 || query.at(-1) !== 0) return 1;
	const meaning = sumOfSquares(query.subarray(0, meaningLength));
	return Math.min(1, meaning / squares / meaningShare);
}

// Measured on five collections, three of documents and two of conversations.
const meaningShare = 0.35;
const meaningMissing = 8;
const spellingMissing = 4;
const trigramWeight = 0.3;
const stemSeed = 0x9e3779b9;

/** A word of a text. */
interface Term {
	readonly word: string;
	/** Of the word, or of one that it is a form of. */
	readonly row: number | undefined;
	/** Near 0 for the most frequent words, near 1 for rare ones. */
	readonly weight: number;
	/** How often it occurs. */
	readonly count: number;
}

function termsOf(text: string, { rows }: WordVectors): Term[] {
	const counts = new Map<string, number>();
	for (const word of wordsOf(text))
		counts.set(word, (counts.get(word) ?? 0) + 1);
	return [...counts].map(([word, count]) => {
		const row = rows.get(word);
		return {
			word,
			row: row ?? rowOfBase(word, rows),
			weight: weightOf(row ?? unknownRow),
			count,
		};
	});
}

/** "isn't", "she's": what is behind the apostrophe is no word, and "don" and "t" are others. */
const contractions =
	/n['’]t(?![\p{L}\p{N}])|['’](?:s|re|ll|ve|d|m)(?![\p{L}\p{N}])/gu;

/** Marks are parts of words: of vowels in the scripts of India, of tones in Thai. */
const word = /[\p{L}\p{N}][\p{L}\p{N}\p{M}]*/gu;

const hasUnspaced = new RegExp(`[${unspacedScripts}]`, "u");
const runs = new RegExp(
	`[${unspacedScripts}\\p{M}ー]+|[^${unspacedScripts}]+`,
	"gu",
);

function* wordsOf(text: string): Generator<string> {
	const plain = normalisedText(text).replace(contractions, "");
	for (const [found] of plain.matchAll(word)) {
		if (!hasUnspaced.test(found)) yield found;
		else
			for (const [run] of found.matchAll(runs))
				if (hasUnspaced.test(run)) yield* pairsOf(run);
				else yield run;
	}
}

/** Of a script without spaces: each two characters in a row, which overlap. */
function* pairsOf(run: string): Generator<string> {
	const characters = [...run];
	if (characters.length === 1) yield run;
	for (let at = 0; at + 1 < characters.length; at++)
		yield `${characters[at]}${characters[at + 1]}`;
}

function knownShare(terms: readonly Term[]): number {
	let all = 0;
	let known = 0;
	for (const { word, row, weight } of terms) {
		// The table has no words of one letter: "a" would count as a rare word.
		if (row === undefined && word.length === 1 && !hasUnspaced.test(word))
			continue;
		all += weight;
		if (row !== undefined) known += weight;
	}
	return all === 0 ? 0 : known / all;
}

const endings = ["s", "es", "ed", "d", "ing", "ly", "er"];

/** The row of the word that this one is a form of. */
function rowOfBase(
	word: string,
	rows: ReadonlyMap<string, number>,
): number | undefined {
	if (word.length < 5) return undefined;
	for (const ending of endings) {
		if (!word.endsWith(ending)) continue;
		const found = rows.get(word.slice(0, -ending.length));
		if (found !== undefined) return found;
	}
	return undefined;
}

/** As rare as the last words of the 400,000 that GloVe knows. */
const unknownRow = 400_000;

/**
 * a / (a + p), where p is how frequent the word is: by Zipf's law 1 / (13 × rank).
 * With 3e-4 for a the word of rank 256 weighs a half.
 */
function weightOf(row: number): number {
	const a = 3e-4;
	return a / (a + 1 / (13 * (row + 1)));
}

function addMeaning(
	part: Float64Array,
	terms: readonly Term[],
	{ length, scales, numbers }: WordVectors,
): void {
	for (const { row, weight, count } of terms) {
		if (row === undefined) continue;
		const factor = weight * damped(count) * (scales[row] ?? 0);
		const start = row * length;
		for (let at = 0; at < length; at++)
			part[at] = (part[at] ?? 0) + factor * (numbers[start + at] ?? 0);
	}
}

function addSpelling(part: Float64Array, terms: readonly Term[]): void {
	const features = new Map<number, { weight: number; count: number }>();
	const add = (hash: number, weight: number, count: number) => {
		const feature = features.get(hash);
		if (feature === undefined) features.set(hash, { weight, count });
		else {
			feature.weight = Math.max(feature.weight, weight);
			feature.count += count;
		}
	};
	for (const { word, weight, count } of terms) {
		add(hashOf(stemOf(word), stemSeed), weight, count);
		for (const hash of trigramHashes(word))
			add(hash, trigramWeight * weight, count);
	}
	for (const [hash, { weight, count }] of features) {
		const sign = hash & 1 ? 1 : -1;
		const place = (hash >>> 1) % part.length;
		part[place] = (part[place] ?? 0) + sign * weight * damped(count);
	}
}

/** A word that occurs ten times weighs more than one that occurs once, but not ten times as much. */
function damped(count: number): number {
	return 1 + Math.log(count);
}

/** With its share of the whole; `missing`: of a length that grows with the text, but never reaches the share. */
function scale(
	part: Float64Array,
	{ share, missing }: { readonly share: number; readonly missing: number },
): void {
	const squares = sumOfSquares(part);
	if (squares === 0) return;
	multiply(part, Math.sqrt(share / (squares + missing * missing)));
}

function sumOfSquares(vector: Float64Array | Float32Array): number {
	let sum = 0;
	for (let at = 0; at < vector.length; at++) {
		const value = vector[at] ?? 0;
		sum += value * value;
	}
	return sum;
}

// Three times as fast as `map` and `Float32Array.from`.
function multiply(vector: Float64Array, factor: number): void {
	for (let at = 0; at < vector.length; at++)
		vector[at] = (vector[at] ?? 0) * factor;
}
