import { jsonIn } from "../../models/column-types/jsonb.ts";
import {
	type ColumnType,
	definitionOf,
	isArrayType,
} from "../../models/column-types.ts";
import type { Entity } from "../../models/entity.ts";
import type { Field } from "../../models/field.ts";
import { acceptedValue, fromJson } from "../../models/json-fields.ts";
import { isJsonNumber } from "../../models/json-number.ts";

/**
 * A value from a file as the field's type: dates and bigints, which JSON has
 * not, are read from texts; in a file without types so is everything else. What
 * does not look like the type stays as it is: validation reports it.
 */
export function fieldValue(
	value: unknown,
	{
		entity,
		field,
		isUntyped,
	}: {
		readonly entity: Entity;
		readonly field: Field;
		/** Whether values are texts without a type, as in CSV. */
		readonly isUntyped: boolean;
	},
): unknown {
	const typed = isUntyped ? fromCell(field, value) : fromJson(field, value);
	return isJsonNumber(value)
		? typed
		: acceptedValue(entity, field, { typed, given: value });
}

/**
 * What is wrong with a cell that is a text still although its field is none, in
 * place of a parser's "expected number, received string". The cell itself is not
 * quoted: it may be anything.
 */
export function cellProblem({ type }: Field, cell: string): string {
	const text = cell.trim();
	if (/^(?:null|nil|none|n\/a|na|nan|\\n|-)$/i.test(text))
		return `expected ${expectedCell(type)}; leave the cell empty where there is no value`;
	if (/^[+-]?\d{1,3}(?:[,.' ]\d{3})+(?:[.,]\d+)?$/.test(text))
		return `expected ${expectedCell(type)}, without thousands separators`;
	return `expected ${expectedCell(type)}`;
}

/** A cell that begins like JSON and is none would be stored as the text that it is. */
export function isBrokenJson({ type }: Field, cell: string): boolean {
	const text = cell.trim();
	return type === "jsonb" && /^[[{"]/.test(text) && jsonIn(text) === undefined;
}

function expectedCell(type: ColumnType): string {
	const { expected, expectedItems } = definitionOf(type).cell;
	return isArrayType(type)
		? `a list of ${expectedItems ?? "values"}, such as [1, 2], {1,2} or 1; 2`
		: (expected ?? `a value of type ${type}`);
}

/** Whether validation describes a wrong text better than {@link cellProblem}. */
export function isTextType(type: ColumnType): boolean {
	return !isArrayType(type) && definitionOf(type).cell.isText;
}

function fromCell(field: Field, cell: unknown): unknown {
	if (typeof cell !== "string") return fromJson(field, cell);
	if (isArrayType(field.type))
		return fromJson(field, listOf(field, cell.trim()) ?? cell);
	return definitionOf(field.type).cell.read(cell, field.bigint) ?? cell;
}

/**
 * A list as JSON (`["a","b"]`), as PostgreSQL writes it (`{a,"b c"}`), or as
 * values between `;`, `|` or `,`: the first of these that the cell contains.
 */
function listOf({ type, bigint }: Field, text: string): unknown {
	const json = jsonIn(text);
	if (Array.isArray(json)) return json;
	// Not the JSON or the literal that it begins like: half of it is not a list of texts.
	if (/^[[{]/.test(text) && !/^\{.*\}$/s.test(text)) return undefined;
	const items =
		text.startsWith("{") && text.endsWith("}")
			? arrayLiteral(text.slice(1, -1))
			: separated(text);
	const { read } = definitionOf(type).cell;
	return items?.map((item) =>
		item === null ? null : (read(item, bigint) ?? item),
	);
}

const separators = [";", "|", ","];

function separated(text: string): string[] {
	const separator = separators.find((one) => text.includes(one));
	const items = separator === undefined ? [text] : text.split(separator);
	return items.map((item) => item.trim()).filter((item) => item !== "");
}

/** The items of PostgreSQL's array literal: bare, or quoted with backslashes. */
function arrayLiteral(text: string): (string | null)[] | undefined {
	const item = /(?:\s*"((?:[^"\\]|\\.)*)"\s*|([^",]*))(?:,|$)/sy;
	const items: (string | null)[] = [];
	while (item.lastIndex < text.length) {
		const found = item.exec(text);
		if (found === null) return undefined;
		const bare = found[2]?.trim();
		if (bare === undefined)
			items.push((found[1] ?? "").replaceAll(/\\(.)/gs, "$1"));
		else items.push(bare.toUpperCase() === "NULL" ? null : bare);
	}
	return items;
}
