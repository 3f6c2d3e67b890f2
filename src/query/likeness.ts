import { elementAt } from "../util/present.ts";

/** How like a text a query is, as pg_trgm computes it. */
export interface Likeness {
	/** `word_similarity(query, text)`. */
	readonly score: number;
	/** `similarity(text, query)`. */
	readonly tie: number;
}

/**
 * Compares texts with a query as pg_trgm does, in a tenth of its time: it lowers each
 * word by the locale, sorts the trigrams of a text, and reads the query again for
 * each. Texts of ASCII have the scores that PostgreSQL gives them in every locale
 * but the Turkish ones; which other characters are letters depends on the database.
 */
export class Comparison {
	/** Numbers of the trigrams that have other characters than those of ASCII. */
	readonly #others = new Map<number, number>();
	/** For each trigram 1 if the query has it. */
	#isCommon = new Uint8Array(asciiTrigrams);
	/** For each trigram its place among those of the text that had it last, and which text that was. */
	#places = new Int32Array(asciiTrigrams);
	/** Trigrams of the query, each once. */
	readonly #count: number;
	/** Of the text that was read last: its trigrams in their order, and each by its place among them. */
	#trigrams = new Int32Array(1024);
	readonly #numbers = new Int32Array(maxTrigrams);
	/** For each place 1 if the query has the trigram. */
	readonly #isOfQuery = new Uint8Array(maxTrigrams);
	/** For each trigram where the extent has it last; -1: nowhere. */
	readonly #lastPlace = new Int32Array(maxTrigrams);
	#length = 0;
	#text = 0;

	constructor(query: string) {
		this.#read(query);
		this.#count = this.#distinct();
		for (const trigram of this.#trigrams.subarray(0, this.#length))
			this.#isCommon[trigram] = 1;
	}

	/** `undefined`: the text is less like the query. */
	compare(text: string, minScore = 0): Likeness | undefined {
		const count = this.#count;
		this.#read(text);
		const common = count === 0 ? 0 : this.#common();
		// No extent has more in common with the query. Scores are of 32 bits.
		if (common < minScore * count * (1 - 1e-6)) return undefined;
		if (minScore > 0 && !this.#mayReach(minScore)) return undefined;
		if (common === 0) return { score: 0, tie: 0 };
		const distinct = this.#distinct();
		return {
			score: this.#bestExtent(),
			tie: likeness(common, count, distinct),
		};
	}

	/** How many of the query's trigrams the text has. */
	#common(): number {
		const trigrams = this.#trigrams;
		const isCommon = this.#isCommon;
		const places = this.#places;
		const length = this.#length;
		const text = this.#nextText();
		let count = 0;
		for (let at = 0; at < length; at++) {
			const trigram = intAt(trigrams, at);
			if (isCommon[trigram] === 0 || places[trigram] === text) continue;
			places[trigram] = text;
			count++;
		}
		return count;
	}

	/** How many trigrams the text has; numbers them. */
	#distinct(): number {
		const trigrams = this.#trigrams;
		const isCommon = this.#isCommon;
		const places = this.#places;
		const numbers = this.#numbers;
		const isOfQuery = this.#isOfQuery;
		const length = this.#length;
		const text = this.#nextText();
		let count = 0;
		for (let at = 0; at < length; at++) {
			const trigram = intAt(trigrams, at);
			let place = intAt(places, trigram);
			if (place < text) {
				place = text + count++;
				places[trigram] = place;
			}
			numbers[at] = place - text;
			isOfQuery[at] = byteAt(isCommon, trigram);
		}
		return count;
	}

	#nextText(): number {
		if (this.#text > maxPlace) {
			this.#places.fill(0);
			this.#text = 0;
		}
		this.#text += maxTrigrams;
		return this.#text;
	}

	/**
	 * Whether any extent has the score: in a fraction of the time of {@link #bestExtent}.
	 * One that has it has `1 / minScore` times as many trigrams as the query at most,
	 * so that those that end at a place begin within a window. What each of them lacks
	 * falls by 1 at most with each of the query's trigrams that follows: once it was
	 * computed for all of them, it need not be before so many have followed.
	 */
	#mayReach(minScore: number): boolean {
		const trigrams = this.#trigrams;
		const isCommon = this.#isCommon;
		const places = this.#places;
		const count = this.#count;
		const length = this.#length;
		const text = this.#nextText();
		// Scores are of 32 bits.
		const least = minScore * (1 - 1e-6);
		const most = count / least;
		let start = 0;
		let distinct = 0;
		let common = 0;
		// What is lacking at least; at first, of nothing.
		let lacking = least * count;
		for (let end = 0; end < length; end++) {
			const trigram = intAt(trigrams, end);
			const isOne = isCommon[trigram] === 1;
			if (intAt(places, trigram) < text + start) {
				distinct++;
				if (isOne) common++;
			}
			places[trigram] = text + end;
			for (; distinct > most; start++) {
				const first = intAt(trigrams, start);
				if (places[first] === text + start) {
					distinct--;
					if (isCommon[first] === 1) common--;
				}
			}
			if (!isOne || --lacking > 0) continue;
			lacking = least * count;
			let endCommon = 0;
			let endDistinct = 0;
			for (let place = end; place >= start; place--) {
				const first = intAt(trigrams, place);
				if (places[first] !== text + place) continue;
				endDistinct++;
				if (isCommon[first] === 1) endCommon++;
				const union = least * (count + endDistinct);
				const lack = union - (least + 1) * endCommon;
				if (lack <= 0) return true;
				if (lack < lacking) lacking = lack;
				// One that begins before has as many, and no more in common than the window.
				if (union - (least + 1) * common >= lacking) break;
			}
		}
		return false;
	}

	/**
	 * The greatest likeness of an extent of the text. For each trigram of the query
	 * in turn as its end, the beginning that is best for it, from the one that was
	 * best for the end before: extents that begin before that one are not considered.
	 */
	#bestExtent(): number {
		const numbers = this.#numbers;
		const isOfQuery = this.#isOfQuery;
		const count = this.#count;
		const length = this.#length;
		const lastPlace = this.#lastPlace.fill(-1, 0, length);
		let best = 0;
		let start = -1;
		let distinct = 0;
		let common = 0;
		for (let end = 0; end < length; end++) {
			const isOne = isOfQuery[end] === 1;
			if (start < 0 && !isOne) continue;
			const number = intAt(numbers, end);
			if (intAt(lastPlace, number) < 0) {
				distinct++;
				if (isOne) common++;
			}
			lastPlace[number] = end;
			if (!isOne) continue;
			if (start < 0) start = end;
			const before = start;
			let restCommon = common;
			let restDistinct = distinct;
			for (let place = before; place <= end; place++) {
				// What begins further on has no more in common: it is worth the less.
				const union = count + distinct - common;
				if (restCommon * union <= common * count) break;
				if (restCommon * union > common * (count + restDistinct - restCommon)) {
					start = place;
					common = restCommon;
					distinct = restDistinct;
				}
				if (lastPlace[intAt(numbers, place)] === place) {
					restDistinct--;
					if (isOfQuery[place] === 1) restCommon--;
				}
			}
			best = Math.max(best, likeness(common, count, distinct));
			for (let place = before; place < start; place++) {
				const left = intAt(numbers, place);
				if (lastPlace[left] === place) lastPlace[left] = -1;
			}
		}
		return best;
	}

	/** A word has two blanks before it and one behind. */
	#read(text: string): void {
		// A letter alone has two trigrams, and a lowered one may be two letters.
		if (this.#trigrams.length < 4 * text.length + 2)
			this.#trigrams = new Int32Array(8 * text.length);
		const trigrams = this.#trigrams;
		let length = 0;
		let one = 0;
		let two = 0;
		for (let at = 0; at < text.length; at++) {
			const mark = text.charCodeAt(at);
			if (mark >= asciiCharacters) {
				this.#readOther(text.toLowerCase());
				return;
			}
			const three = byteAt(letters, mark);
			if (three > 0) {
				trigrams[length++] = asciiTrigram(one, two, three);
				one = two;
				two = three;
			} else if (two > 0) {
				trigrams[length++] = asciiTrigram(one, two, 0);
				one = 0;
				two = 0;
			}
		}
		if (two > 0) trigrams[length++] = asciiTrigram(one, two, 0);
		this.#length = Math.min(length, maxTrigrams);
	}

	#readOther(text: string): void {
		const trigrams = this.#trigrams;
		let length = 0;
		let one = 0;
		let two = 0;
		for (const character of text) {
			const three = letterOf(character);
			if (three > 0) {
				trigrams[length++] = this.#trigramOf(one, two, three);
				one = two;
				two = three;
			} else if (two > 0) {
				trigrams[length++] = this.#trigramOf(one, two, 0);
				one = 0;
				two = 0;
			}
		}
		if (two > 0) trigrams[length++] = this.#trigramOf(one, two, 0);
		this.#length = Math.min(length, maxTrigrams);
	}

	#trigramOf(one: number, two: number, three: number): number {
		if ((one | two | three) < 64) return asciiTrigram(one, two, three);
		const hash =
			Math.imul(Math.imul(one, 0x85ebca6b) ^ two, 0xc2b2ae35) ^ three;
		const known = this.#others.get(hash);
		if (known !== undefined) return known;
		const trigram = asciiTrigrams + this.#others.size;
		this.#others.set(hash, trigram);
		if (trigram >= this.#isCommon.length) this.#grow();
		return trigram;
	}

	#grow(): void {
		const length = 2 * this.#isCommon.length;
		const isCommon = new Uint8Array(length);
		isCommon.set(this.#isCommon);
		this.#isCommon = isCommon;
		const places = new Int32Array(length);
		places.set(this.#places);
		this.#places = places;
	}
}

/** Of a text so many are read: four times as many as a summary can have. */
const maxTrigrams = 4096;
const maxPlace = 0x7fffffff - 2 * maxTrigrams;

const asciiCharacters = 0x80;

/** 26 letters, 10 digits, and the blank, which is 0. */
const asciiLetters = 37;

/** As few as can be: a table of them fits into a processor's cache. */
const asciiTrigrams = asciiLetters ** 3;

function asciiTrigram(one: number, two: number, three: number): number {
	return (one * asciiLetters + two) * asciiLetters + three;
}

/** The number of each letter and digit of ASCII, upper case like lower case; 0: it is none. */
const letters = Uint8Array.from(
	{ length: asciiCharacters },
	(_, mark) => Number.parseInt(String.fromCharCode(mark), 36) + 1 || 0,
);

// One for each kind of array, so that the compiler of the engine knows the kind.

function intAt(list: Int32Array, at: number): number {
	return list[at] as number;
}

function byteAt(list: Uint8Array, at: number): number {
	return list[at] as number;
}

/** The number of a letter, beyond ASCII its code point and more; 0: it is none. */
function letterOf(character: string): number {
	const mark = character.codePointAt(0) ?? 0;
	if (mark < asciiCharacters) return byteAt(letters, mark);
	return /[\p{L}\p{N}\p{M}]/u.test(character) ? mark : 0;
}

/** Of 32 bits, as pg_trgm's. */
function likeness(common: number, one: number, other: number): number {
	return other === 0 ? 0 : Math.fround(common / (one + other - common));
}

/** A text that is compared, and what belongs to it. */
export interface Compared {
	readonly text: string;
}

export interface Compare {
	readonly query: string;
	/** So many of the texts, and those that are as like the query as the last. */
	readonly count: number;
	readonly minScore: number;
}

/** The most equal ones that are returned beyond the number that was asked for. */
const maxEqual = 200;

/** The texts most like the query, best first. */
export function mostLike<T extends Compared>(
	texts: readonly T[],
	{ query, count, minScore }: Compare,
): (T & Likeness)[] {
	const comparison = new Comparison(query);
	const best: (T & Likeness)[] = [];
	let bar = minScore;
	for (const compared of texts) {
		const found = comparison.compare(compared.text, bar);
		if (found === undefined || found.score < bar) continue;
		insert(best, { ...compared, ...found });
		const last = best[count - 1];
		if (last === undefined) continue;
		bar = Math.max(bar, last.score);
		while (
			best.length > count &&
			(best.length > count + maxEqual ||
				byLikeness(last, elementAt(best, best.length - 1)) < 0)
		)
			best.pop();
	}
	return best;
}

/** Behind those that are as good. */
function insert<T extends Likeness>(best: T[], one: T): void {
	let from = 0;
	let to = best.length;
	while (from < to) {
		const middle = (from + to) >> 1;
		if (byLikeness(elementAt(best, middle), one) <= 0) from = middle + 1;
		else to = middle;
	}
	best.splice(from, 0, one);
}

function byLikeness(a: Likeness, b: Likeness): number {
	return b.score - a.score || b.tie - a.tie;
}
