import { writeJson } from "../../models/json-text.ts";
import { plainJson } from "./plain-text.ts";

/** JSON as the command prints it: harmless for a terminal, numbers of any size. */
export function jsonText(value: unknown, indent?: number): string {
	const text = writeJson(value, indent, withBigInts) ?? "null";
	// Line breaks between values are JSON's own; those inside are escaped already.
	return text.split("\n").map(plainJson).join("\n");
}

/** A bigint beyond what a number holds exactly is written as a text. */
function withBigInts(_key: string, value: unknown): unknown {
	if (typeof value !== "bigint") return value;
	const number = Number(value);
	return Number.isSafeInteger(number) ? number : value.toString();
}
