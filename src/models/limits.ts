import { isObject } from "../util/present.ts";
import { isJsonNumber, jsonNumberProblem } from "./json-number.ts";
import { isNameless } from "./key-characters.ts";

/** What is refused before any SQL: PostgreSQL or PGlite would cut it, change it or hang on it. */
export const limits = {
	/** Characters of a natural key; kv_store's column has 255. */
	keyLength: 255,
	/** Characters of an edge's target, a key or an address; so many of a key are normalised. */
	edgeTargetLength: 2048,
	/** Characters of a tenant or user name. */
	scopeLength: 100,
	/** Levels of JSON; PGlite loses rows silently at 7,000. */
	jsonDepth: 100,
	/** Characters of a fuzzy query: 100 KB took over 20 s of CPU. */
	fuzzyQueryLength: 256,
	/** Characters of the text of a search. */
	queryTextLength: 65_536,
	/** Rows a read may ask for. */
	resultRows: 10_000,
	/** Items of recall. */
	recallItems: 200,
	/** Tokens of their texts together. */
	recallTokens: 1_000_000,
	/** Levels of AND, OR and NOT, and steps of a path into JSON. */
	filterDepth: 16,
	/** Conditions of a filter: each is bound on its own. */
	filterConditions: 1000,
	/** Values of a list in a query of the REM dialect. */
	filterListLength: 1000,
	/** Steps of TRAVERSE away from where it begins. */
	traverseDepth: 10,
	/** Bytes of a query of the REM dialect. */
	queryBytes: 65_536,
} as const;

/** Reserved for entities without a tenant of their own, which every tenant reads. */
export const sharedTenant = "*";

/** Length as PostgreSQL counts: code points, not UTF-16 units. */
export function characters(text: string): number {
	let count = 0;
	for (const _ of text) count++;
	return count;
}

/** Whether the text has only blanks and invisible characters. A control character is neither. */
export function isBlank(text: string): boolean {
	return /^[\s\p{White_Space}\p{Default_Ignorable_Code_Point}]*$/u.test(text);
}

/** Why the text cannot be a key, if it cannot. */
export function keyProblem(key: string): string | undefined {
	if (key === "") return "is empty";
	if (isBlank(key)) return "is blank";
	return isNameless(key) ? "has nothing but dashes and underscores" : undefined;
}

/** Why a value is refused: it cannot be stored, or it exceeds a limit. */
export interface ValueProblem {
	readonly kind: "value" | "limit";
	readonly message: string;
}

/** Why the text cannot be stored as it is, if it cannot. */
export function textProblem(text: string): string | undefined {
	if (text.includes("\0")) return "contains a NUL character";
	// PostgreSQL would store U+FFFD: two different keys would become one.
	if (!text.isWellFormed()) return "contains a lone surrogate";
	return undefined;
}

/** Why the value cannot be stored as text, number, date or JSON, if it cannot. */
export function valueProblem(
	value: unknown,
	depth = 0,
): ValueProblem | undefined {
	const message = scalarProblem(value, depth);
	if (message !== undefined) return { kind: "value", message };
	if (!isObject(value) || value instanceof Date || isJsonNumber(value))
		return undefined;
	if (depth >= limits.jsonDepth)
		return {
			kind: "limit",
			message: `is nested deeper than ${limits.jsonDepth} levels`,
		};
	if (hasHoles(value)) return { kind: "limit", message: holes };
	// By name, without an array of pairs: this runs for every row.
	for (const key of Object.keys(value)) {
		const message = textProblem(key);
		if (message !== undefined) return { kind: "value", message };
		const problem = valueProblem(value[key], depth + 1);
		if (problem !== undefined) return problem;
	}
	return undefined;
}

function scalarProblem(value: unknown, depth: number): string | undefined {
	switch (typeof value) {
		case "string":
			return textProblem(value);
		case "number":
			return Number.isFinite(value) ? undefined : "is not a finite number";
		case "bigint":
			if (depth > 0)
				return "contains a bigint, which JSON does not have: use a JsonNumber";
			return BigInt.asIntN(64, value) === value
				? undefined
				: "does not fit into 64 bits";
		case "function":
		case "symbol":
			return `contains a ${typeof value}`;
		default:
			return value instanceof Date ? dateProblem(value) : foreignObject(value);
	}
}

// PostgreSQL's first timestamp; its last one is later than JavaScript's.
const firstTimestampMs = Date.UTC(2000, 0, 1) - 211_813_488_000_000;

function dateProblem(value: Date): string | undefined {
	const ms = value.getTime();
	if (Number.isNaN(ms)) return "is not a valid date";
	return ms < firstTimestampMs ? "is a date before 4713 BC" : undefined;
}

/** Objects that JSON.stringify would turn into `{}` without an error. */
function foreignObject(value: unknown): string | undefined {
	if (isJsonNumber(value)) return jsonNumberProblem(value);
	return ArrayBuffer.isView(value) ||
		value instanceof Map ||
		value instanceof Set
		? `contains a ${value.constructor.name}, which JSON has not`
		: undefined;
}

const maxHoles = 100_000;

const holes = `contains an array of more than ${maxHoles} items that lacks some`;

/** Whether it is a long list that lacks items: JSON would have null for each, be they four billion. */
export function hasHoles(value: unknown): boolean {
	if (!Array.isArray(value) || value.length <= maxHoles) return false;
	for (let at = 0; at < value.length; at++) if (!(at in value)) return true;
	return false;
}

/** Why a list cannot be iterated, if it cannot, whatever it contains. */
export function holesProblem(value: unknown): string | undefined {
	return hasHoles(value) ? holes : undefined;
}

/** The same of a list anywhere inside a value: a schema would go through it item by item. */
export function innerHolesProblem(value: unknown): string | undefined {
	// The loop also visits what is added to the set during it.
	const found = new Set([value]);
	for (const one of found) {
		if (typeof one !== "object" || one === null || ArrayBuffer.isView(one))
			continue;
		if (hasHoles(one)) return holes;
		const items: readonly unknown[] = Array.isArray(one)
			? one
			: Object.values(one);
		for (const item of items)
			if (typeof item === "object" && item !== null) found.add(item);
	}
	return undefined;
}

/** Whether the key that zod's records leave out silently is somewhere in it. */
export function hasProtoKey(value: unknown): boolean {
	return (
		isObject(value) &&
		(Object.hasOwn(value, "__proto__") ||
			Object.values(value).some(hasProtoKey))
	);
}

/** Why the text cannot be a tenant or a user, if it cannot. */
export function scopeProblem(name: unknown): string | undefined {
	if (typeof name !== "string") return "is not a text";
	if (name === "") return "is empty";
	if (name === sharedTenant) return `is "${sharedTenant}", which is reserved`;
	// Of UTF-16 units there are at least as many, and counting those costs nothing.
	if (name.length > limits.scopeLength && characters(name) > limits.scopeLength)
		return `is longer than ${limits.scopeLength} characters`;
	return textProblem(name);
}
