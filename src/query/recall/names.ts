import { characters, keyProblem, limits } from "../../models/limits.ts";
import { elementAt } from "../../util/present.ts";
import { beginningOf, isStopWord, unspaced } from "./words.ts";

/** A part of the query that may be an entity's name. */
export interface NameSpan {
	readonly text: string;
	/** Its place in the query, in UTF-16 units. */
	readonly start: number;
	readonly end: number;
	/** Whether it can hardly be anything but a name: several words, the whole query, capitals, digits. */
	readonly isDistinct: boolean;
}

/** Words, runs and characters weigh 1 or 2 each: five words or ten characters are the longest name. */
const maxWeight = 10;
/** A longer text is read for names so far: its words are looked up by the hundred, and Intl.Segmenter takes the square of a run. */
const maxCharacters = 2000;
/** Names that are looked up, in one statement. */
const maxSpans = 400;

/**
 * The parts of the query that may be names: every run of up to five words; of
 * scripts without spaces, of up to ten characters; what stands in quotes; and
 * the whole. Stop words and numbers alone are none. In the order of the query,
 * the longest of each beginning first.
 */
export function nameSpans(text: string): NameSpan[] {
	const query = beginningOf(text, maxCharacters);
	const spans = new Map<string, NameSpan>();
	const add = (start: number, end: number, isDistinct: boolean) => {
		const text = query.slice(start, end).replace(/\s+/g, " ");
		const isKey =
			characters(text) <= limits.keyLength && keyProblem(text) === undefined;
		if (isKey && !spans.has(text))
			spans.set(text, { text, start, end, isDistinct });
	};
	const start = query.length - query.trimStart().length;
	const end = query.trimEnd().length;
	if (query === text) add(start, end, true);
	for (const quote of query.matchAll(
		/["“”«»„「『]([^"“”«»„「」『』]+)["“”«»」』]/g,
	))
		add(quote.index + 1, quote.index + 1 + (quote[1] ?? "").length, true);
	const units = unitsOf(query);
	for (const [first, unit] of units.entries()) {
		for (let last = lastOf(units, first); last >= first; last--) {
			const run = units.slice(first, last + 1);
			if (spans.size >= maxSpans) return [...spans.values()];
			if (mayBeName(run))
				add(unit.start, (run.at(-1) ?? unit).end, isDistinctRun(run));
		}
		if (unit.raw !== undefined) add(unit.raw.start, unit.raw.end, true);
	}
	return [...spans.values()];
}

/** The parts that look like names, capitals or digits in them, and none of which was found: they may be misspelt names. */
export function unknownNames(
	text: string,
	found: readonly Pick<NameSpan, "start" | "end">[],
): NameSpan[] {
	const query = beginningOf(text, maxCharacters);
	const units = unitsOf(query);
	const isKnown = ({ start, end }: Unit) =>
		found.some((span) => span.start < end && start < span.end);
	const runs: Unit[][] = [[]];
	for (const [at, unit] of units.entries()) {
		const isNameLike =
			!isKnown(unit) && unit.isNameLike && !(at === 0 && isPlain(unit));
		if (isNameLike) runs.at(-1)?.push(unit);
		else runs.push([]);
	}
	const words = units.filter((unit) => !isStopWord(unit.text));
	const isShort = words.length <= 3 && !words.some(isKnown);
	const named = runs.filter((run) => !run.every(beginsSentence));
	return [...(isShort ? [words] : []), ...named]
		.flatMap((run) => {
			const [first] = run;
			const last = run.at(-1);
			if (first === undefined || last === undefined) return [];
			const { start } = first;
			const { end } = last;
			const text = query.slice(start, end).replace(/\s+/g, " ");
			const isTooLong = characters(text) > limits.fuzzyQueryLength;
			return isTooLong ? [] : [{ text, start, end, isDistinct: true }];
		})
		.filter(
			({ text }, at, all) => all.findIndex((it) => it.text === text) === at,
		)
		.slice(0, maxUnknown);
}

/** Each is a call of FUZZY. */
const maxUnknown = 3;

/** A word, or a character of a script without spaces. */
interface Unit {
	readonly text: string;
	readonly start: number;
	readonly end: number;
	readonly weight: number;
	readonly isFirst: boolean;
	readonly isUnspaced: boolean;
	/** Capitals, digits or what joins words within it. */
	readonly isNameLike: boolean;
	/** With its own punctuation: C++, .NET, #general. */
	readonly raw: { readonly start: number; readonly end: number } | undefined;
}

const outside = /^[^\p{L}\p{N}]+|[^\p{L}\p{M}\p{N}]+$/gu;
const sentenceMarks = /^["'“”‘’«»([{<¿¡]+|["'“”‘’«».,;:!?…)\]}>]+$/gu;
const pieces =
	/[\p{Script=Katakana}ー]+|[\p{Script=Han}\p{Script=Hiragana}]|[\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]+|[^\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}ー\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]+/gu;
const wordsOfThai = new Intl.Segmenter("th", { granularity: "word" });

/** As many as the spans are made of. */
function unitsOf(query: string): Unit[] {
	const units: Unit[] = [];
	for (const { 0: token, index } of query.matchAll(/\S+/gu)) {
		if (units.length >= maxSpans) break;
		const core = inner(token, outside);
		if (core.text === "") continue;
		const possessive = /['’]s$/i.exec(core.text);
		const text = core.text.slice(0, possessive?.index);
		const start = index + core.start;
		const raw = inner(token, sentenceMarks);
		const hasMarks = possessive === null && raw.text !== text;
		for (const [at, piece] of piecesOf(text).entries())
			units.push({
				...unitOf(piece, start),
				isFirst: units.length === 0,
				raw:
					hasMarks && at === 0
						? {
								start: index + raw.start,
								end: index + raw.start + raw.text.length,
							}
						: undefined,
			});
	}
	return units;
}

function inner(token: string, ends: RegExp) {
	const [head = ""] = token.match(ends) ?? [];
	const start = token.startsWith(head) ? head.length : 0;
	return { text: token.replace(ends, ""), start };
}

interface Piece {
	readonly text: string;
	readonly at: number;
}

function piecesOf(text: string): Piece[] {
	if (!unspaced.test(text)) return [{ text, at: 0 }];
	return [...text.matchAll(pieces)].flatMap(({ 0: piece, index }) =>
		/^[\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u.test(
			piece,
		)
			? [...wordsOfThai.segment(piece)].map((word) => ({
					text: word.segment,
					at: index + word.index,
				}))
			: [{ text: piece, at: index }],
	);
}

function unitOf({ text, at }: Piece, start: number) {
	const isUnspaced = unspaced.test(text);
	return {
		text,
		start: start + at,
		end: start + at + text.length,
		weight: isUnspaced && [...text].length === 1 ? 1 : 2,
		isUnspaced,
		isNameLike:
			/\p{Lu}/u.test(text) ||
			(/[\p{N}_/#.-]/u.test(text) && /\p{L}/u.test(text)),
	};
}

function lastOf(units: readonly Unit[], first: number): number {
	let weight = 0;
	let last = first;
	for (let at = first; at < units.length; at++) {
		weight += elementAt(units, at).weight;
		if (weight > maxWeight) break;
		last = at;
	}
	return last;
}

function mayBeName(run: readonly Unit[]): boolean {
	const [only] = run;
	if (run.length === 1 && only?.isUnspaced) return only.weight > 1;
	return run.some(
		({ text, isUnspaced }) =>
			isUnspaced || (/\p{L}/u.test(text) && !isStopWord(text)),
	);
}

/** A word with which the query begins has a capital letter whatever it is. */
function isDistinctRun(run: readonly Unit[]): boolean {
	const [only] = run;
	if (run.length > 1 || only === undefined) return true;
	return (
		only.isUnspaced || (only.isNameLike && !(only.isFirst && isPlain(only)))
	);
}

/** "The", as it stands after a full stop. */
function beginsSentence(unit: Unit): boolean {
	return isPlain(unit) && isStopWord(unit.text);
}

/** "Flow", but not "API", "doc-42" or "iPhone". */
function isPlain({ text }: Unit): boolean {
	return /^\p{Lu}[\p{Ll}\p{M}]*$/u.test(text);
}
