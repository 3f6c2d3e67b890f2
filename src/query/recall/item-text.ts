import { estimateTokens } from "../../embeddings/pack.ts";
import { splitText } from "../../embeddings/split-text.ts";
import type { EntityTable } from "../../models/registry.ts";
import { elementAt } from "../../util/present.ts";

/** What there is to read of an entity. */
export interface ItemText {
	/** The first line: how the entity is called. */
	readonly key: string | null;
	/** All of it. */
	readonly body: string;
	/** The part that a search found, if it found one. */
	readonly passage?: string | undefined;
}

/** What of it fits. */
export interface FittedText {
	readonly text: string;
	readonly tokens: number;
	/** Whether that is all of it. */
	readonly isWhole: boolean;
}

/**
 * The embedded texts of a row, a blank line between them; of one without any,
 * its own fields, one a line.
 */
export function bodyOf(
	{ entity }: EntityTable,
	row: Readonly<Record<string, unknown>>,
	key: string | null,
): string {
	const texts = entity.embedFields
		.map(({ name }) => row[name])
		.filter((text) => typeof text === "string" && text.trim() !== "")
		.filter((text) => text !== key);
	if (texts.length > 0) return texts.join("\n\n");
	return entity.fields
		.filter(({ name }) => !isEmpty(row[name]) && row[name] !== key)
		.map(({ name }) => `${name}: ${valueText(row[name])}`)
		.join("\n");
}

function isEmpty(value: unknown): boolean {
	return (
		value === null ||
		value === undefined ||
		value === "" ||
		(Array.isArray(value) && value.length === 0)
	);
}

function valueText(value: unknown): string {
	if (typeof value === "string") return value;
	if (value instanceof Date) return value.toISOString();
	return (
		JSON.stringify(value, (_, part: unknown) =>
			typeof part === "bigint" ? `${part}` : part,
		) ?? ""
	);
}

/** Key and text, as long as they may be together. */
export function wholeText({ key, body }: ItemText): string {
	return [key ?? "", body.trim()].filter((part) => part !== "").join("\n");
}

/** Fewer tokens make no useful excerpt. */
const minPassage = 8;

/**
 * The whole text if it has no more tokens than that, else its key and the
 * passage that the search found, or the part of it with the most words of the
 * query; without the key where that would take more than half. `undefined`:
 * there is no room for a sentence.
 */
export function fitText(
	item: ItemText,
	maxTokens: number,
	terms: readonly string[],
): FittedText | undefined {
	const whole = wholeText(item);
	const wholeTokens = estimateTokens(whole);
	if (wholeTokens <= maxTokens)
		return { text: whole, tokens: wholeTokens, isWhole: true };
	const head = item.key === null ? "" : `${item.key}\n`;
	const headTokens = estimateTokens(head);
	const hasHead = headTokens * 2 <= maxTokens;
	const room = hasHead ? maxTokens - headTokens : maxTokens;
	if (room < minPassage) return undefined;
	const passage = bestPassage(item.passage ?? item.body, room, terms);
	const text = hasHead ? head + passage : passage;
	const tokens = estimateTokens(text);
	return tokens > maxTokens || passage === ""
		? undefined
		: { text, tokens, isWhole: false };
}

/** Of longer texts, the stretch of this length with the most words of the query is cut into passages. */
const stretchLength = 8192;

/** The part of the text, of so many tokens at most, with the most of the terms; of equal ones the first. */
export function bestPassage(
	text: string,
	maxTokens: number,
	terms: readonly string[],
): string {
	if (estimateTokens(text) <= maxTokens) return text.trim();
	const stretch = best(stretchesOf(text), terms, (part) => part);
	const passages = splitText(stretch, maxTokens);
	return passages.length === 0
		? ""
		: best(passages, terms, ({ text }) => text).text;
}

function stretchesOf(text: string): string[] {
	const stretches: string[] = [];
	for (let at = 0; at < text.length; at += stretchLength / 2) {
		stretches.push(wellCut(text.slice(at, at + stretchLength)));
		if (at + stretchLength >= text.length) break;
	}
	return stretches;
}

/** Without the halves of characters at its ends. */
function wellCut(text: string): string {
	return text.replace(/^[\uDC00-\uDFFF]|[\uD800-\uDBFF]$/g, "");
}

function best<Part>(
	parts: readonly Part[],
	terms: readonly string[],
	textOf: (part: Part) => string,
): Part {
	let found = elementAt(parts, 0);
	let most = -1;
	for (const part of parts) {
		const text = textOf(part).toLowerCase();
		const count = terms.filter((term) => text.includes(term)).length;
		if (count <= most) continue;
		most = count;
		found = part;
	}
	return found;
}
