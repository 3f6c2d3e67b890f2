import type * as z from "zod";
import type { Entity } from "./entity.ts";
import type { Field } from "./field.ts";
import { isExactInteger, isJsonNumber } from "./json-number.ts";
import { limits } from "./limits.ts";

/**
 * Zod knows numbers only as JavaScript has them. Where a row has a number that
 * those cannot hold, as another program may have stored it, zod checks the
 * nearest one, and the row keeps its own: what is read can be written again.
 */
export interface CheckedRow {
	/** The row as zod checks it; the row itself where it has no such number. */
	readonly row: Readonly<Record<string, unknown>>;
	/** Fields that differ from the row's own. */
	readonly fields: readonly Field[];
}

type Row = Readonly<Record<string, unknown>>;

/** `isBounded`: whole numbers are the nearest that `z.int()` takes. */
export function checkedRow(
	entity: Entity,
	row: Row,
	isBounded = false,
): CheckedRow {
	let copy: Record<string, unknown> | undefined;
	const fields: Field[] = [];
	for (const field of fieldsWithNumbers(entity)) {
		const given = row[field.name];
		if (typeof given !== "object" && typeof given !== "bigint") continue;
		const plain =
			field.type === "jsonb"
				? plainNumbers(given, isBounded)
				: plainBigints(given, isBounded);
		if (plain === given) continue;
		copy ??= { ...row };
		copy[field.name] = plain;
		fields.push(field);
	}
	return { row: copy ?? row, fields };
}

/** The fields' own numbers in what zod returned, except where a transform made other ones. */
export function restoreNumbers(
	{ row, fields }: CheckedRow,
	given: Row,
	output: Record<string, unknown>,
): void {
	for (const { name } of fields)
		output[name] = restored(given[name], row[name], output[name]);
}

/** Whether zod refused nothing but whole numbers beyond those that a number counts exactly. */
export function isOnlyBeyondSafe(issues: readonly z.core.$ZodIssue[]): boolean {
	return issues.every(
		(issue) =>
			(issue.code === "too_big" && issue.maximum === maxSafe) ||
			(issue.code === "too_small" && issue.minimum === -maxSafe),
	);
}

const maxSafe = Number.MAX_SAFE_INTEGER;

const fieldsOf = new WeakMap<Entity, readonly Field[]>();

/** Metadata is not among them: zod takes everything inside it. */
function fieldsWithNumbers(entity: Entity): readonly Field[] {
	const known = fieldsOf.get(entity);
	if (known !== undefined) return known;
	const fields = [...entity.fieldsByName.values()].filter(
		({ name, type, bigint }) =>
			(type === "jsonb" && name !== "metadata") ||
			((type === "bigint" || type === "bigint[]") && !bigint),
	);
	fieldsOf.set(entity, fields);
	return fields;
}

/** The same value where there is no exact number in it, else a copy with plain ones. */
export function plainNumbers(
	value: unknown,
	isBounded = false,
	depth = 0,
): unknown {
	if (isJsonNumber(value))
		return nearest(
			Number(value),
			isBounded && isExactInteger(value) ? maxSafe : Number.MAX_VALUE,
		);
	// Deeper is refused.
	if (!isContainer(value) || depth > limits.jsonDepth) return value;
	let copy: Record<string, unknown> | undefined;
	for (const key of Object.keys(value)) {
		const item = value[key];
		const plain = plainNumbers(item, isBounded, depth + 1);
		if (plain === item) continue;
		copy ??= (Array.isArray(value) ? [...value] : { ...value }) as Record<
			string,
			unknown
		>;
		copy[key] = plain;
	}
	return copy ?? value;
}

/** Bigints that a whole number cannot count exactly: a column may have them. */
function plainBigints(value: unknown, isBounded: boolean): unknown {
	if (Array.isArray(value)) {
		const plain = value.map((item) => plainBigints(item, isBounded));
		return plain.some((item, at) => item !== value[at]) ? plain : value;
	}
	return typeof value !== "bigint" || Number.isSafeInteger(Number(value))
		? value
		: nearest(Number(value), isBounded ? maxSafe : Number.MAX_VALUE);
}

function nearest(number: number, most: number): number {
	return Math.min(Math.max(number, -most), most);
}

function restored(given: unknown, checked: unknown, output: unknown): unknown {
	if (given === checked) return output;
	if (typeof checked === "number") return output === checked ? given : output;
	if (!isContainer(given) || !isContainer(checked) || !isContainer(output))
		return output;
	// A copy: what z.readonly() returns is frozen.
	const copy = (Array.isArray(output) ? [...output] : { ...output }) as Record<
		string,
		unknown
	>;
	for (const key of Object.keys(copy))
		copy[key] = restored(given[key], checked[key], copy[key]);
	return copy;
}

/** A list, or an object without a class. */
function isContainer(value: unknown): value is Record<string, unknown> {
	if (typeof value !== "object" || value === null) return false;
	if (Array.isArray(value)) return true;
	const prototype = Object.getPrototypeOf(value);
	return prototype === Object.prototype || prototype === null;
}
