import { arrayLiteral } from "../../db/encode.ts";
import { parseJson } from "../../models/json-text.ts";
import { limits, valueProblem } from "../../models/limits.ts";
import { raw, sql } from "../../sql.ts";
import { isUuid } from "../../util/uuid.ts";
import { refusedAt } from "./context.ts";
import {
	type Constant,
	type ConstantList,
	isList,
	nameOfType,
	type Value,
	type ValueType,
} from "./value.ts";

/**
 * A constant as a bound value of the type. Everything PostgreSQL would refuse is
 * refused here: its own message could not tell the place.
 */
export function bindConstant(
	constant: Constant | ConstantList,
	type: ValueType,
): Value {
	const { position } = constant;
	const actual = typeOfNumber(constant, type);
	return {
		kind: "value",
		type: actual,
		sql: sql`${textOf(constant, actual)}::${raw(actual)}`,
		position,
		isConstant: true,
	};
}

/** A number that is not whole, or too large, is still compared with whole ones. */
function typeOfNumber(
	constant: Constant | ConstantList,
	type: ValueType,
): ValueType {
	return type === "bigint" && constant.kind === "number" && !isBigint(constant)
		? "numeric"
		: type;
}

function textOf(constant: Constant | ConstantList, type: ValueType): string {
	if (isList(type)) return arrayText(constant, type);
	if (constant.kind === "list")
		throw refusedAt(constant.position, `expected ${nameOfType(type)}`);
	if (constant.kind === "null")
		throw refusedAt(
			constant.position,
			"nothing is equal to NULL",
			"IS NULL, IS NOT NULL",
		);
	if (constant.kind === "number" && !numbers.has(type))
		throw refusedAt(
			constant.position,
			`expected ${nameOfType(type)}, found a number`,
			type === "text" ? `'${constant.value}'` : undefined,
		);
	const text = readers[type]?.(constant.value);
	if (text !== undefined) return text;
	throw refusedAt(
		constant.position,
		`expected ${nameOfType(type)}`,
		formats[type],
	);
}

const numbers = new Set<ValueType>(["bigint", "numeric", "double precision"]);

/** The text to bind, or `undefined` when it is none of that type. */
const readers: Readonly<
	Partial<Record<ValueType, (text: string) => string | undefined>>
> = {
	text: (text) => text,
	bigint: (text) => (isBigint({ value: text }) ? text : undefined),
	numeric: finite,
	"double precision": finite,
	boolean: (text) =>
		/^(true|false|t|f|yes|no|on|off|1|0)$/i.test(text) ? text : undefined,
	uuid: (text) => (isUuid(text) ? text : undefined),
	timestamptz: timeText,
	date: (text) => (dateOnly.test(text) ? timeText(text) && text : undefined),
	interval: intervalText,
	jsonb: jsonText,
};

const formats: Readonly<Partial<Record<ValueType, string>>> = {
	boolean: "true or false",
	timestamptz: "'2026-03-01', '2026-03-01 12:30' or with a zone; UTC without",
	date: "'2026-03-01'",
	interval: "'2 days', '3 months 1 hour', each unit once, at most 200 years",
	"text[]": "ARRAY['a', 'b'] or '{a,b}'",
};

function isBigint({ value }: { readonly value: string }): boolean {
	if (!/^[+-]?\d{1,19}$/.test(value)) return false;
	const number = BigInt(value.replace("+", ""));
	return BigInt.asIntN(64, number) === number;
}

function finite(text: string): string | undefined {
	const isNumber = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i.test(text);
	const value = Number(text);
	// Below the smallest number PostgreSQL fails, where JavaScript gives 0.
	const isTooSmall = value === 0 && /[1-9]/.test(text.replace(/e.*/i, ""));
	return isNumber && Number.isFinite(value) && !isTooSmall ? text : undefined;
}

const dateOnly = /^\d{4}-\d{2}-\d{2}$/;
const dateAndTime =
	/^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)\s*(Z|[+-]\d{2}(?::?\d{2})?)?)?$/i;

/** Without a zone it is UTC, whatever the session's zone. */
function timeText(text: string): string | undefined {
	const [, date = "", time = "00:00", zone = "Z"] =
		dateAndTime.exec(text.trim()) ?? [];
	const offset = zone.replace(/^([+-]\d{2}):?(\d{2})?$/, (_, hours, minutes) =>
		[hours, minutes ?? "00"].join(":"),
	);
	const iso = `${date}T${time}${offset.toUpperCase()}`;
	const isRealDay =
		new Date(`${date}T00:00Z`).toJSON()?.slice(0, 10) === date &&
		!date.startsWith("0000");
	return isRealDay && !Number.isNaN(Date.parse(iso)) ? iso : undefined;
}

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
const mostSeconds = 200 * 31_622_400;
const intervalPart =
	/([+-]?\d{1,12}(?:\.\d{1,6})?)\s*(second|sec|minute|min|hour|day|week|month|mon|year)s?(?:\s+|$)/iy;

/** Short enough that no time can leave what PostgreSQL's timestamps hold. */
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
	return value !== "" && seconds <= mostSeconds ? value : undefined;
}

function jsonText(text: string): string | undefined {
	try {
		return valueProblem(parseJson(text)) === undefined ? text : undefined;
	} catch {
		return undefined; // it is no JSON
	}
}

function arrayText(constant: Constant | ConstantList, type: ValueType): string {
	const items =
		constant.kind === "list" ? constant.items : parseArray(constant, type);
	const element = type.slice(0, -2) as ValueType;
	if (items.length > limits.filterListLength)
		throw refusedAt(
			constant.position,
			`a list has at most ${limits.filterListLength} values, this one ${items.length}`,
		);
	return arrayLiteral(items.map((item) => textOf(item, element)));
}

const arrayItem =
	/\s*(?:"((?:[^"\\]|\\[\s\S])*)"\s*|([^\s",{}\\][^",{}\\]*))(?:,|$)/y;

/** `{a,"b c"}`, one level deep. */
function parseArray(constant: Constant, type: ValueType): Constant[] {
	const { value, position } = constant;
	const inner = /^\s*\{([\s\S]*)\}\s*$/.exec(value)?.[1];
	if (constant.kind !== "text" || inner === undefined)
		throw refusedAt(
			position,
			`expected ${nameOfType(type)}`,
			formats["text[]"],
		);
	const items: Constant[] = [];
	arrayItem.lastIndex = 0;
	while (inner.trim() !== "" && arrayItem.lastIndex < inner.length) {
		const item = arrayItem.exec(inner);
		if (item === null)
			throw refusedAt(position, "the list cannot be read", formats["text[]"]);
		const text = item[1]?.replace(/\\([\s\S])/g, "$1") ?? item[2]?.trimEnd();
		items.push({ kind: "text", value: text ?? "", position });
	}
	return items;
}
