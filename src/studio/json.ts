import { writeJson } from "../models/json-text.ts";
import { plainJson } from "../tools/plain-json.ts";
import type { JsonObject } from "./api/common.ts";

/** The value as JSON has it: times as texts, and integers beyond 2^53 as texts of digits. */
export function toJsonObject(value: object): JsonObject {
	return plainJson(value) as JsonObject;
}

/** JSON as text, with every digit of its numbers. */
export function exactJson(value: unknown): string {
	return writeJson(value, 2, withBigInts) ?? "null";
}

function withBigInts(_key: string, value: unknown): unknown {
	if (typeof value !== "bigint") return value;
	const number = Number(value);
	return Number.isSafeInteger(number) ? number : value.toString();
}

export function isoTime(value: unknown): string | null {
	return value instanceof Date && !Number.isNaN(value.getTime())
		? value.toISOString()
		: null;
}

const shortText = 300;

export function shortened(text: string, length = shortText): string {
	return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
