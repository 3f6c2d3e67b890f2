import { raw, type Sql, sql } from "../../sql.ts";
import { elementAt } from "../../util/present.ts";
import { suggest } from "../../util/suggest.ts";
import { type Context, refusedAt } from "./context.ts";
import { as, toTime } from "./unify.ts";
import type { Operand, Value } from "./value.ts";
import { isList, type ValueType } from "./value-types.ts";

interface Call {
	readonly name: string;
	readonly args: readonly Operand[];
	readonly position: number;
}

/** A call of one of the few functions that are the same for the same row and cannot fail. */
export function callFunction(
	context: Context,
	location: number | undefined,
	call: Call,
): Value {
	const known = Object.hasOwn(functions, call.name)
		? functions[call.name]
		: undefined;
	if (known === undefined)
		throw refusedAt(
			context.positionAt(location),
			`a filter has no function "${call.name}"`,
			suggest(call.name, Object.keys(functions)),
		);
	if (call.args.length !== known.arity)
		throw refusedAt(
			context.positionAt(location),
			`${call.name} takes ${known.arity} arguments, not ${call.args.length}`,
		);
	const { position } = call;
	return { kind: "value", position, ...known.render(call) };
}

interface Known {
	readonly arity: number;
	render(call: Call): Pick<Value, "type" | "sql"> & Partial<Value>;
}

const ofText = (type: ValueType, sqlName: string): Known => ({
	arity: 1,
	render: ({ args }) => {
		const text = as(elementAt(args, 0), "text");
		return { ...text, type, sql: sql`${raw(sqlName)}(${text.sql})` };
	},
});

const extract: Known = {
	arity: 2,
	render: ({ args }) => {
		const [unit] = args;
		const value = asTime(elementAt(args, 1));
		return {
			...value,
			type: "numeric",
			sql: sql`EXTRACT(${unitSql(unit, extractable)} FROM ${value.sql} AT TIME ZONE 'UTC')`,
		};
	},
};

const functions: Readonly<Record<string, Known>> = {
	now: {
		arity: 0,
		render: () => ({
			type: "timestamptz",
			sql: raw("now()"),
			isConstant: true,
		}),
	},
	lower: ofText("text", "lower"),
	upper: ofText("text", "upper"),
	btrim: ofText("text", "btrim"),
	ltrim: ofText("text", "ltrim"),
	rtrim: ofText("text", "rtrim"),
	length: ofText("bigint", "char_length"),
	char_length: ofText("bigint", "char_length"),
	starts_with: {
		arity: 2,
		render: ({ args }) => {
			const text = as(elementAt(args, 0), "text");
			const start = as(elementAt(args, 1), "text");
			return {
				...text,
				type: "boolean",
				sql: sql`starts_with(${text.sql}, ${start.sql})`,
			};
		},
	},
	cardinality: {
		arity: 1,
		render: ({ args: [list], position }) => ({
			type: "bigint",
			sql: sql`cardinality(${listSql(list, position)})`,
		}),
	},
	array_length: {
		arity: 2,
		render: ({ args: [list, dimension], position }) => {
			if (dimension?.kind !== "number" || dimension.value !== "1")
				throw refusedAt(position, "lists have one dimension", "cardinality(…)");
			return {
				type: "bigint",
				sql: sql`array_length(${listSql(list, position)}, 1)`,
			};
		},
	},
	jsonb_typeof: {
		arity: 1,
		render: ({ args }) => ({
			type: "text",
			sql: sql`jsonb_typeof(${as(elementAt(args, 0), "jsonb").sql})`,
		}),
	},
	extract,
	date_part: extract,
	date_trunc: {
		arity: 2,
		render: ({ args, position }) => {
			const [unit] = args;
			const value = asTime(elementAt(args, 1));
			if (value.isConstant !== true)
				throw refusedAt(
					position,
					"date_trunc takes now() or a constant",
					"compare a column with a range: created_at >= '2026-03-01' AND created_at < '2026-04-01'",
				);
			return {
				...value,
				type: "timestamptz",
				sql: sql`date_trunc(${unitSql(unit, truncatable)}, ${value.sql}, 'UTC')`,
			};
		},
	},
};

const truncatable = [
	"second",
	"minute",
	"hour",
	"day",
	"week",
	"month",
	"quarter",
	"year",
];
const extractable = [
	...truncatable,
	"dow",
	"isodow",
	"doy",
	"isoyear",
	"epoch",
];

/** A unit is one of ours, as it is here: never what was typed. */
function unitSql(unit: Operand | undefined, known: readonly string[]): Sql {
	const name =
		unit?.kind === "text"
			? known.find((name) => name === unit.value.toLowerCase())
			: undefined;
	if (name !== undefined) return raw(`'${name}'`);
	throw refusedAt(
		unit?.position ?? 1,
		"expected a unit of time",
		known.join(", "),
	);
}

function asTime(operand: Operand): Value {
	const value = as(operand, "timestamptz");
	return value.type === "date" ? toTime(value) : value;
}

function listSql(operand: Operand | undefined, position: number): Sql {
	if (operand?.kind === "value" && isList(operand.type)) return operand.sql;
	throw refusedAt(position, "expected a column that is a list");
}
