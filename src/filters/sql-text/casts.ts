import type { TypeName } from "libpg-query";
import { join, raw, type Sql, sql } from "../../sql.ts";
import { bindConstant } from "./constants.ts";
import { type Context, refusedAt } from "./context.ts";
import { toTime } from "./unify.ts";
import type { Operand, Value } from "./value.ts";
import {
	castableTypes,
	dialectOf,
	listTypeOf,
	nameOfType,
	typeByCastName,
	type ValueType,
} from "./value-types.ts";

/** The type that a cast names. */
export function castType(context: Context, name: TypeName): ValueType {
	const names = (name.names ?? []).map((part) =>
		"String" in part ? (part.String.sval ?? "") : "",
	);
	const [first = "", ...rest] =
		names[0] === "pg_catalog" ? names.slice(1) : names;
	const type = typeByCastName(first);
	const isPlain =
		rest.length === 0 &&
		name.typmods === undefined &&
		name.setof !== true &&
		(name.arrayBounds?.length ?? 0) <= 1;
	if (type === undefined || !isPlain)
		throw refusedAt(
			context.positionAt(name.location),
			"a filter casts to no such type",
			`${castableTypes.join(", ")} and lists of them`,
		);
	return name.arrayBounds === undefined ? type : listTypeOf(type);
}

/**
 * A cast that cannot fail: what is no such value becomes NULL. PostgreSQL's own
 * would fail at a row that is not even the caller's, and so reveal it.
 */
export function cast(operand: Operand, type: ValueType): Value {
	if (operand.kind !== "value") return bindConstant(operand, type);
	if (operand.type === type) return operand;
	const result = castSql(operand, type);
	if (result === undefined)
		throw refusedAt(
			operand.position,
			`${nameOfType(operand.type)} cannot be cast to ${type}`,
		);
	return { ...operand, asText: undefined, type, ...result };
}

type CastResult = Pick<Value, "sql"> & Partial<Value>;

function castSql(operand: Value, type: ValueType): CastResult | undefined {
	const { type: from, sql: value, asText } = operand;
	if (type === "text" && dialectOf(from)?.castsToText === true)
		return { sql: sql`(${value})::text` };
	if (dialectOf(type)?.castsFromText === true) {
		if (from === "text") return checkedCast(operand, type);
		if (from === "jsonb" && asText !== undefined)
			return checkedCast({ ...operand, sql: asText }, type);
	}
	if (from === "timestamptz" && type === "date")
		return { sql: sql`(${value} AT TIME ZONE 'UTC')::date` };
	if (from === "date" && type === "timestamptz") return toTime(operand);
	if (from === "bigint" && (type === "numeric" || type === "double precision"))
		return { sql: sql`(${value})::${raw(type)}` };
	return undefined;
}

function checkedCast(operand: Value, type: ValueType): CastResult {
	if (operand.hasCast === true)
		throw refusedAt(operand.position, "a cast cannot be cast again");
	const { sql: value } = operand;
	const valid = (inputType: string): Sql =>
		sql`pg_input_is_valid(${value}, ${raw(`'${inputType}'`)})`;
	const { alsoValidAs = [], castThrough = type } = dialectOf(type) ?? {};
	const isValid = [type, ...alsoValidAs].map(valid);
	return {
		hasCast: true,
		sql: sql`CASE WHEN ${join(isValid, " AND ")} THEN (${value})::${raw(castThrough)} END`,
	};
}
