import * as z from "zod";
import {
	comparisons,
	fixed,
	kindOf,
	type TypeDefinition,
} from "./definition.ts";

/** An instant, read as a Date; an infinity is a number. */
export const timestamptz: TypeDefinition = {
	oid: 1184,
	arrayOid: 1185,
	// Milliseconds, as JavaScript has them: with more, a time that is read would not find its row again.
	ddl: "timestamptz(3)",
	isDescribedBy: (schema) => kindOf(schema) === "date",
	fromJsonSchema: ({ type, format }) =>
		type === "string" && format === "date-time" ? z.date() : undefined,
	encoder: fixed(8, (buffer, value, at) => {
		buffer.writeBigInt64BE(microseconds(Number(value)), at);
	}),
	equals: (value, stored) => Number(value) === Number(stored),
	exact: {
		/** The first or last date of JavaScript. */
		nearest: (value) =>
			typeof value !== "number" || Number.isNaN(value) || Number.isFinite(value)
				? value
				: new Date(Math.sign(value) * 8.64e15),
		refusal: "is not a finite date",
	},
	isOrdered: true,
	isKey: false,
	filter: {
		operators: comparisons,
		expected: "a Date",
		hint: "pass a Date; in a filter of JSON, a time in ISO 8601 such as 2026-03-01T12:00:00Z",
		accepts: (value) => value instanceof Date,
	},
	dialect: {
		expected: "a time",
		castNames: ["timestamp", "timestamptz"],
		family: "time",
		read: timeText,
		format: "'2026-03-01', '2026-03-01 12:30' or with a zone; UTC without",
		castsToText: false,
		castsFromText: true,
	},
	cell: {
		expected: "a date, such as 2024-12-31 or 2024-12-31T08:30:00Z",
		isText: false,
		read: (cell) => toDate(cell.trim()),
		fromJson: toDate,
	},
	empty: { text: "2000-01-01T00:00:00Z", value: new Date("2000-01-01") },
};

// int64 microseconds since 2000-01-01, where JavaScript counts from 1970.
const postgresEpochMs = Date.UTC(2000, 0, 1);

/** Since PostgreSQL's epoch; its infinities are the ends of the range. */
function microseconds(ms: number): bigint {
	if (Number.isFinite(ms)) return BigInt(ms - postgresEpochMs) * 1000n;
	return ms > 0 ? 2n ** 63n - 1n : -(2n ** 63n);
}

const dateAndTime =
	/^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)\s*(Z|[+-]\d{2}(?::?\d{2})?)?)?$/i;

/** The time in ISO 8601. Without a zone it is UTC, whatever the session's zone. */
export function timeText(text: string): string | undefined {
	const [, date = "", time = "00:00", zone = "Z"] =
		dateAndTime.exec(text.trim()) ?? [];
	const iso = `${date}T${time}${fullZone(zone)}`;
	return isCalendarDay(date) &&
		!date.startsWith("0000") &&
		!Number.isNaN(Date.parse(iso))
		? iso
		: undefined;
}

const iso8601 =
	/^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?) ?(Z|[+-]\d{2}(?::?\d{2})?)?)?$/i;

/** ISO 8601; a time without a zone is UTC, so that it is the same everywhere. */
function toDate(value: unknown): unknown {
	const match = typeof value === "string" ? iso8601.exec(value) : null;
	if (match === null) return value;
	const [, day = "", time = "00:00", zone = "Z"] = match;
	const date = new Date(`${day}T${time}${fullZone(zone)}`);
	return isCalendarDay(day) && !Number.isNaN(date.getTime()) ? date : value;
}

/** `+01` and `+0100` → `+01:00`. */
function fullZone(zone: string): string {
	if (/^z$/i.test(zone)) return "Z";
	return `${zone.slice(0, 3)}:${zone.slice(3).replace(":", "") || "00"}`;
}

/** JavaScript takes 31 February for 3 March. */
function isCalendarDay(day: string): boolean {
	const date = new Date(`${day}T00:00Z`);
	return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day);
}
