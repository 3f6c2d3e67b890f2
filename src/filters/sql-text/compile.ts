import type {
	A_Const,
	A_Expr,
	BoolExpr,
	BooleanTest,
	ColumnRef,
	FuncCall,
	NullTest,
	SQLValueFunction,
	TypeCast,
} from "libpg-query";
import { RemError } from "../../errors.ts";
import { limits } from "../../models/limits.ts";
import { empty, ident, join, raw, type Sql, sql } from "../../sql.ts";
import type { SqlNode } from "../../sql-grammar.ts";
import { elementAt, membersOf, valueAt } from "../../util/present.ts";
import { throughIndex } from "../json-path.ts";
import { cast, castType } from "./casts.ts";
import { findColumn } from "./columns.ts";
import { type Context, refusedAt } from "./context.ts";
import { callFunction } from "./functions.ts";
import { between, inList, like, matchesAny } from "./matches.ts";
import { applyOperator, type Operation, sameFamily } from "./operators.ts";
import { as, settle } from "./unify.ts";
import type { Constant, Operand, Value } from "./value.ts";

/** The node as SQL of ours, if it is one of those a filter may have. */
export function compileNode(
	context: Context,
	node: SqlNode | undefined,
	depth = 1,
): Operand {
	if (node === undefined)
		throw refusedAt(context.positionAt(undefined), "nothing stands here");
	if (depth > limits.filterDepth)
		throw new RemError(
			"INPUT_LIMIT",
			`the condition is nested deeper than ${limits.filterDepth} levels`,
			{ position: context.positionAt(placeOf(node)) },
		);
	const compile = (inner: SqlNode | undefined) =>
		compileNode(context, inner, depth + 1);
	if ("A_Const" in node) return constant(context, node.A_Const);
	if ("ColumnRef" in node) return column(context, node.ColumnRef);
	if ("A_Expr" in node) return expression(context, node.A_Expr, compile);
	if ("BoolExpr" in node) return connective(node.BoolExpr, compile);
	if ("NullTest" in node) return nullTest(node.NullTest, compile);
	if ("BooleanTest" in node) return booleanTest(node.BooleanTest, compile);
	if ("TypeCast" in node) return typeCast(context, node.TypeCast, compile);
	if ("FuncCall" in node) return functionCall(context, node.FuncCall, compile);
	if ("CoalesceExpr" in node)
		return coalesce(context, node.CoalesceExpr, compile);
	if ("SQLValueFunction" in node)
		return currentTime(context, node.SQLValueFunction);
	if ("A_ArrayExpr" in node) {
		const { elements = [], location } = node.A_ArrayExpr;
		const position = context.positionAt(location);
		const items = elements.map(compile).map(onlyConstant);
		return { kind: "list", items, position };
	}
	throw refusedAt(
		context.positionAt(placeOf(node)),
		`a filter has no ${describeNode(node)}`,
		"columns, constants, comparisons, AND, OR, NOT, IN, BETWEEN, LIKE, IS NULL, lists, JSON steps",
	);
}

type Compile = (node: SqlNode | undefined) => Operand;

/** The node's own place, or its first part's. */
export function placeOf(node: unknown): number | undefined {
	if (typeof node !== "object" || node === null) return undefined;
	const { location } = membersOf(node);
	if (typeof location === "number" && location > 0) return location;
	for (const inner of Object.values(node)) {
		const place = placeOf(inner);
		if (place !== undefined) return place;
	}
	return undefined;
}

const nodeNames: Readonly<Record<string, string>> = {
	SubLink: "subquery",
	ParamRef: "parameter",
	CaseExpr: "CASE",
	RowExpr: "row of values",
	CollateClause: "COLLATE",
	A_Indirection: "part of a value",
	MinMaxExpr: "GREATEST or LEAST",
};

function describeNode(node: SqlNode): string {
	const [name = ""] = Object.keys(node);
	return nodeNames[name] ?? name;
}

function constant(context: Context, node: A_Const): Constant {
	const position = context.positionAt(node.location);
	if (node.isnull) return { kind: "null", value: "", position };
	if (node.sval) return { kind: "text", value: node.sval.sval ?? "", position };
	// What is 0, false or empty is left out of the tree.
	if (node.ival)
		return { kind: "number", value: String(node.ival.ival ?? 0), position };
	if (node.fval)
		return { kind: "number", value: node.fval.fval ?? "0", position };
	if (node.boolval)
		return {
			kind: "text",
			value: String(node.boolval.boolval ?? false),
			position,
		};
	throw refusedAt(position, "a filter has no bits");
}

function column(context: Context, node: ColumnRef): Value {
	const field = findColumn(context, node);
	return {
		kind: "value",
		type: field.type,
		sql: ident(context.alias, field.column),
		position: context.positionAt(node.location),
	};
}

function expression(context: Context, node: A_Expr, compile: Compile): Value {
	const { kind, location, lexpr, rexpr } = node;
	const position = context.positionAt(placeOf(node));
	const name = operatorName(context, node);
	if (lexpr === undefined)
		throw refusedAt(position, `${name} stands before nothing it could be for`);
	switch (kind) {
		case "AEXPR_OP":
			return indexed(context, lexpr, {
				name,
				left: compile(lexpr),
				right: compile(rexpr),
				position,
				location,
			});
		case "AEXPR_IN":
			return inList(
				{ left: compile(lexpr), operator: name, position },
				itemsOf(rexpr).map(compile),
			);
		case "AEXPR_OP_ANY":
			return matchesAny(
				{ left: compile(lexpr), operator: name, position },
				compile(rexpr),
			);
		case "AEXPR_BETWEEN":
		case "AEXPR_NOT_BETWEEN": {
			const [low, high] = itemsOf(rexpr);
			const isNot = kind === "AEXPR_NOT_BETWEEN";
			return between(compile(lexpr), [compile(low), compile(high)], isNot);
		}
		case "AEXPR_LIKE":
		case "AEXPR_ILIKE":
			return like(compile(lexpr), compile(rexpr), name);
		case "AEXPR_DISTINCT":
		case "AEXPR_NOT_DISTINCT":
			return distinct(node, compile);
		default:
			throw refusedAt(
				context.positionAt(location),
				`a filter has no ${name || kind}`,
			);
	}
}

/**
 * No index of PostgreSQL 18 answers IS NOT DISTINCT FROM. Of a column and a
 * constant it is written as an equality that is false, not unknown, where there
 * is no value. Of columns only: what is not one would be there twice.
 */
function distinct({ lexpr, rexpr, kind }: A_Expr, compile: Compile): Value {
	const [a, b] = sameFamily(compile(lexpr), compile(rexpr));
	const isNot = kind === "AEXPR_NOT_DISTINCT";
	const column =
		isColumn(lexpr) && b.isConstant === true
			? a
			: isColumn(rexpr) && a.isConstant === true
				? b
				: undefined;
	if (column === undefined)
		return boolean(
			a,
			sql`(${a.sql} IS ${raw(isNot ? "NOT " : "")}DISTINCT FROM ${b.sql})`,
		);
	const equal = sql`${a.sql} = ${b.sql}`;
	return boolean(
		a,
		isNot
			? sql`(${equal} AND ${column.sql} IS NOT NULL)`
			: sql`((${equal}) IS NOT TRUE)`,
	);
}

function isColumn(node: SqlNode | undefined): boolean {
	return node !== undefined && "ColumnRef" in node;
}

/** The operation, and the way to the index of a column that contains a constant. */
function indexed(
	context: Context,
	lexpr: SqlNode,
	{
		location,
		...operation
	}: Operation & { readonly location: number | undefined },
): Value {
	const value = applyOperator(context, location, operation);
	const { name, right } = operation;
	const isConstant =
		right.kind === "text" ||
		(right.kind === "value" && right.isConstant === true);
	if (name !== "@>" || !isConstant || !("ColumnRef" in lexpr)) return value;
	const field = findColumn(context, lexpr.ColumnRef);
	if (field.type !== "jsonb") return value;
	const more = throughIndex(context, field, as(right, "jsonb").sql);
	return { ...value, sql: sql`(${join([value.sql, ...more], " AND ")})` };
}

function operatorName(
	context: Context,
	{ name = [], location }: A_Expr,
): string {
	const [first] = name;
	if (name.length === 1 && first !== undefined && "String" in first)
		return first.String.sval ?? "";
	throw refusedAt(
		context.positionAt(location),
		"an operator is written without a schema",
	);
}

function itemsOf(node: SqlNode | undefined): readonly SqlNode[] {
	return node !== undefined && "List" in node ? (node.List.items ?? []) : [];
}

function connective({ boolop, args = [] }: BoolExpr, compile: Compile): Value {
	const parts = args.map((arg) => as(compile(arg), "boolean"));
	const first = elementAt(parts, 0);
	if (boolop === "NOT_EXPR") return boolean(first, sql`(NOT ${first.sql})`);
	const word = boolop === "AND_EXPR" ? " AND " : " OR ";
	return boolean(
		first,
		sql`(${join(
			parts.map((part) => part.sql),
			word,
		)})`,
	);
}

function nullTest({ arg, nulltesttype }: NullTest, compile: Compile): Value {
	const value = settle(compile(arg));
	const not = nulltesttype === "IS_NOT_NULL" ? raw("NOT ") : empty;
	return boolean(value, sql`(${value.sql} IS ${not}NULL)`);
}

const booleanTests: ReadonlyMap<BooleanTest["booltesttype"], string> = new Map([
	["IS_TRUE", "TRUE"],
	["IS_NOT_TRUE", "NOT TRUE"],
	["IS_FALSE", "FALSE"],
	["IS_NOT_FALSE", "NOT FALSE"],
	["IS_UNKNOWN", "UNKNOWN"],
	["IS_NOT_UNKNOWN", "NOT UNKNOWN"],
]);

function booleanTest({ arg, booltesttype }: BooleanTest, compile: Compile) {
	const value = as(compile(arg), "boolean");
	const test = raw(valueAt(booleanTests, booltesttype));
	return boolean(value, sql`(${value.sql} IS ${test})`);
}

function typeCast(
	context: Context,
	{ arg, typeName = {} }: TypeCast,
	compile: Compile,
): Value {
	const type = castType(context, typeName);
	return cast(compile(arg), type);
}

function functionCall(
	context: Context,
	node: FuncCall,
	compile: Compile,
): Value {
	const { funcname = [], args = [], funcformat: _, location, ...rest } = node;
	const names = funcname.map((part) =>
		"String" in part ? (part.String.sval ?? "") : "",
	);
	const [name = "", ...more] =
		names[0] === "pg_catalog" ? names.slice(1) : names;
	if (more.length > 0 || Object.keys(rest).length > 0)
		throw refusedAt(
			context.positionAt(location),
			"a function is called by its name, with arguments only",
		);
	const position = context.positionAt(location);
	return callFunction(context, location, {
		name,
		args: args.map(compile),
		position,
	});
}

function coalesce(
	context: Context,
	{ args = [], location }: { args?: SqlNode[]; location?: number },
	compile: Compile,
): Value {
	const operands = args.map(compile);
	const first = operands.find((operand) => operand.kind === "value");
	if (first === undefined)
		throw refusedAt(context.positionAt(location), "COALESCE needs a column");
	const values = operands.map((operand) => sameFamily(first, operand)[1]);
	const list: Sql = join(values.map((value) => value.sql));
	return {
		...first,
		sql: sql`COALESCE(${list})`,
		hasCast: values.some((value) => value.hasCast === true),
		isConstant: false,
		asText: undefined,
	};
}

function currentTime(
	context: Context,
	{ op, location }: SQLValueFunction,
): Value {
	const position = context.positionAt(location);
	const isConstant = true;
	if (op === "SVFOP_CURRENT_TIMESTAMP")
		return {
			kind: "value",
			type: "timestamptz",
			sql: raw("now()"),
			position,
			isConstant,
		};
	if (op === "SVFOP_CURRENT_DATE")
		return {
			kind: "value",
			type: "date",
			sql: raw("(now() AT TIME ZONE 'UTC')::date"),
			position,
			isConstant,
		};
	throw refusedAt(
		position,
		"a filter has CURRENT_TIMESTAMP and CURRENT_DATE only",
	);
}

function onlyConstant(operand: Operand): Constant {
	if (operand.kind !== "value" && operand.kind !== "list") return operand;
	throw refusedAt(operand.position, "a list contains constants only");
}

function boolean({ position }: Value, condition: Sql): Value {
	return { kind: "value", type: "boolean", sql: condition, position };
}
