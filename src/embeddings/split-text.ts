import { sixths } from "./pack.ts";

/** A part of a text. */
export interface Passage {
	readonly text: string;
	/** Place of its first character, from 0, in code points, as PostgreSQL counts. */
	readonly start: number;
	/** Place after its last character. */
	readonly end: number;
}

/** An eighth: a sentence or two on both sides of a cut, for an eighth more tokens. */
const overlapShare = 8;

/**
 * The text in passages of at most that many tokens (estimated), each as long as
 * can be: up to the last paragraph's end in its second half, else the last
 * sentence's, else the last word's, else the last character's. Neighbours share
 * whole sentences or words, so that what is at a cut is found too. White
 * space around a passage is left out, nothing else is.
 */
export function splitText(text: string, maxTokens: number): Passage[] {
	const budget = maxTokens * 6;
	const passages: Passage[] = [];
	let start = skipSpace(text, 0);
	let startPoint = codePoints(text, 0, start);
	while (start < text.length) {
		const end = endOfPassage(text, start, budget);
		const passage = text.slice(start, end).trimEnd();
		const length = codePoints(passage, 0, passage.length);
		passages.push({
			text: passage,
			start: startPoint,
			end: startPoint + length,
		});
		const rest = skipSpace(text, end);
		if (rest === text.length) break;
		const next = skipSpace(
			text,
			startOfOverlap(text, { start, end: rest }, budget),
		);
		startPoint += codePoints(text, start, next);
		start = next;
	}
	return passages;
}

function endOfPassage(text: string, start: number, budget: number): number {
	const furthest = forward(text, start, budget);
	if (furthest === text.length) return furthest;
	const cut = new Boundaries(text, start, furthest).lastBetween(
		forward(text, start, budget / 2),
		furthest,
	);
	return cut ?? furthest;
}

interface Span {
	readonly start: number;
	readonly end: number;
}

/** Where the passage begins that continues with the text at the end of another. */
function startOfOverlap(text: string, before: Span, budget: number): number {
	const { start, end } = before;
	const earliest = back(text, before, budget / overlapShare);
	if (earliest === start) return end;
	return new Boundaries(text, start, end).firstBetween(earliest, end) ?? end;
}

// Of one language, so that passages do not depend on the machine's: these rules
// differ by script, not by language, and know words of scripts without spaces.
const sentences = new Intl.Segmenter("en", { granularity: "sentence" });
const words = new Intl.Segmenter("en", { granularity: "word" });
const characters = new Intl.Segmenter("en", { granularity: "grapheme" });

/** What follows a cut decides with what precedes it. */
const lookAhead = 64;

/**
 * Where the text between two places can be cut. Only this much is given to the
 * segmenters: the whole of a long word, or text, would be read for every cut.
 */
class Boundaries {
	readonly #text: string;
	readonly #start: number;
	readonly #characters: Intl.Segments;

	constructor(text: string, start: number, end: number) {
		this.#start = start;
		this.#text = text.slice(start, end + lookAhead);
		this.#characters = characters.segment(this.#text);
	}

	/** The last good place to cut after `min`, up to `max`. */
	lastBetween(min: number, max: number): number | undefined {
		const from = min - this.#start;
		const to = max - this.#start;
		const paragraph = lastParagraph(this.#text.slice(from, to));
		if (paragraph !== undefined) return min + paragraph;
		for (const unit of [sentences, words, characters]) {
			const at = before(unit.segment(this.#text), to);
			// A cut that suits sentences or words may still part a character.
			const whole = before(this.#characters, at);
			if (whole > from) return this.#start + whole;
		}
		return undefined;
	}

	/** The first good place to start at, from `min` on, before `max`. */
	firstBetween(min: number, max: number): number | undefined {
		for (const unit of [sentences, words]) {
			const at = startAfter(unit.segment(this.#text), min - this.#start);
			if (at === undefined) continue;
			const whole = this.#start + endAfter(this.#characters, at);
			if (whole < max) return whole;
		}
		return undefined;
	}
}

/** The end of the last empty line, and of the white space after it. */
function lastParagraph(text: string): number | undefined {
	const gap = [...text.matchAll(/\n[^\S\n]*\n\s*/g)].at(-1);
	return gap && gap.index + gap[0].length;
}

function before(segments: Intl.Segments, at: number): number {
	return segments.containing(at)?.index ?? at;
}

/** Where the first sentence or word begins, from there on. */
function startAfter(segments: Intl.Segments, at: number): number | undefined {
	let start = endAfter(segments, at);
	for (;;) {
		const found = segments.containing(start);
		// Spaces and full stops are no words.
		const isStart = found?.isWordLike !== false && found?.segment.trim() !== "";
		if (found === undefined || isStart) return found?.index;
		start += found.segment.length;
	}
}

/** The end of the segment, unless something begins there. */
function endAfter(segments: Intl.Segments, at: number): number {
	const found = segments.containing(at);
	if (found === undefined || found.index === at) return at;
	return found.index + found.segment.length;
}

/** How far the budget reaches, in whole code points; at least one, so that there is an end. */
function forward(text: string, start: number, budget: number): number {
	let left = budget;
	let at = start;
	while (at < text.length) {
		const next = at + unitsAt(text, at);
		for (let unit = at; unit < next; unit++)
			left -= sixths(text.charCodeAt(unit));
		if (left < 0 && at > start) break;
		at = next;
	}
	return at;
}

/** The same backwards, not beyond `start`. */
function back(text: string, { start, end }: Span, budget: number): number {
	let left = budget;
	let at = end;
	while (at > start) {
		left -= sixths(text.charCodeAt(at - 1));
		if (left < 0) break;
		at--;
	}
	return isLowSurrogate(text.charCodeAt(at)) ? at + 1 : at;
}

function unitsAt(text: string, at: number): number {
	return isLowSurrogate(text.charCodeAt(at + 1)) ? 2 : 1;
}

function codePoints(text: string, from: number, to: number): number {
	let count = to - from;
	for (let at = from; at < to; at++)
		if (isLowSurrogate(text.charCodeAt(at))) count--;
	return count;
}

/** Stored text has no lone ones, so each is the second half of a character. */
function isLowSurrogate(unit: number): boolean {
	return unit >= 0xdc00 && unit <= 0xdfff;
}

function skipSpace(text: string, at: number): number {
	const notSpace = /\S/g;
	notSpace.lastIndex = at;
	return notSpace.exec(text)?.index ?? text.length;
}
