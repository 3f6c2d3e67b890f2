import type { Constraint } from "../../db/catalogue/relations.ts";
import { boundedName } from "../../models/names.ts";
import { type Difference, difference, type TableDiff } from "./difference.ts";
import { quoted } from "./schema-text.ts";

/** Constraints of the table against those it should have. Those of other programs are ignored. */
export function compareConstraints(diff: TableDiff): Difference[] {
	const { table, expected, live, schemaText } = diff;
	const found = new Map(live.constraints.map((item) => [item.name, item]));
	return [
		...expected.constraints.flatMap((constraint) => {
			const { name, definition } = constraint;
			const now = found.get(name);
			if (now === undefined) return add(diff, constraint, "is missing");
			if (!schemaText.isSame(now.definition, definition))
				return add(
					diff,
					constraint,
					`is ${schemaText.bare(now.definition)}, expected ${schemaText.bare(definition)}`,
				);
			if (now.isValidated) return [];
			return difference(table, `constraint ${quoted(name)} is not validated`, {
				statements: [validateConstraint(diff, constraint)],
				phase: "online",
			});
		}),
		...obsoleteConstraints(diff).map((constraint) =>
			difference(
				table,
				`constraint ${quoted(constraint.name)} is not in the model`,
				{ statements: [dropConstraint(diff, constraint)] },
			),
		),
	];
}

/** Checks of ours that an earlier model wanted. */
export function obsoleteConstraints({
	table,
	expected,
	live,
}: TableDiff): Constraint[] {
	const keyLength = boundedName(`${table}_key_length`);
	const isExpected = expected.constraints.some(
		({ name }) => name === keyLength,
	);
	return live.constraints.filter(
		({ name }) => name === keyLength && !isExpected,
	);
}

/** Replaces a constraint of that name if there is one. */
function add(
	diff: TableDiff,
	constraint: Constraint,
	problem: string,
): Difference {
	const name = quoted(constraint.name);
	const message = `constraint ${name} ${problem}`;
	const drop = dropConstraint(diff, constraint);
	const text = addConstraint(diff, constraint);
	if (constraint.type === "p" || constraint.type === "u")
		return difference(diff.table, message, {
			statements: [drop, text],
			risk: {
				kind: "long-lock",
				reason: `the index of constraint ${name} is built under a lock that blocks readers and writers, and fails on duplicates`,
			},
		});
	return difference(diff.table, message, {
		statements: [
			drop,
			text.replace(/;$/, " NOT VALID;"),
			validateConstraint(diff, constraint),
		],
		phase: "online",
	});
}

export function dropConstraint(
	{ alter }: TableDiff,
	{ name }: Constraint,
): string {
	return `${alter} DROP CONSTRAINT IF EXISTS ${quoted(name)};`;
}

export function addConstraint(
	{ alter, schemaText }: TableDiff,
	{ name, definition }: Constraint,
): string {
	// The catalogue leaves out the schema of a table that the search_path finds.
	const placed = schemaText
		.placed(definition)
		.replace(
			/ REFERENCES (\w+)\(/,
			(_, other: string) => ` REFERENCES ${schemaText.name(other)}(`,
		);
	return `${alter} ADD CONSTRAINT ${quoted(name)} ${placed};`;
}

function validateConstraint(
	{ alter }: TableDiff,
	{ name }: Constraint,
): string {
	return `${alter} VALIDATE CONSTRAINT ${quoted(name)};`;
}
