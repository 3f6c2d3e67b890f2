import { membersOf } from "../util/present.ts";
import { scopeProblem, textProblem } from "./limits.ts";

/** Why a value cannot be taken as an argument, if it cannot: "must be a string, not a number". */
export type Check = (value: unknown) => string | undefined;

/** A text that PostgreSQL can store. */
export const text: Check = (value) =>
	typeof value === "string"
		? textProblem(value)
		: `must be a string, not ${typeName(value)}`;

/** Any text: what uses it refuses what it cannot read. */
export const anyText: Check = (value) =>
	typeof value === "string"
		? undefined
		: `must be a string, not ${typeName(value)}`;

/** A tenant. Operators of filters, String objects and lists are none. */
export const tenantName: Check = (value) =>
	typeof value === "string"
		? scopeProblem(value)
		: `must be a string, not ${typeName(value)}`;

/** A user, or `null` for shared rows. */
export const userName: Check = (value) =>
	value === null || typeof value === "string"
		? value === null
			? undefined
			: scopeProblem(value)
		: `must be a string or null, not ${typeName(value)}`;

export const flag: Check = (value) =>
	typeof value === "boolean"
		? undefined
		: `must be true or false, not ${typeName(value)}`;

/** A number of the range in words, which the verb itself checks. */
export function numberOf(range: string): Check {
	return (value) =>
		typeof value === "number"
			? undefined
			: `must be ${range}, not ${typeName(value)}`;
}

export function wholeNumber(
	minimum: number,
	maximum = Number.MAX_SAFE_INTEGER,
): Check {
	const range =
		maximum === Number.MAX_SAFE_INTEGER
			? `a whole number from ${minimum}`
			: `a whole number from ${minimum} to ${maximum}`;
	return (value) => {
		if (typeof value !== "number")
			return `must be ${range}, not ${typeName(value)}`;
		const isWithin =
			Number.isSafeInteger(value) && value >= minimum && value <= maximum;
		return isWithin ? undefined : `must be ${range}, not ${value}`;
	};
}

/** How long a timer can wait: a day. Node.js takes what is beyond 24 days for 1 ms. */
export const longestWaitMs = 86_400_000;

export const callback: Check = (value) =>
	typeof value === "function"
		? undefined
		: `must be a function, not ${typeName(value)}`;

/** An object with fields: no list, date, map or promise. */
export const record: Check = (value) => {
	if (!isRecord(value)) return `must be an object, not ${typeName(value)}`;
	// A getter that throws does so here, where it is reported.
	Object.values(value);
	return undefined;
};

export const validDate: Check = (value) => {
	if (!(value instanceof Date)) return `must be a Date, not ${typeName(value)}`;
	return Number.isNaN(value.getTime()) ? "is not a valid date" : undefined;
};

export const signal: Check = (value) => {
	if (typeof value !== "object" || value === null)
		return `must be an AbortSignal, not ${typeName(value)}`;
	const { aborted, addEventListener } = membersOf(value);
	return typeof aborted === "boolean" && typeof addEventListener === "function"
		? undefined
		: "must be an AbortSignal";
};

/** Numbers: a Float32Array, a Float64Array or a list. */
export const vector: Check = (value) =>
	value instanceof Float32Array ||
	value instanceof Float64Array ||
	isNumbers(value)
		? undefined
		: `must be a Float32Array, a Float64Array or an array of numbers${Array.isArray(value) ? "" : `, not ${typeName(value)}`}`;

/** An object that has these methods. */
export function having(expected: string, ...methods: readonly string[]): Check {
	return (value) => {
		if (typeof value !== "object" || value === null)
			return `must be ${expected}, not ${typeName(value)}`;
		const isWhole = methods.every(
			(name) => typeof Reflect.get(value, name) === "function",
		);
		return isWhole ? undefined : `must be ${expected}`;
	};
}

/** The handle that `transaction` passes to its work. */
export const transactionHandle = having(
	"the handle of a transaction",
	"query",
	"script",
	"transaction",
	"vectorOid",
);

export function oneOf(...values: readonly unknown[]): Check {
	const list = values.map((value) => JSON.stringify(value)).join(", ");
	return (value) =>
		values.includes(value) ? undefined : `must be one of ${list}`;
}

export function listOf(check: Check): Check {
	return (value) => {
		if (!Array.isArray(value))
			return `must be an array, not ${typeName(value)}`;
		// By index: a hole in the list is no item either.
		for (let at = 0; at < value.length; at++) {
			const problem = check(value[at]);
			if (problem !== undefined) return `[${at}] ${problem}`;
		}
		return undefined;
	};
}

/** The first check's problem is reported where none of them is satisfied, and lists go by the list's check. */
export function oneOrList(check: Check): Check {
	const list = listOf(check);
	return (value) => (Array.isArray(value) ? list(value) : check(value));
}

export function orNull(check: Check): Check {
	return (value) => (value === null ? undefined : check(value));
}

export function isRecord(
	value: unknown,
): value is Readonly<Record<string, unknown>> {
	if (typeof value !== "object" || value === null) return false;
	if (Object.getPrototypeOf(value) === Object.prototype) return true;
	// A Map, a Promise or a String object has no fields: a filter or options made
	// of one would be empty, and match everything.
	return tagOf.call(value) === "[object Object]";
}

const tagOf = Object.prototype.toString;

function isNumbers(value: unknown): value is readonly number[] {
	if (!Array.isArray(value)) return false;
	for (let at = 0; at < value.length; at++)
		if (typeof value[at] !== "number") return false;
	return true;
}

/** `a string`, `an array`, `null`: never what it contains. */
export function typeName(value: unknown): string {
	if (value === null) return "null";
	if (value === undefined) return "undefined";
	const type = typeof value;
	if (type !== "object") return `a ${type}`;
	if (ArrayBuffer.isView(value)) return "binary data";
	try {
		if (Array.isArray(value)) return "an array";
		const tag = tagOf.call(value).slice(8, -1);
		return tag === "Object" ? "an object" : `a ${tag}`;
	} catch {
		return "an object"; // a proxy that cannot be read any more
	}
}
