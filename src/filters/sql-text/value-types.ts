import type { DialectType } from "../../models/column-types/definition.ts";
import { finiteText } from "../../models/column-types/double-precision.ts";
import { timeText } from "../../models/column-types/timestamptz.ts";
import {
	type ColumnType,
	isArrayType,
	type ScalarType,
	scalarTypes,
} from "../../models/column-types.ts";

/** The types of the values in a condition: those of columns, and what casts and functions return. */
export type ValueType =
	| ColumnType
	| keyof typeof computedTypes
	| `${keyof typeof computedTypes}[]`;

type ScalarValueType = ScalarType | keyof typeof computedTypes;

const computedTypes = {
	numeric: {
		expected: "a number",
		castNames: ["numeric"],
		family: "number",
		read: finiteText,
		castsToText: true,
		castsFromText: true,
		alsoValidAs: ["double precision"],
	},
	date: {
		expected: "a date",
		castNames: ["date"],
		family: "time",
		read: (text) =>
			/^\d{4}-\d{2}-\d{2}$/.test(text) ? timeText(text) && text : undefined,
		format: "'2026-03-01'",
		castsToText: false,
		castsFromText: true,
		alsoValidAs: ["timestamp"],
		castThrough: "timestamp::date",
	},
	interval: {
		expected: "an interval",
		castNames: ["interval"],
		family: "interval",
		read: intervalText,
		format: "'2 days', '3 months 1 hour', each unit once, at most 200 years",
		castsToText: false,
		castsFromText: false,
	},
} as const satisfies Record<string, DialectType>;

const dialectTypes: Readonly<Record<string, DialectType>> = {
	...Object.fromEntries(
		Object.entries(scalarTypes).map(([name, { dialect }]) => [name, dialect]),
	),
	...computedTypes,
};

const byCastName: ReadonlyMap<string, ScalarValueType> = new Map(
	Object.entries(dialectTypes).flatMap(([name, { castNames }]) =>
		castNames.map((castName) => [castName, name as ScalarValueType]),
	),
);

/** The types that a cast may name. */
export const castableTypes: readonly string[] = Object.entries(dialectTypes)
	.filter(([, { castNames }]) => castNames.length > 0)
	.map(([name]) => name);

/** The type of lists of the type; of JSON and of lists there are none. */
export function listTypeOf(type: ValueType): ValueType {
	return `${type}[]` as ValueType;
}

/** `undefined`: of a list. */
export function dialectOf(type: ValueType): DialectType | undefined {
	return dialectTypes[type];
}

/** The type that a cast names. */
export function typeByCastName(name: string): ScalarValueType | undefined {
	return byCastName.get(name);
}

/** Types of one family are compared with each other as they are. */
export function familyOf(type: ValueType): string {
	return dialectOf(type)?.family ?? type;
}

export function nameOfType(type: ValueType): string {
	return dialectOf(type)?.expected ?? `a list (${type})`;
}

export const isList: (type: ValueType) => type is ColumnType & `${string}[]` =
	isArrayType;

const secondsOf: Readonly<Record<string, number>> = {
	second: 1,
	sec: 1,
	minute: 60,
	min: 60,
	hour: 3600,
	day: 86_400,
	week: 604_800,
	month: 2_678_400,
	mon: 2_678_400,
	year: 31_622_400,
};
const maxSeconds = 200 * 31_622_400;
const intervalPart =
	/([+-]?\d{1,12}(?:\.\d{1,6})?)\s*(second|sec|minute|min|hour|day|week|month|mon|year)s?(?:\s+|$)/iy;

/** Short enough that no time can leave what the range of PostgreSQL's timestamps. */
function intervalText(text: string): string | undefined {
	const value = text.trim();
	let seconds = 0;
	const units = new Set<number>();
	intervalPart.lastIndex = 0;
	while (intervalPart.lastIndex < value.length) {
		const part = intervalPart.exec(value);
		if (part === null) return undefined;
		const [, count, unit = ""] = part;
		const length = secondsOf[unit.toLowerCase()] ?? Infinity;
		// PostgreSQL takes each unit once, by whichever of its names.
		if (units.has(length)) return undefined;
		units.add(length);
		seconds += Math.abs(Number(count)) * length;
	}
	return value !== "" && seconds <= maxSeconds ? value : undefined;
}
