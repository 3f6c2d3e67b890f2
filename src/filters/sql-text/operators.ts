import { raw, type Sql, sql } from "../../sql.ts";
import { type Context, refusedAt } from "./context.ts";
import { as, settle, toTime, unify } from "./unify.ts";
import type { Operand, Value } from "./value.ts";
import { familyOf, isList, nameOfType } from "./value-types.ts";

/** `left name right` */
export interface Operation {
	readonly name: string;
	readonly left: Operand;
	readonly right: Operand;
	readonly position: number;
}

type Render = (operation: Operation) => Omit<Value, "kind" | "position">;

/** An operator of those a filter may have; none of them can fail at a row. */
export function applyOperator(
	context: Context,
	location: number | undefined,
	operation: Operation,
): Value {
	const { name, position } = operation;
	const render = Object.hasOwn(operators, name) ? operators[name] : undefined;
	if (render === undefined)
		throw refusedAt(
			context.positionAt(location),
			`a filter has no operator "${name}"`,
			`operators: ${Object.keys(operators).join(" ")}`,
		);
	return { kind: "value", position, ...render(operation) };
}

const compare =
	(symbol: string): Render =>
	({ left, right, position }) => {
		const [a, b] = sameFamily(left, right);
		if (a.type === "jsonb" && symbol !== "=" && symbol !== "<>")
			throw refusedAt(
				position,
				"JSON is not greater or less",
				"->> gives text",
			);
		return condition(a.sql, symbol, b.sql);
	};

const steps =
	(symbol: "->" | "->>"): Render =>
	({ left, right, position }) => {
		const json = jsonOf(left);
		const step = stepSql(right, position);
		const asText = sql`(${json.sql} ->> ${step})`;
		return symbol === "->>"
			? { ...json, type: "text", sql: asText, asText: undefined }
			: { ...json, sql: sql`(${json.sql} -> ${step})`, asText };
	};

const path =
	(symbol: "#>" | "#>>"): Render =>
	({ left, right }) => {
		const json = jsonOf(left);
		const keys = as(right, "text[]").sql;
		const asText = sql`(${json.sql} #>> ${keys})`;
		return symbol === "#>>"
			? { ...json, type: "text", sql: asText, asText: undefined }
			: { ...json, sql: sql`(${json.sql} #> ${keys})`, asText };
	};

const contains =
	(symbol: "@>" | "<@"): Render =>
	({ left, right, position }) => {
		const [a, b] = sameFamily(left, right);
		if (!isList(a.type) && a.type !== "jsonb")
			throw refusedAt(position, `${symbol} is for lists and JSON`);
		return condition(a.sql, symbol, b.sql);
	};

const hasKeys =
	(symbol: "?|" | "?&"): Render =>
	({ left, right }) =>
		condition(jsonOf(left).sql, symbol, as(right, "text[]").sql);

const shift =
	(symbol: "+" | "-"): Render =>
	({ left, right, position }) => {
		const [time, by] =
			symbol === "+" && left.kind === "value" && left.type === "interval"
				? [right, left]
				: [left, right];
		if (time.kind !== "value" || familyOf(time.type) !== "time")
			throw refusedAt(
				position,
				`${symbol} is for times`,
				"now() - interval '7 days'",
			);
		if (time.isConstant !== true)
			throw refusedAt(
				position,
				`${symbol} takes now() or a constant, not a column`,
				"move it to the other side: created_at > now() - interval '7 days'",
			);
		return time.type === "date" && by.kind === "number"
			? shiftDays(time, symbol, by)
			: shiftTime(time, symbol, by);
	};

const operators: Readonly<Record<string, Render>> = {
	"=": compare("="),
	"<>": compare("<>"),
	"<": compare("<"),
	"<=": compare("<="),
	">": compare(">"),
	">=": compare(">="),
	"->": steps("->"),
	"->>": steps("->>"),
	"#>": path("#>"),
	"#>>": path("#>>"),
	"@>": contains("@>"),
	"<@": contains("<@"),
	"&&": ({ left, right, position }) => {
		const [a, b] = sameFamily(left, right);
		if (!isList(a.type)) throw refusedAt(position, "&& is for lists");
		return condition(a.sql, "&&", b.sql);
	},
	"?": ({ left, right }) =>
		condition(jsonOf(left).sql, "?", as(right, "text").sql),
	"?|": hasKeys("?|"),
	"?&": hasKeys("?&"),
	"+": shift("+"),
	"-": shift("-"),
};

function condition(
	left: Sql,
	symbol: string,
	right: Sql,
): Omit<Value, "kind" | "position"> {
	return { type: "boolean", sql: sql`(${left} ${raw(symbol)} ${right})` };
}

/** Two values of one family, as they are compared. */
export function sameFamily(left: Operand, right: Operand): [Value, Value] {
	const [a, b] = unify(left, right);
	if (familyOf(a.type) !== familyOf(b.type))
		throw refusedAt(
			b.position,
			`${nameOfType(a.type)} cannot be compared with ${nameOfType(b.type)}`,
		);
	if (a.type === b.type || familyOf(a.type) !== "time") return [a, b];
	return [momentOf(a), momentOf(b)];
}

function momentOf(value: Value): Value {
	return value.type === "date" ? toTime(value) : value;
}

function jsonOf(operand: Operand): Value {
	const value = settle(operand);
	if (value.type === "jsonb") return value;
	throw refusedAt(
		value.position,
		`expected JSON, found ${nameOfType(value.type)}`,
	);
}

function stepSql(operand: Operand, position: number): Sql {
	if (operand.kind === "text") return sql`${operand.value}::text`;
	if (operand.kind === "number" && /^-?\d{1,9}$/.test(operand.value))
		return sql`${operand.value}::integer`;
	throw refusedAt(
		position,
		"a step into JSON is a key or a place",
		"metadata->>'status', metadata->'parts'->0",
	);
}

function shiftTime(
	time: Value,
	symbol: string,
	by: Operand,
): Omit<Value, "kind" | "position"> {
	const moment = momentOf(time);
	const interval = as(by, "interval");
	return {
		...moment,
		sql: sql`(${moment.sql} ${raw(symbol)} ${interval.sql})`,
	};
}

const maxDays = 73_000;

function shiftDays(
	date: Value,
	symbol: string,
	{ value, position }: { readonly value: string; readonly position: number },
): Omit<Value, "kind" | "position"> {
	if (!/^-?\d+$/.test(value) || Math.abs(Number(value)) > maxDays)
		throw refusedAt(position, `expected at most ${maxDays} whole days`);
	return { ...date, sql: sql`(${date.sql} ${raw(symbol)} ${value}::integer)` };
}
