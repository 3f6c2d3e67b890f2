import type { ColumnRef } from "libpg-query";
import { RemError } from "../../errors.ts";
import type { Field } from "../../models/field.ts";
import { quoted, suggest } from "../../util/suggest.ts";
import { type Context, refusedAt } from "./context.ts";

/**
 * The model's field that is named: as a column (`created_at`) or as a field
 * (`createdAt`, which the grammar folds to lower case unless it is quoted), with
 * the table's name before it or not.
 */
export function findColumn(context: Context, node: ColumnRef): Field {
	const names = (node.fields ?? []).map((part) =>
		"String" in part ? (part.String.sval ?? "") : "*",
	);
	const { entity } = context;
	const [name = ""] =
		names.length === 2 && names[0] === entity.tableName
			? names.slice(1)
			: names;
	if (names.length > 2 || (names.length === 2 && name === names[0]))
		throw refusedAt(
			context.positionAt(node.location),
			`${quoted(names.join("."))} is no column of "${entity.tableName}"`,
			"a step into JSON is metadata->>'key'",
		);
	const fields = [...entity.fieldsByName.values()];
	const field =
		fields.find(({ column }) => column === name) ??
		fields.find((field) => field.name === name) ??
		only(fields.filter((field) => field.name.toLowerCase() === name));
	if (field !== undefined) return field;
	const position = context.positionAt(node.location);
	throw new RemError(
		"UNKNOWN_FIELD",
		`unknown field ${quoted(name)} of "${entity.tableName}", at character ${position}`,
		{
			position,
			...hintOf(name, fields),
		},
	);
}

function only<T>(items: readonly T[]): T | undefined {
	return items.length === 1 ? items[0] : undefined;
}

function hintOf(name: string, fields: readonly Field[]) {
	const hint = suggest(
		name,
		fields.map(({ column }) => column),
	);
	return hint === undefined ? {} : { hint };
}
