import { membersOf } from "../util/present.ts";
import {
	decodeVector,
	NoVector,
	namedVector,
	vectorNames,
} from "./decode-vector.ts";
import { errorReason, isStated } from "./error-reason.ts";
import { CallFailure, unreadable } from "./failure.ts";
import { maxNumbers } from "./http.ts";
import { statusFailure } from "./status-failure.ts";

/** What an answer has for one text. */
export interface Item {
	readonly index?: unknown;
	/** The vector, in whatever form. */
	readonly value: unknown;
	/** Why this text alone has none. */
	readonly error?: unknown;
}

/**
 * The items of an answer: under `data` as OpenAI documents it, or where other
 * servers put them; within an answer of a gateway's own; as a bare list; for a
 * single text, its vector alone.
 */
export function itemsOf(answer: object, texts: number): readonly Item[] {
	for (const place of placesIn(answer)) {
		const list = listOf(place);
		if (list === undefined) continue;
		const isOneVector = texts === 1 && list.length > 0 && list.every(isNumeric);
		return isOneVector ? [{ value: list }] : list.map(toItem);
	}
	if (texts === 1)
		for (const place of placesIn(answer))
			if (isObject(place) && namedVector(place) !== undefined)
				return [toItem(place)];
	throw unreadable("JSON without vectors");
}

/** The vectors that a provider's `embed` returned, in whatever kind of list. */
export async function vectorsOf(
	answer: unknown,
	texts: number,
	dimensions: number,
): Promise<Float32Array[]> {
	if (typeof answer !== "object" || answer === null)
		throw unreadable(
			`${answer === null ? "null" : typeof answer} instead of a list of vectors`,
		);
	const list =
		Symbol.asyncIterator in answer || Symbol.iterator in answer
			? await listFrom(answer as AsyncIterable<unknown>, texts)
			: answer;
	return itemsOf(list, texts).map((item) => vectorIn(item, dimensions));
}

/** All that it gives, or some more than there are texts: that is wrong already. */
async function listFrom(
	items: AsyncIterable<unknown> | Iterable<unknown>,
	texts: number,
): Promise<object> {
	if (Array.isArray(items)) return items;
	const isOneVector = ArrayBuffer.isView(items) && texts === 1;
	if (isOneVector) return [items];
	const list: unknown[] = [];
	for await (const item of items) {
		list.push(item);
		if (list.length > Math.max(texts, maxNumbers)) break;
	}
	return list;
}

/** The item's vector, or a {@link NoVector} that describes what there is instead. */
export function vectorIn(
	{ value, error }: Item,
	dimensions: number,
): Float32Array {
	if (isMissing(value) && isStated(error))
		return new NoVector(itemFailure(error));
	return decodeVector(value, dimensions);
}

const wrappers = ["data", "result", "output", "response", "results"] as const;

/** Objects and lists that may be the items, the likelier first. */
function placesIn(answer: object): unknown[] {
	const members = membersOf(answer);
	const inner = wrappers.map((name) => members[name]);
	return [
		members.data,
		...inner.filter(isObject).map((wrapped) => wrapped.data),
		answer,
		...inner,
	];
}

function listOf(place: unknown): readonly unknown[] | undefined {
	if (Array.isArray(place)) return place;
	if (!isObject(place)) return undefined;
	for (const name of ["embeddings", "vectors", "predictions"] as const) {
		const member = place[name];
		if (Array.isArray(member)) return member;
		// Cohere's, by their type.
		if (isObject(member) && Array.isArray(member.float)) return member.float;
	}
	return undefined;
}

function toItem(item: unknown): Item {
	if (!isObject(item)) return { value: item };
	const { index, error } = item;
	const isNamed = vectorNames.some((name) => name in item) || isStated(error);
	// An object that is the vector itself has its numbers as members.
	const value = isNamed
		? (namedVector(item) ?? item.embedding)
		: withoutIndex(item);
	return { index, value, error };
}

function withoutIndex({ index: _, object: __, ...rest }: Members): unknown {
	return Object.keys(rest).length === 0 ? undefined : rest;
}

function isMissing(value: unknown): boolean {
	return (
		value === undefined ||
		value === null ||
		value === "" ||
		(Array.isArray(value) && value.length === 0)
	);
}

/** An error that stands in the place of one vector, while others may have theirs. */
function itemFailure(error: unknown): CallFailure {
	const failure = statusFailure(200, () => undefined, {
		body: errorReason({ error }),
	});
	return failure.kind === "down" || failure.kind === "broken"
		? new CallFailure(
				"answer",
				"answered with an error in the place of a vector",
			)
		: failure;
}

function isNumeric(value: unknown): boolean {
	return typeof value === "number";
}

type Members = Readonly<Record<string, unknown>>;

/** An object with members, which a list, a typed array and a buffer are not. */
function isObject(value: unknown): value is Members {
	return (
		typeof value === "object" &&
		value !== null &&
		!(Symbol.iterator in value) &&
		Object.prototype.toString.call(value) === "[object Object]"
	);
}
