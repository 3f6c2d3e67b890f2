import type * as z from "zod";
import { nearestNumber } from "./column-types/double-precision.ts";
import { definitionOf } from "./column-types.ts";
import type { Entity } from "./entity.ts";
import type { Field } from "./field.ts";
import { isExactInteger, isJsonNumber } from "./json-number.ts";
import { limits } from "./limits.ts";

/**
 * Zod knows numbers only as JavaScript has them, finite ones, and dates only where
 * they are no infinity. Where a row has another one, as another program may have
 * stored it, zod checks the nearest one, and the row retains its own: what is read
 * can be written again.
 */
interface CheckedRow {
	/** The row as zod checks it; the row itself where it has no such number. */
	readonly row: Readonly<Record<string, unknown>>;
	/** Fields that differ from the row's own. */
	readonly fields: readonly Field[];
	/** Those of them that may only be written where they are stored already: not finite. */
	readonly unwritable: readonly Field[];
}

type Row = Readonly<Record<string, unknown>>;
type Path = readonly PropertyKey[];

/** `bounded`: of these values the nearest that `z.int()` takes. */
export function checkedRow(
	entity: Entity,
	row: Row,
	bounded: ReadonlySet<string> = new Set(),
): CheckedRow {
	let copy: Record<string, unknown> | undefined;
	const fields: Field[] = [];
	const unwritable: Field[] = [];
	for (const field of fieldsWithNumbers(entity)) {
		const given = row[field.name];
		if (isPlain(given)) continue;
		const plain = plainValue(field, given, { bounded, path: [field.name] });
		if (Object.is(plain, given)) continue;
		copy ??= { ...row };
		copy[field.name] = plain;
		fields.push(field);
		if (definitionOf(field.type).exact?.refusal !== undefined)
			unwritable.push(field);
	}
	return { row: copy ?? row, fields, unwritable };
}

/** What most fields have: nothing to look into. */
function isPlain(value: unknown): boolean {
	return typeof value === "object"
		? value === null || value instanceof Date
		: typeof value !== "bigint" &&
				(typeof value !== "number" || Number.isFinite(value));
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

/** The places of whole numbers that zod refused because a number does not count them exactly. */
export function beyondSafe(
	issues: readonly z.core.$ZodIssue[],
	within: Path = [],
): Set<string> {
	const places = new Set<string>();
	for (const issue of issues) {
		const path = [...within, ...issue.path];
		if (
			(issue.code === "too_big" && issue.maximum === maxSafe) ||
			(issue.code === "too_small" && issue.minimum === -maxSafe)
		)
			places.add(placeOf(path));
		if (issue.code !== "invalid_union") continue;
		for (const branch of issue.errors)
			for (const place of beyondSafe(branch, path)) places.add(place);
	}
	return places;
}

function placeOf(path: Path): string {
	return JSON.stringify(path.map(String));
}

const maxSafe = Number.MAX_SAFE_INTEGER;

const fieldsOf = new WeakMap<Entity, readonly Field[]>();

/** Metadata is not among them: zod takes everything inside it. */
function fieldsWithNumbers(entity: Entity): readonly Field[] {
	const known = fieldsOf.get(entity);
	if (known !== undefined) return known;
	const fields = [...entity.fieldsByName.values()].filter(
		(field) =>
			(field.type === "jsonb" && field.name !== "metadata") ||
			(definitionOf(field.type).exact !== undefined && !field.bigint),
	);
	fieldsOf.set(entity, fields);
	return fields;
}

interface Bounds {
	readonly bounded: ReadonlySet<string>;
	readonly path: Path;
}

function plainValue(field: Field, given: unknown, bounds: Bounds): unknown {
	if (field.type === "jsonb") return plainNumbers(given, bounds);
	const { exact } = definitionOf(field.type);
	const plain = (item: unknown, at: Bounds): unknown => {
		if (Array.isArray(item)) {
			const items = item.map((one, place) =>
				plain(one, { ...at, path: [...at.path, place] }),
			);
			return items.some((one, place) => !Object.is(one, item[place]))
				? items
				: item;
		}
		return exact?.nearest(item, isBounded(at)) ?? item;
	};
	return plain(given, bounds);
}

function isBounded({ bounded, path }: Bounds): boolean {
	return bounded.size > 0 && bounded.has(placeOf(path));
}

const unbounded: Bounds = { bounded: new Set(), path: [] };

/** The same value where there is no exact number in it, else a copy with plain ones. */
export function plainNumbers(value: unknown, bounds = unbounded): unknown {
	const { bounded, path } = bounds;
	if (isJsonNumber(value))
		return nearestNumber(
			Number(value),
			isBounded(bounds) && isExactInteger(value),
		);
	// Deeper is refused.
	if (!isContainer(value) || path.length > limits.jsonDepth + 1) return value;
	let copy: Record<string, unknown> | undefined;
	for (const key of Object.keys(value)) {
		const item = value[key];
		if (typeof item !== "object") continue;
		const plain = plainNumbers(item, { bounded, path: [...path, key] });
		if (plain === item) continue;
		copy ??= copyOf(value);
		copy[key] = plain;
	}
	return copy ?? value;
}

function restored(given: unknown, checked: unknown, output: unknown): unknown {
	if (Object.is(given, checked)) return output;
	if (typeof checked === "number") return output === checked ? given : output;
	if (checked instanceof Date)
		return output instanceof Date && output.getTime() === checked.getTime()
			? given
			: output;
	if (!isContainer(given) || !isContainer(checked) || !isContainer(output))
		return output;
	// A copy: what z.readonly() returns is frozen.
	const copy = copyOf(output);
	for (const key of Object.keys(copy))
		copy[key] = restored(given[key], checked[key], copy[key]);
	return copy;
}

function copyOf(value: Record<string, unknown>): Record<string, unknown> {
	return Array.isArray(value) ? Object.assign([], value) : { ...value };
}

/** A list, or an object without a class. */
function isContainer(value: unknown): value is Record<string, unknown> {
	if (typeof value !== "object" || value === null) return false;
	if (Array.isArray(value)) return true;
	const prototype = Object.getPrototypeOf(value);
	return prototype === Object.prototype || prototype === null;
}
