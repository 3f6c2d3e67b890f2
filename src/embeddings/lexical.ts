/**
 * A text's vector in lexical-v1. Words and the character trigrams inside them are
 * hashed into a fixed number of dimensions with a sign (feature hashing,
 * Weinberger et al. 2009), counted sub-linearly, and the vector is brought to
 * length 1. Texts that share words and spellings are near each other; that a car
 * is an automobile is not known.
 */
export function lexicalVector(text: string, dimensions: number): Float32Array {
	const vector = new Float32Array(dimensions);
	const counts = featureCounts(text);
	for (const [hash, { weight, count }] of counts) {
		const sign = hash & 1 ? 1 : -1;
		const place = (hash >>> 1) % dimensions;
		vector[place] =
			(vector[place] ?? 0) + sign * weight * (1 + Math.log(count));
	}
	return normalise(vector, text);
}

const trigramWeight = 0.3;
const stopWordWeight = 0.1;

interface Feature {
	readonly weight: number;
	count: number;
}

/** The text's features by their hash: its words, and the trigrams of those that carry meaning. */
function featureCounts(text: string): Map<number, Feature> {
	const counts = new Map<number, Feature>();
	const count = (hash: number, weight: number) => {
		const feature = counts.get(hash);
		if (feature === undefined) counts.set(hash, { weight, count: 1 });
		else feature.count++;
	};
	for (const word of words(text)) {
		const isStopWord = stopWords.has(word);
		count(hashOf(word), isStopWord ? stopWordWeight : 1);
		if (isStopWord) continue;
		for (const hash of trigramHashes(word)) count(hash, trigramWeight);
	}
	return counts;
}

/**
 * Marks are sorted by insertion: 65,536 in a row took 5 s. A joiner after 30,
 * as in Unicode's stream-safe format, ends each sort.
 */
const longMarks = /\p{M}{30}/gu;

function words(text: string): string[] {
	return normalisedText(text).match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** In lower case, and without differences that are invisible. */
export function normalisedText(text: string): string {
	return text.replace(longMarks, "$&\u034f").normalize("NFKC").toLowerCase();
}

/** Of the word with its ends marked; one of one or two letters gains nothing by them. */
export function* trigramHashes(word: string): Generator<number> {
	if (word.length < 3) return;
	const marked = `^${word}$`;
	for (let at = 0; at + 3 <= marked.length; at++)
		yield hashOf(marked.slice(at, at + 3), trigramSeed);
}

/** Text without a word, or whose features cancel out, still has a direction of its own. */
function normalise(vector: Float32Array, text: string): Float32Array {
	let sum = 0;
	for (const value of vector) sum += value * value;
	if (sum === 0) {
		vector[hashOf(text) % vector.length] = 1;
		return vector;
	}
	const length = Math.sqrt(sum);
	for (let at = 0; at < vector.length; at++)
		vector[at] = (vector[at] ?? 0) / length;
	return vector;
}

const wordSeed = 0x811c9dc5;
const trigramSeed = 0x1b873593;

/** FNV-1a over UTF-16 units, with a final mix: its low bits alone are poor. */
export function hashOf(text: string, seed: number = wordSeed): number {
	let hash = seed;
	for (let at = 0; at < text.length; at++) {
		hash ^= text.charCodeAt(at);
		hash = Math.imul(hash, 0x01000193);
	}
	hash ^= hash >>> 16;
	hash = Math.imul(hash, 0x85ebca6b);
	return (hash ^ (hash >>> 13)) >>> 0;
}

const stopWords = new Set(
	(
		"a about after all also an and are as at be been but by can do for from had has have he her " +
		"him his how i if in into is it its more my no not of on or our she so some than that the " +
		"their them then there these they this to up was we were what when where which who will " +
		"with would you your"
	).split(" "),
);
