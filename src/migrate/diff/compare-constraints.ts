import type { Constraint, Relation } from "../../db/catalogue/relations.ts";
import { boundedName } from "../../models/names.ts";
import { type Difference, difference } from "./difference.ts";
import { quoted, type SchemaText } from "./schema-text.ts";

/** Constraints of the table against those it should have. Those of other programs are ignored. */
export function compareConstraints(
	expected: Relation,
	live: Relation,
	schemaText: SchemaText,
): Difference[] {
	const table = expected.name;
	const found = new Map(live.constraints.map((item) => [item.name, item]));
	return [
		...expected.constraints.flatMap((constraint) => {
			const now = found.get(constraint.name);
			if (now === undefined)
				return add(table, constraint, "is missing", schemaText);
			if (!schemaText.isSame(now.definition, constraint.definition))
				return add(
					table,
					constraint,
					`is ${schemaText.bare(now.definition)}, expected ${schemaText.bare(constraint.definition)}`,
					schemaText,
				);
			return now.isValidated ? [] : validate(table, constraint, schemaText);
		}),
		...obsoleteConstraints(expected, live).map(({ name }) =>
			difference(table, `constraint ${quoted(name)} is not in the model`, [
				dropConstraint(table, name, schemaText),
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
	schemaText: SchemaText,
): Difference {
	const message = `constraint ${quoted(constraint.name)} ${what}`;
	const drop = dropConstraint(table, constraint.name, schemaText);
	if (constraint.type === "p" || constraint.type === "u")
		return difference(
			table,
			message,
			[drop, addConstraint(table, constraint, schemaText)],
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
			addConstraint(table, constraint, schemaText, " NOT VALID"),
			validateConstraint(table, constraint, schemaText),
		],
		{ phase: "online" },
	);
}

function validate(
	table: string,
	constraint: Constraint,
	schemaText: SchemaText,
): Difference {
	return difference(
		table,
		`constraint ${quoted(constraint.name)} is not validated`,
		[validateConstraint(table, constraint, schemaText)],
		{ phase: "online" },
	);
}

export function dropConstraint(
	table: string,
	name: string,
	schemaText: SchemaText,
): string {
	return `ALTER TABLE ${schemaText.name(table)} DROP CONSTRAINT IF EXISTS ${quoted(name)};`;
}

export function addConstraint(
	table: string,
	{ name, definition }: Constraint,
	schemaText: SchemaText,
	suffix = "",
): string {
	// The catalogue leaves out the schema of a table that the search_path finds.
	const placed = schemaText
		.placed(definition)
		.replace(
			/ REFERENCES (\w+)\(/,
			(_, other: string) => ` REFERENCES ${schemaText.name(other)}(`,
		);
	return `ALTER TABLE ${schemaText.name(table)} ADD CONSTRAINT ${quoted(name)} ${placed}${suffix};`;
}

function validateConstraint(
	table: string,
	{ name }: Constraint,
	schemaText: SchemaText,
): string {
	return `ALTER TABLE ${schemaText.name(table)} VALIDATE CONSTRAINT ${quoted(name)};`;
}
