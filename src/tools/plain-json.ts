import { writeJson } from "../models/json-text.ts";
import { membersOf } from "../util/present.ts";

/** The value as JSON has it: dates as texts, and numbers that JavaScript cannot represent exactly as texts. */
export function plainJson(value: unknown): unknown {
	return JSON.parse(
		JSON.stringify(value, (_, item: unknown) =>
			typeof item === "bigint" ? exactNumber(item) : item,
		) ?? "null",
	);
}

/** The members of an object as JSON has them. */
export function plainMembers(value: object): Readonly<Record<string, unknown>> {
	return membersOf(plainJson(value));
}

function exactNumber(value: bigint): number | string {
	const number = Number(value);
	return Number.isSafeInteger(number) ? number : value.toString();
}

/** One line of JSON: what is stored cannot look like anything else in a text. */
export function quotedJson(value: unknown): string {
	return writeJson(value);
}
