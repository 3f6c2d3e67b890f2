import { randomUUID } from "node:crypto";
import { isObject, membersOf } from "../util/present.ts";
import {
	isExactNumber,
	isJsonNumber,
	isJsonNumberText,
	JsonNumber,
} from "./json-number.ts";

/**
 * JSON as a value, like `JSON.parse`, but a number that a JavaScript number
 * cannot represent with the same decimal value is a {@link JsonNumber}.
 */
export function parseJson(text: string): unknown {
	const value: unknown = JSON.parse(text);
	if (isOfTexts(value) || !mayBeInexact.test(text)) return value;
	const marked = markInexact(text);
	return marked === undefined ? value : readMarks(JSON.parse(marked));
}

/** Whether it is a list of texts, as the values of a row are returned: there is no number in it. */
function isOfTexts(value: unknown): boolean {
	if (!Array.isArray(value)) return false;
	for (const item of value)
		if (typeof item !== "string" && item !== null) return false;
	return true;
}

// Up to 15 digits with an exponent below 100 always are exact.
const mayBeInexact = /\d(?:\.?\d){15}|\d[eE][+-]?\d{3}/;

/** Stands before the text of a number that travels as a string; no other text has it. */
const mark = `${randomUUID()}:`;

/** The JSON with inexact numbers as marked strings; `undefined`: there are none. */
function markInexact(json: string): string | undefined {
	const parts: string[] = [];
	let done = 0;
	for (const { start, end } of numbersIn(json)) {
		const number = json.slice(start, end);
		if (isExactNumber(number)) continue;
		parts.push(json.slice(done, start), `"${mark}${number}"`);
		done = end;
	}
	return parts.length === 0 ? undefined : [...parts, json.slice(done)].join("");
}

/** The places of the numbers outside strings, of valid JSON. */
function* numbersIn(json: string): Generator<{ start: number; end: number }> {
	const numberOrQuote = /"|-?\d[\d.eE+-]*/g;
	for (;;) {
		const found = numberOrQuote.exec(json);
		if (found === null) return;
		if (found[0] === '"')
			numberOrQuote.lastIndex = endOfString(json, found.index);
		else yield { start: found.index, end: numberOrQuote.lastIndex };
	}
}

/** Behind the closing quote. One expression over megabytes would overflow its stack. */
function endOfString(json: string, start: number): number {
	let quote = json.indexOf('"', start + 1);
	while (isEscaped(json, quote)) quote = json.indexOf('"', quote + 1);
	return quote + 1;
}

function isEscaped(json: string, at: number): boolean {
	let start = at;
	while (json[start - 1] === "\\") start--;
	return (at - start) % 2 === 1;
}

/** Without recursion: stored JSON may nest deeper than the stack. */
function readMarks(value: unknown): unknown {
	const root: Record<string, unknown> = { value };
	const open: Record<string, unknown>[] = [root];
	for (;;) {
		const parent = open.pop();
		if (parent === undefined) return root.value;
		for (const key of Object.keys(parent)) {
			const item = parent[key];
			if (typeof item === "string") {
				if (item.startsWith(mark))
					parent[key] = new JsonNumber(item.slice(mark.length));
			} else if (isObject(item)) open.push(item);
		}
	}
}

/**
 * The members of a JSON object, each as it is written: numbers with the digits
 * that they have. The text is valid JSON; `undefined`: it is not an object.
 */
export function rawMembers(json: string): Map<string, string> | undefined {
	let at = afterSpace(json, 0);
	if (json[at] !== "{") return undefined;
	const members = new Map<string, string>();
	at = afterSpace(json, at + 1);
	while (json[at] !== "}") {
		const nameEnd = endOfString(json, at);
		const name: string = JSON.parse(json.slice(at, nameEnd));
		const start = afterSpace(json, afterSpace(json, nameEnd) + 1);
		const end = endOfValue(json, start);
		members.set(name, json.slice(start, end));
		at = afterSpace(json, end);
		if (json[at] === ",") at = afterSpace(json, at + 1);
	}
	return members;
}

function afterSpace(json: string, at: number): number {
	let place = at;
	while (json.charCodeAt(place) <= 0x20) place++;
	return place;
}

const quoteOrBracket = /["{}[\]]/g;
const endOfScalar = /[\s,}\]]/g;

function endOfValue(json: string, start: number): number {
	const first = json[start];
	if (first === '"') return endOfString(json, start);
	if (first !== "{" && first !== "[") {
		endOfScalar.lastIndex = start;
		return endOfScalar.exec(json)?.index ?? json.length;
	}
	let depth = 0;
	let at = start;
	do {
		quoteOrBracket.lastIndex = at;
		const found = quoteOrBracket.exec(json);
		if (found === null) return json.length;
		const [token] = found;
		if (token === '"') at = endOfString(json, found.index);
		else {
			at = found.index + 1;
			depth += token === "{" || token === "[" ? 1 : -1;
		}
	} while (depth > 0);
	return at;
}

/**
 * The value as JSON, like `JSON.stringify`, but a {@link JsonNumber} is written
 * as the number it is.
 */
export function writeJson(
	value: unknown,
	indent?: number,
	replace?: (key: string, value: unknown) => unknown,
): string {
	if (!mayHaveExact(value)) return JSON.stringify(value, replace, indent);
	const marked = JSON.stringify(
		value,
		function (this: unknown, key, item: unknown) {
			const given = membersOf(this)[key];
			// `item` is what toJSON made of it.
			const number = isJsonNumber(given) ? given : item;
			if (isJsonNumber(number)) return markedNumber(number);
			return replace === undefined ? item : replace(key, item);
		},
		indent,
	);
	return marked.replaceAll(marks, "$1");
}

const marks = new RegExp(`"${mark}([-+.\\deE]+)"`, "g");

/** `null`, as JSON.stringify writes NaN, for what was made to look like one. */
function markedNumber({ text }: JsonNumber): string | null {
	return isJsonNumberText(text) ? `${mark}${text}` : null;
}

/** Whether a JsonNumber is in it, or may come out of a toJSON. */
function mayHaveExact(value: unknown): boolean {
	if (!isObject(value)) return false;
	if (Array.isArray(value)) {
		for (const item of value) if (mayHaveExact(item)) return true;
		return false;
	}
	if (typeof value.toJSON === "function") return !(value instanceof Date);
	for (const key in value) if (mayHaveExact(value[key])) return true;
	return false;
}
