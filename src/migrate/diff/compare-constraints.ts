import { boundedName } from "../../models/names.ts";
import type { Constraint, Relation } from "../catalogue.ts";
import { type Difference, difference } from "./difference.ts";
import { quoted, type Spelling } from "./spelling.ts";

/** Constraints of the table against those it should have. Somebody's own stay out of it. */
export function compareConstraints(
	expected: Relation,
	live: Relation,
	spelling: Spelling,
): Difference[] {
	const table = expected.name;
	const found = new Map(live.constraints.map((item) => [item.name, item]));
	return [
		...expected.constraints.flatMap((constraint) => {
			const now = found.get(constraint.name);
			if (now === undefined)
				return add(table, constraint, "is missing", spelling);
			if (!spelling.isSame(now.definition, constraint.definition))
				return add(
					table,
					constraint,
					`is ${spelling.bare(now.definition)}, expected ${spelling.bare(constraint.definition)}`,
					spelling,
				);
			return now.isValidated ? [] : validate(table, constraint, spelling);
		}),
		...obsoleteConstraints(expected, live).map(({ name }) =>
			difference(table, `constraint ${quoted(name)} is not in the model`, [
				dropConstraint(table, name, spelling),
			]),
		),
	];
}

/** Checks of ours that an earlier model wanted. */
export function obsoleteConstraints(
	expected: Relation,
	live: Relation,
): Constraint[] {
	const keyLength = boundedName(`${expected.name}_key_length`);
	const isExpected = expected.constraints.some(
		({ name }) => name === keyLength,
	);
	return live.constraints.filter(
		({ name }) => name === keyLength && !isExpected,
	);
}

/** Where there is one of that name it is another one. */
function add(
	table: string,
	constraint: Constraint,
	what: string,
	spelling: Spelling,
): Difference {
	const message = `constraint ${quoted(constraint.name)} ${what}`;
	const drop = dropConstraint(table, constraint.name, spelling);
	if (constraint.type === "p" || constraint.type === "u")
		return difference(
			table,
			message,
			[drop, addConstraint(table, constraint, spelling)],
			{
				risk: {
					kind: "long-lock",
					reason: `the index of constraint ${quoted(constraint.name)} is built under a lock that stops everybody, and fails on duplicates`,
				},
			},
		);
	return difference(
		table,
		message,
		[
			drop,
			addConstraint(table, constraint, spelling, " NOT VALID"),
			validateConstraint(table, constraint, spelling),
		],
		{ phase: "online" },
	);
}

function validate(
	table: string,
	constraint: Constraint,
	spelling: Spelling,
): Difference {
	return difference(
		table,
		`constraint ${quoted(constraint.name)} is not validated`,
		[validateConstraint(table, constraint, spelling)],
		{ phase: "online" },
	);
}

export function dropConstraint(
	table: string,
	name: string,
	spelling: Spelling,
): string {
	return `ALTER TABLE ${spelling.name(table)} DROP CONSTRAINT IF EXISTS ${quoted(name)};`;
}

export function addConstraint(
	table: string,
	{ name, definition }: Constraint,
	spelling: Spelling,
	suffix = "",
): string {
	// The catalogue leaves out the schema of a table that the search_path finds.
	const placed = spelling
		.placed(definition)
		.replace(
			/ REFERENCES (\w+)\(/,
			(_, other: string) => ` REFERENCES ${spelling.name(other)}(`,
		);
	return `ALTER TABLE ${spelling.name(table)} ADD CONSTRAINT ${quoted(name)} ${placed}${suffix};`;
}

function validateConstraint(
	table: string,
	{ name }: Constraint,
	spelling: Spelling,
): string {
	return `ALTER TABLE ${spelling.name(table)} VALIDATE CONSTRAINT ${quoted(name)};`;
}
