import type { Column, Relation } from "../../db/catalogue/relations.ts";
import { boundedName } from "../../models/names.ts";
import { literal, toText } from "../../sql.ts";
import { editDistance } from "../../util/suggest.ts";
import { conversion, isRewrite } from "./conversion.ts";
import { type Difference, difference } from "./difference.ts";
import { quoted, type SchemaText } from "./schema-text.ts";

interface ComparedColumns {
	/** What stands by itself. */
	readonly differences: readonly Difference[];
	/** Columns of another type: what depends on them must be recreated with them. */
	readonly retyped: readonly RetypedColumn[];
}

export interface RetypedColumn {
	readonly message: string;
	/** Clauses of one ALTER TABLE. */
	readonly clauses: readonly string[];
	readonly isRewrite: boolean;
}

/** Columns of the table against those it should have. */
export function compareColumns(
	expected: Relation,
	live: Relation,
	hasRows: boolean,
	schemaText: SchemaText,
): ComparedColumns {
	const differences: Difference[] = [];
	const retyped: RetypedColumn[] = [];
	const found = new Map(live.columns.map((column) => [column.name, column]));
	const renames = hasRows
		? renamedColumns(expected, live, schemaText)
		: noRenames;
	for (const column of expected.columns) {
		const now = found.get(column.name);
		found.delete(column.name);
		const earlier = renames.get(column.name);
		if (earlier !== undefined) {
			found.delete(earlier.name);
			differences.push(renamed(expected.name, column, earlier, schemaText));
		} else if (now === undefined)
			differences.push(missing(expected.name, column, hasRows, schemaText));
		else if (!schemaText.isSame(now.type, column.type))
			retyped.push(retype(column, now));
		else
			differences.push(
				...compareDefault(expected.name, column, now, schemaText),
			);
		if (now !== undefined)
			differences.push(
				...compareNull(expected.name, column, now, schemaText),
				...compareStatistics(expected.name, column, now, schemaText),
			);
	}
	for (const column of found.values())
		differences.push(unknown(expected.name, column, schemaText));
	return { differences, retyped };
}

/** The comment of a column that a migration found outside of the model, and left. */
const leftMark = "remdb: not in the model";

const noRenames: ReadonlyMap<string, Column> = new Map();

/**
 * A column that is missing, with one that left the model since the last
 * migration: that may be the same field under a new name, and adding an empty
 * column would strand its values. One of the same type comes first, then the
 * nearest name.
 */
function renamedColumns(
	expected: Relation,
	live: Relation,
	schemaText: SchemaText,
): ReadonlyMap<string, Column> {
	const wanted = new Set(expected.columns.map(({ name }) => name));
	const existing = new Set(live.columns.map(({ name }) => name));
	const left = live.columns.filter(
		({ name, comment }) => !wanted.has(name) && !comment?.includes(leftMark),
	);
	const pairs = expected.columns
		.filter(({ name }) => !existing.has(name))
		.flatMap((column) =>
			left.map((earlier) => ({
				column,
				earlier,
				isRetyped: !schemaText.isSame(earlier.type, column.type),
				distance: editDistance(earlier.name, column.name),
			})),
		)
		.sort(
			(a, b) =>
				Number(a.isRetyped) - Number(b.isRetyped) || a.distance - b.distance,
		);
	const found = new Map<string, Column>();
	for (const { column, earlier } of pairs)
		if (!found.has(column.name) && ![...found.values()].includes(earlier))
			found.set(column.name, earlier);
	return found;
}

function renamed(
	table: string,
	column: Column,
	earlier: Column,
	schemaText: SchemaText,
): Difference {
	const [from, to] = [quoted(earlier.name), quoted(column.name)];
	const rename = `ALTER TABLE ${schemaText.name(table)} RENAME COLUMN ${from} TO ${to};`;
	const isRetyped = !schemaText.isSame(earlier.type, column.type);
	const types = isRetyped ? ` (${earlier.type}, expected ${column.type})` : "";
	const next = isRetyped
		? "afterwards `rem schema diff` shows the change of its type; "
		: "";
	return difference(
		table,
		`column ${to} is missing, and ${from}${types} is not in the model any more: renamed?`,
		[rename],
		{
			risk: {
				kind: "rename",
				reason: `${next}if ${to} is another field, keep the values of ${from} where they are: ${leaveColumn(table, earlier, schemaText)}`,
			},
			blocks: true,
		},
	);
}

/** Records that the column is known to be outside of the model. */
function leaveColumn(
	table: string,
	{ name, comment }: Column,
	schemaText: SchemaText,
): string {
	const text = comment === null ? leftMark : `${comment}; ${leftMark}`;
	return `COMMENT ON COLUMN ${schemaText.name(table)}.${quoted(name)} IS ${toText(literal(text))};`;
}

function missing(
	table: string,
	column: Column,
	hasRows: boolean,
	schemaText: SchemaText,
): Difference {
	const alter = `ALTER TABLE ${schemaText.name(table)}`;
	const name = quoted(column.name);
	const definition = `${alter} ADD COLUMN IF NOT EXISTS ${name} ${column.type}`;
	const lacksValue = hasRows && column.notNull && column.defaultValue === null;
	if (!lacksValue)
		return difference(table, `column ${name} is missing`, [
			`${definition}${column.defaultValue === null ? "" : ` DEFAULT ${schemaText.placed(column.defaultValue)}`}${column.notNull ? " NOT NULL" : ""};`,
		]);
	return difference(
		table,
		`column ${name} is missing, and rows that exist would have no value: give it a default or make it optional`,
		[
			`${definition};`,
			`-- Give every row its value here: UPDATE ${schemaText.name(table)} SET ${name} = …\n${alter} ALTER COLUMN ${name} SET NOT NULL;`,
		],
		{
			risk: {
				kind: "may-fail",
				reason: `rows that exist need a value before column ${name} can be NOT NULL`,
			},
			blocks: true,
		},
	);
}

function retype(column: Column, now: Column): RetypedColumn {
	const alter = `ALTER COLUMN ${quoted(column.name)}`;
	return {
		message: `column ${quoted(column.name)} is ${now.type}, expected ${column.type}`,
		clauses: [
			...(now.defaultValue === null ? [] : [`${alter} DROP DEFAULT`]),
			`${alter} TYPE ${column.type} USING ${conversion(quoted(column.name), now.type, column.type)}`,
			...(column.defaultValue === null
				? []
				: [`${alter} SET DEFAULT ${column.defaultValue}`]),
		],
		isRewrite: isRewrite(now.type, column.type),
	};
}

function compareDefault(
	table: string,
	column: Column,
	now: Column,
	schemaText: SchemaText,
): Difference[] {
	if (schemaText.isSame(now.defaultValue, column.defaultValue)) return [];
	const name = quoted(column.name);
	const value = column.defaultValue;
	return [
		difference(
			table,
			`column ${name} has ${now.defaultValue === null ? "no default" : "another default"}, expected ${value ?? "none"}`,
			[
				`ALTER TABLE ${schemaText.name(table)} ALTER COLUMN ${name} ${value === null ? "DROP DEFAULT" : `SET DEFAULT ${schemaText.placed(value)}`};`,
			],
		),
	];
}

function compareNull(
	table: string,
	column: Column,
	now: Column,
	schemaText: SchemaText,
): Difference[] {
	if (now.notNull === column.notNull) return [];
	const name = quoted(column.name);
	const alter = `ALTER TABLE ${schemaText.name(table)} ALTER COLUMN ${name}`;
	if (now.notNull)
		return [
			difference(table, `column ${name} must not be NULL, the model takes it`, [
				`${alter} DROP NOT NULL;`,
			]),
		];
	const constraint = quoted(boundedName(`${table}_${column.name}_not_null`));
	const alterTable = `ALTER TABLE ${schemaText.name(table)}`;
	return [
		difference(
			table,
			`column ${name} takes NULL, the model does not`,
			[
				`${alterTable} ADD CONSTRAINT ${constraint} NOT NULL ${name} NOT VALID;`,
				`${alterTable} VALIDATE CONSTRAINT ${constraint};`,
			],
			{
				phase: "online",
				risk: {
					kind: "may-fail",
					reason: `rows without a value in column ${name} stand in the way`,
				},
				blocks: true,
			},
		),
	];
}

function compareStatistics(
	table: string,
	column: Column,
	now: Column,
	schemaText: SchemaText,
): Difference[] {
	if (column.statistics === null || now.statistics === column.statistics)
		return [];
	return [
		difference(
			table,
			`column ${quoted(column.name)} has another statistics target, expected ${column.statistics}`,
			[
				`ALTER TABLE ${schemaText.name(table)} ALTER COLUMN ${quoted(column.name)} SET STATISTICS ${column.statistics};`,
			],
		),
	];
}

/** A column of an earlier model, or of another program. */
function unknown(
	table: string,
	column: Column,
	schemaText: SchemaText,
): Difference {
	const name = quoted(column.name);
	const isNeeded = column.notNull && column.defaultValue === null;
	return difference(
		table,
		isNeeded
			? `column ${name} must not be NULL, and the model does not have it`
			: `column ${name} is not in the model`,
		[`ALTER TABLE ${schemaText.name(table)} DROP COLUMN IF EXISTS ${name};`],
		{
			risk: {
				kind: "data-loss",
				reason: `the values of column ${name} are lost`,
			},
			blocks: isNeeded,
			...(column.comment?.includes(leftMark)
				? {}
				: { whenLeft: leaveColumn(table, column, schemaText) }),
		},
	);
}
