/** How like a text a query is, as pg_trgm computes it. */
export interface Likeness {
	/** `word_similarity(query, text)`. */
	readonly score: number;
	/** `similarity(text, query)`. */
	readonly tie: number;
}

/**
 * Compares texts with a query as pg_trgm does, in a twentieth of its time: it
 * lowers each word by the locale, sorts the trigrams of a text, and reads the
 * query again for each. Texts of ASCII have the scores that PostgreSQL gives them in
 * every locale but the Turkish ones; which other characters are letters depends on
 * the database.
 */
export class Comparison {
	readonly #query: TrigramNumbers;
	/** Trigrams of the query, each once. */
	readonly #count: number;
	readonly #others = new TrigramNumbers(512);
	/** Of the text that was read last: the number of each trigram; those of the query are below {@link #count}. */
	#numbers = new Int32Array(512);
	#length = 0;
	#distinct = 0;
	#common = 0;
	/** For each trigram of the query the text that had it last. */
	readonly #textOf: Int32Array;
	#text = 0;
	#lastPlace = new Int32Array(512);

	constructor(query: string) {
		this.#query = new TrigramNumbers(64);
		forEachTrigram(query, (trigram) => this.#query.numberOf(trigram));
		this.#count = this.#query.size;
		this.#textOf = new Int32Array(this.#count);
	}

	/** The part of the query's trigrams that the text has: its score is no greater. */
	share(text: string): number {
		if (this.#count === 0) return 0;
		this.#read(text);
		return Math.fround(this.#common / this.#count);
	}

	compare(text: string): Likeness {
		if (this.#count === 0) return { score: 0, tie: 0 };
		this.#read(text);
		const common = this.#common;
		return {
			score: common === 0 ? 0 : this.#bestExtent(),
			tie: likeness(common, this.#count, this.#distinct),
		};
	}

	#read(text: string): void {
		this.#others.clear();
		this.#text++;
		this.#length = 0;
		this.#common = 0;
		forEachTrigram(text, (trigram) => this.#add(trigram));
		this.#distinct = this.#common + this.#others.size;
	}

	#add(trigram: number): void {
		let number = this.#query.find(trigram);
		if (number < 0) number = this.#count + this.#others.numberOf(trigram);
		else if (this.#textOf[number] !== this.#text) {
			this.#textOf[number] = this.#text;
			this.#common++;
		}
		if (this.#length === this.#numbers.length)
			this.#numbers = twice(this.#numbers);
		this.#numbers[this.#length++] = number;
	}

	/**
	 * The greatest likeness of an extent of the text. For each trigram of the query
	 * in turn as its end, the beginning that is best for it, from the one that was
	 * best for the end before: extents that begin before that one are not considered.
	 */
	#bestExtent(): number {
		const numbers = this.#numbers;
		const count = this.#count;
		const all = count + this.#others.size;
		while (this.#lastPlace.length < all)
			this.#lastPlace = twice(this.#lastPlace);
		const lastPlace = this.#lastPlace.fill(-1, 0, all);
		let best = 0;
		let start = -1;
		let distinct = 0;
		let common = 0;
		for (let end = 0; end < this.#length; end++) {
			const number = numbers[end] as number;
			const isCommon = number < count;
			if (start < 0 && !isCommon) continue;
			if ((lastPlace[number] as number) < 0) {
				distinct++;
				if (isCommon) common++;
			}
			lastPlace[number] = end;
			if (!isCommon) continue;
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
				const first = numbers[place] as number;
				if (lastPlace[first] === place) {
					restDistinct--;
					if (first < count) restCommon--;
				}
			}
			best = Math.max(best, likeness(common, count, distinct));
			for (let place = before; place < start; place++) {
				const first = numbers[place] as number;
				if (lastPlace[first] === place) lastPlace[first] = -1;
			}
		}
		return best;
	}
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

/**
 * The texts most like the query, best first. Those that have most in common with it
 * are compared first: once the rest has too little, it is left out.
 */
export function mostLike<T extends Compared>(
	texts: readonly T[],
	{ query, count, minScore }: Compare,
): (T & Likeness)[] {
	const comparison = new Comparison(query);
	const shares = Float32Array.from(texts, ({ text }) => comparison.share(text));
	const order = Uint32Array.from(texts.keys()).sort(
		(a, b) => (shares[b] as number) - (shares[a] as number),
	);
	const best: (T & Likeness)[] = [];
	let bar = minScore;
	for (const at of order) {
		if ((shares[at] as number) < bar) break;
		const compared = texts[at] as T;
		const found = comparison.compare(compared.text);
		if (found.score < bar) continue;
		insert(best, { ...compared, ...found });
		bar = Math.max(bar, best[count - 1]?.score ?? 0);
		const last = best[count - 1];
		while (
			last !== undefined &&
			best.length > count &&
			(best.length > count + maxEqual ||
				byLikeness(last, best[best.length - 1] as Likeness) < 0)
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
		if (byLikeness(best[middle] as T, one) <= 0) from = middle + 1;
		else to = middle;
	}
	best.splice(from, 0, one);
}

function byLikeness(a: Likeness, b: Likeness): number {
	return b.score - a.score || b.tie - a.tie;
}

/** Numbers trigrams in the order in which they are met, from 0: a table with open addressing. */
class TrigramNumbers {
	size = 0;
	#keys: Int32Array;
	#values: Int32Array;
	/** Which filling an entry is of: to clear the table costs nothing. */
	#fillings: Int32Array;
	#filling = 1;

	constructor(capacity: number) {
		this.#keys = new Int32Array(2 * capacity);
		this.#values = new Int32Array(2 * capacity);
		this.#fillings = new Int32Array(2 * capacity);
	}

	clear(): void {
		this.size = 0;
		this.#filling++;
	}

	/** -1: it has not been met. */
	find(trigram: number): number {
		const at = this.#placeOf(trigram);
		return this.#fillings[at] === this.#filling
			? (this.#values[at] as number)
			: -1;
	}

	numberOf(trigram: number): number {
		const at = this.#placeOf(trigram);
		if (this.#fillings[at] === this.#filling) return this.#values[at] as number;
		const number = this.size++;
		this.#keys[at] = trigram;
		this.#values[at] = number;
		this.#fillings[at] = this.#filling;
		if (2 * this.size > this.#keys.length) this.#grow();
		return number;
	}

	#placeOf(trigram: number): number {
		const mask = this.#keys.length - 1;
		let at = Math.imul(trigram, 0x9e3779b1) >>> 7;
		for (;;) {
			at &= mask;
			if (this.#fillings[at] !== this.#filling || this.#keys[at] === trigram)
				return at;
			at++;
		}
	}

	#grow(): void {
		const [keys, values, fillings] = [this.#keys, this.#values, this.#fillings];
		this.#keys = new Int32Array(2 * keys.length);
		this.#values = new Int32Array(2 * keys.length);
		this.#fillings = new Int32Array(2 * keys.length);
		for (const [at, filling] of fillings.entries()) {
			if (filling !== this.#filling) continue;
			const place = this.#placeOf(keys[at] as number);
			this.#keys[place] = keys[at] as number;
			this.#values[place] = values[at] as number;
			this.#fillings[place] = filling;
		}
	}
}

function twice(array: Int32Array): Int32Array<ArrayBuffer> {
	const longer = new Int32Array(2 * array.length);
	longer.set(array);
	return longer;
}

const blank = 0x20;

/** The trigrams of a text, in their order, as numbers: a word has two blanks before it and one behind. */
function forEachTrigram(text: string, add: (trigram: number) => void): void {
	const lower = text.toLowerCase();
	let [first, second] = [blank, blank];
	let isInWord = false;
	for (let at = 0; at < lower.length; at++) {
		const mark = lower.codePointAt(at) as number;
		if (mark > 0xffff) at++;
		if (isLetter(mark)) {
			add(trigramOf(first, second, mark));
			[first, second] = [second, mark];
			isInWord = true;
		} else if (isInWord) {
			add(trigramOf(first, second, blank));
			[first, second] = [blank, blank];
			isInWord = false;
		}
	}
	if (isInWord) add(trigramOf(first, second, blank));
}

/** Of ASCII the three characters, of others a hash of them. */
function trigramOf(first: number, second: number, third: number): number {
	if ((first | second | third) < 0x80)
		return (first << 14) | (second << 7) | third;
	const hash = Math.imul(Math.imul(first, 0x85ebca6b) ^ second, 0xc2b2ae35);
	return (hash ^ third) | 0x40000000;
}

/** For each character of 16 bits 1 if it is a letter or a digit, 2 if it is none, 0 if that is not known yet. */
const knownLetters = new Uint8Array(0x10000);

function isLetter(mark: number): boolean {
	const known = knownLetters[mark];
	if (known === 1) return true;
	if (known === 2) return false;
	const found = /[\p{L}\p{N}\p{M}]/u.test(String.fromCodePoint(mark));
	if (mark <= 0xffff) knownLetters[mark] = found ? 1 : 2;
	return found;
}
