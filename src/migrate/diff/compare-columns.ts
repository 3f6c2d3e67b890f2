import { boundedName } from "../../models/names.ts";
import type { Column, Relation } from "../catalogue.ts";
import { conversion, isRewrite } from "./conversion.ts";
import { type Difference, difference } from "./difference.ts";
import { quoted, type Spelling } from "./spelling.ts";

export interface ComparedColumns {
	/** What stands by itself. */
	readonly differences: readonly Difference[];
	/** Columns of another type: what depends on them must be made anew with them. */
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
	spelling: Spelling,
): ComparedColumns {
	const differences: Difference[] = [];
	const retyped: RetypedColumn[] = [];
	const found = new Map(live.columns.map((column) => [column.name, column]));
	for (const column of expected.columns) {
		const now = found.get(column.name);
		found.delete(column.name);
		if (now === undefined)
			differences.push(missing(expected.name, column, hasRows, spelling));
		else if (!spelling.isSame(now.type, column.type))
			retyped.push(retype(column, now));
		else
			differences.push(...compareDefault(expected.name, column, now, spelling));
		if (now !== undefined)
			differences.push(
				...compareNull(expected.name, column, now, spelling),
				...compareStatistics(expected.name, column, now, spelling),
			);
	}
	for (const column of found.values())
		differences.push(unknown(expected.name, column, spelling));
	return { differences, retyped };
}

function missing(
	table: string,
	column: Column,
	hasRows: boolean,
	spelling: Spelling,
): Difference {
	const alter = `ALTER TABLE ${spelling.name(table)}`;
	const name = quoted(column.name);
	const definition = `${alter} ADD COLUMN IF NOT EXISTS ${name} ${column.type}`;
	const lacksValue = hasRows && column.notNull && column.defaultValue === null;
	if (!lacksValue)
		return difference(table, `column ${name} is missing`, [
			`${definition}${column.defaultValue === null ? "" : ` DEFAULT ${spelling.placed(column.defaultValue)}`}${column.notNull ? " NOT NULL" : ""};`,
		]);
	return difference(
		table,
		`column ${name} is missing, and rows that exist would have no value: give it a default or make it optional`,
		[
			`${definition};`,
			`-- Give every row its value here: UPDATE ${spelling.name(table)} SET ${name} = …\n${alter} ALTER COLUMN ${name} SET NOT NULL;`,
		],
		{
			risk: {
				kind: "may-fail",
				reason:
					"rows that exist need a value before the column can be NOT NULL",
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
	spelling: Spelling,
): Difference[] {
	if (spelling.isSame(now.defaultValue, column.defaultValue)) return [];
	const name = quoted(column.name);
	const value = column.defaultValue;
	return [
		difference(
			table,
			`column ${name} has ${now.defaultValue === null ? "no default" : "another default"}, expected ${value ?? "none"}`,
			[
				`ALTER TABLE ${spelling.name(table)} ALTER COLUMN ${name} ${value === null ? "DROP DEFAULT" : `SET DEFAULT ${spelling.placed(value)}`};`,
			],
		),
	];
}

function compareNull(
	table: string,
	column: Column,
	now: Column,
	spelling: Spelling,
): Difference[] {
	if (now.notNull === column.notNull) return [];
	const name = quoted(column.name);
	const alter = `ALTER TABLE ${spelling.name(table)} ALTER COLUMN ${name}`;
	if (now.notNull)
		return [
			difference(table, `column ${name} must not be NULL, the model takes it`, [
				`${alter} DROP NOT NULL;`,
			]),
		];
	const constraint = quoted(boundedName(`${table}_${column.name}_not_null`));
	const alterTable = `ALTER TABLE ${spelling.name(table)}`;
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
					reason: "rows without a value stand in the way",
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
	spelling: Spelling,
): Difference[] {
	if (column.statistics === null || now.statistics === column.statistics)
		return [];
	return [
		difference(
			table,
			`column ${quoted(column.name)} has another statistics target, expected ${column.statistics}`,
			[
				`ALTER TABLE ${spelling.name(table)} ALTER COLUMN ${quoted(column.name)} SET STATISTICS ${column.statistics};`,
			],
		),
	];
}

/** A column of an earlier model, or somebody's own. */
function unknown(
	table: string,
	column: Column,
	spelling: Spelling,
): Difference {
	const name = quoted(column.name);
	const isNeeded = column.notNull && column.defaultValue === null;
	return difference(
		table,
		isNeeded
			? `column ${name} must not be NULL, and the model does not have it`
			: `column ${name} is not in the model`,
		[`ALTER TABLE ${spelling.name(table)} DROP COLUMN IF EXISTS ${name};`],
		{
			risk: { kind: "data-loss", reason: "the values of the column are lost" },
			blocks: isNeeded,
		},
	);
}
