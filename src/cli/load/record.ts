import { isJsonNumber } from "../../models/json-number.ts";

/** Whether the value is an object with properties: no array, no date, no null. */
export function isRecord(value: unknown): value is Record<string, unknown> {
	return (
		typeof value === "object" &&
		value !== null &&
		!Array.isArray(value) &&
		!(value instanceof Date) &&
		!isJsonNumber(value)
	);
}
