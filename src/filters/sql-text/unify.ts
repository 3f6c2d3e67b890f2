import { sql } from "../../sql.ts";
import { bindConstant } from "./constants.ts";
import { refusedAt } from "./context.ts";
import type { Operand, Value } from "./value.ts";
import { familyOf, nameOfType, type ValueType } from "./value-types.ts";

/** Both as values that can be compared: a constant takes the type of what it is beside. */
export function unify(left: Operand, right: Operand): [Value, Value] {
	if (left.kind === "value") return [left, as(right, left.type)];
	if (right.kind === "value") return [as(left, right.type), right];
	const type = left.kind === "number" || right.kind === "number";
	return type
		? [as(left, "numeric"), as(right, "numeric")]
		: [as(left, "text"), as(right, "text")];
}

/** The operand as a value of the type or its family; refused where it is none. */
export function as(operand: Operand, type: ValueType): Value {
	if (operand.kind !== "value") return bindConstant(operand, type);
	if (operand.type === type) return operand;
	if (familyOf(operand.type) !== familyOf(type))
		throw refusedAt(
			operand.position,
			`expected ${nameOfType(type)}, found ${nameOfType(operand.type)}`,
			castHint(operand, type),
		);
	return operand.type === "date" && type === "timestamptz"
		? toTime(operand)
		: operand;
}

/** The date's first moment, in UTC. */
export function toTime(date: Value): Value {
	return {
		...date,
		type: "timestamptz",
		sql: sql`(${date.sql}::timestamp AT TIME ZONE 'UTC')`,
	};
}

/** What the operand is, or text if it is a constant. */
export function settle(operand: Operand): Value {
	if (operand.kind === "value") return operand;
	return bindConstant(
		operand,
		operand.kind === "number"
			? "numeric"
			: operand.kind === "list"
				? "text[]"
				: "text",
	);
}

function castHint(operand: Value, type: ValueType): string | undefined {
	const casts: Readonly<Record<string, string>> = {
		number: "cast it: (metadata->>'year')::int",
		time: "cast it: (metadata->>'at')::timestamptz",
		boolean: "cast it: (metadata->>'done')::boolean",
	};
	if (operand.type === "text") return casts[familyOf(type)];
	if (operand.type === "jsonb" && type === "text")
		return "->> gives text where -> gives JSON";
	return undefined;
}
