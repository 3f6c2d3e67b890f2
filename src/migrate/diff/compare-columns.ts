import type { Column } from "../../db/catalogue/relations.ts";
import { boundedName } from "../../models/names.ts";
import { literal, toText } from "../../sql.ts";
import { editDistance } from "../../util/suggest.ts";
import { conversion, isRewrite } from "./conversion.ts";
import { type Difference, difference, type TableDiff } from "./difference.ts";
import { quoted } from "./schema-text.ts";

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
export function compareColumns(diff: TableDiff): ComparedColumns {
	const { expected, live, hasRows, schemaText } = diff;
	const differences: Difference[] = [];
	const retyped: RetypedColumn[] = [];
	const found = new Map(live.columns.map((column) => [column.name, column]));
	const renames = hasRows ? renamedColumns(diff) : noRenames;
	for (const column of expected.columns) {
		const now = found.get(column.name);
		found.delete(column.name);
		const earlier = renames.get(column.name);
		if (earlier !== undefined) {
			found.delete(earlier.name);
			differences.push(renamed(diff, column, earlier));
		} else if (now === undefined) differences.push(missing(diff, column));
		else if (!schemaText.isSame(now.type, column.type))
			retyped.push(retype(column, now));
		else differences.push(...compareDefault(diff, column, now));
		if (now !== undefined)
			differences.push(
				...compareNull(diff, column, now),
				...compareStatistics(diff, column, now),
			);
	}
	for (const column of found.values()) differences.push(unknown(diff, column));
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
function renamedColumns({
	expected,
	live,
	schemaText,
}: TableDiff): ReadonlyMap<string, Column> {
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

function renamed(diff: TableDiff, column: Column, earlier: Column): Difference {
	const [from, to] = [quoted(earlier.name), quoted(column.name)];
	const isRetyped = !diff.schemaText.isSame(earlier.type, column.type);
	const types = isRetyped ? ` (${earlier.type}, expected ${column.type})` : "";
	const next = isRetyped
		? "afterwards `rem schema diff` shows the change of its type; "
		: "";
	return difference(
		diff.table,
		`column ${to} is missing, and ${from}${types} is not in the model any more: renamed?`,
		{
			statements: [`${diff.alter} RENAME COLUMN ${from} TO ${to};`],
			risk: {
				kind: "rename",
				reason: `${next}if ${to} is another field, keep the values of ${from} where they are: ${leaveColumn(diff, earlier)}`,
			},
			blocks: true,
		},
	);
}

/** Records that the column is known to be outside of the model. */
function leaveColumn(
	{ table, schemaText }: TableDiff,
	{ name, comment }: Column,
): string {
	const text = comment === null ? leftMark : `${comment}; ${leftMark}`;
	return `COMMENT ON COLUMN ${schemaText.name(table)}.${quoted(name)} IS ${toText(literal(text))};`;
}

function missing(
	{ table, alter, hasRows, schemaText }: TableDiff,
	column: Column,
): Difference {
	const name = quoted(column.name);
	const definition = `${alter} ADD COLUMN IF NOT EXISTS ${name} ${column.type}`;
	const lacksValue = hasRows && column.notNull && column.defaultValue === null;
	if (!lacksValue) {
		const value =
			column.defaultValue === null
				? ""
				: ` DEFAULT ${schemaText.placed(column.defaultValue)}`;
		return difference(table, `column ${name} is missing`, {
			statements: [
				`${definition}${value}${column.notNull ? " NOT NULL" : ""};`,
			],
		});
	}
	return difference(
		table,
		`column ${name} is missing, and rows that exist would have no value: give it a default or make it optional`,
		{
			statements: [
				`${definition};`,
				`-- Give every row its value here: UPDATE ${schemaText.name(table)} SET ${name} = …\n${alter} ALTER COLUMN ${name} SET NOT NULL;`,
			],
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
	{ table, alter, schemaText }: TableDiff,
	column: Column,
	now: Column,
): Difference[] {
	if (schemaText.isSame(now.defaultValue, column.defaultValue)) return [];
	const name = quoted(column.name);
	const value = column.defaultValue;
	const change =
		value === null ? "DROP DEFAULT" : `SET DEFAULT ${schemaText.placed(value)}`;
	return [
		difference(
			table,
			`column ${name} has ${now.defaultValue === null ? "no" : "a different"} default, expected ${value ?? "none"}`,
			{ statements: [`${alter} ALTER COLUMN ${name} ${change};`] },
		),
	];
}

function compareNull(
	{ table, alter }: TableDiff,
	column: Column,
	now: Column,
): Difference[] {
	if (now.notNull === column.notNull) return [];
	const name = quoted(column.name);
	if (now.notNull)
		return [
			difference(
				table,
				`column ${name} is NOT NULL, and the model allows NULL`,
				{ statements: [`${alter} ALTER COLUMN ${name} DROP NOT NULL;`] },
			),
		];
	const constraint = quoted(boundedName(`${table}_${column.name}_not_null`));
	return [
		difference(table, `column ${name} allows NULL, and the model does not`, {
			statements: [
				`${alter} ADD CONSTRAINT ${constraint} NOT NULL ${name} NOT VALID;`,
				`${alter} VALIDATE CONSTRAINT ${constraint};`,
			],
			phase: "online",
			risk: {
				kind: "may-fail",
				reason: `it fails on rows without a value in column ${name}`,
			},
			blocks: true,
		}),
	];
}

function compareStatistics(
	{ table, alter }: TableDiff,
	{ name, statistics }: Column,
	now: Column,
): Difference[] {
	if (statistics === null || now.statistics === statistics) return [];
	return [
		difference(
			table,
			`the statistics target of column ${quoted(name)} differs, expected ${statistics}`,
			{
				statements: [
					`${alter} ALTER COLUMN ${quoted(name)} SET STATISTICS ${statistics};`,
				],
			},
		),
	];
}

/** A column of an earlier model, or of another program. */
function unknown(diff: TableDiff, column: Column): Difference {
	const name = quoted(column.name);
	const isNeeded = column.notNull && column.defaultValue === null;
	return difference(
		diff.table,
		isNeeded
			? `column ${name} is NOT NULL, and the model does not have it`
			: `column ${name} is not in the model`,
		{
			statements: [`${diff.alter} DROP COLUMN IF EXISTS ${name};`],
			risk: {
				kind: "data-loss",
				reason: `the values of column ${name} are lost`,
			},
			blocks: isNeeded,
			...(column.comment?.includes(leftMark)
				? {}
				: { whenLeft: leaveColumn(diff, column) }),
		},
	);
}
