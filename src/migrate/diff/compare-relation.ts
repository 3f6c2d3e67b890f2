import type { Relation } from "../../db/catalogue/relations.ts";
import { literal, toText } from "../../sql.ts";
import { compareColumns, type RetypedColumn } from "./compare-columns.ts";
import {
	addConstraint,
	compareConstraints,
	dropConstraint,
	obsoleteConstraints,
} from "./compare-constraints.ts";
import {
	compareIndexes,
	type IndexRoles,
	obsoleteIndexes,
} from "./compare-indexes.ts";
import { compareTriggers } from "./compare-triggers.ts";
import { type Difference, difference } from "./difference.ts";
import type { SchemaText } from "./schema-text.ts";

export interface Comparison extends IndexRoles {
	readonly hasRows: boolean;
	/** What reads the table's columns by their types, and the text that recreates it. */
	readonly dependents: Dependents;
}

interface Dependents {
	/** Views to drop before a column changes its type. */
	readonly views: readonly string[];
	/** Makes them again, and the triggers that go with them. */
	readonly text: string;
	/** Triggers that the text makes: they are not compared by themselves. */
	readonly triggers: ReadonlySet<string>;
}

export const noDependents: Dependents = {
	views: [],
	text: "",
	triggers: new Set(),
};

/** A table against the one it should be, in the order in which it can be repaired. */
export function compareRelation(
	expected: Relation,
	live: Relation,
	comparison: Comparison,
	schemaText: SchemaText,
): Difference[] {
	const columns = compareColumns(
		expected,
		live,
		comparison.hasRows,
		schemaText,
	);
	const retype = retypeTogether(
		expected,
		live,
		columns.retyped,
		comparison,
		schemaText,
	);
	const [goal, now] = retype?.rest ?? [expected, live];
	const isDropped = ({ risk }: Difference) => risk?.kind === "data-loss";
	return [
		...compareStorage(expected, live, schemaText),
		...columns.differences.filter((column) => !isDropped(column)),
		...(retype === undefined ? [] : [retype.difference]),
		...compareConstraints(goal, now, schemaText),
		...compareIndexes(goal, now, comparison, schemaText),
		...compareTriggers(
			expected,
			live,
			comparison.dependents.triggers,
			schemaText,
		),
		...columns.differences.filter(isDropped),
	];
}

function compareStorage(
	expected: Relation,
	live: Relation,
	schemaText: SchemaText,
): Difference[] {
	const { name } = expected;
	const table = schemaText.name(name);
	const missing = expected.options.filter(
		(option) => !isSet(option, live.options),
	);
	const options = missing.map((option) =>
		difference(name, `${option} is not set`, [
			`ALTER TABLE ${table} SET (${option.replace("=", " = ")});`,
		]),
	);
	return [
		...options,
		...comparePersistence(expected, live, schemaText),
		...(schemaText.isSame(live.comment, expected.comment)
			? []
			: [
					difference(name, "has another comment", [
						`COMMENT ON TABLE ${table} IS ${toText(literal(expected.comment ?? ""))};`,
					]),
				]),
	];
}

/** How often a table is vacuumed is the operator's to tune: another value stays. */
function isSet(option: string, options: readonly string[]): boolean {
	const [name = ""] = option.split("=");
	return name.startsWith("autovacuum_")
		? options.some((other) => other.startsWith(`${name}=`))
		: options.includes(option);
}

function comparePersistence(
	expected: Relation,
	live: Relation,
	schemaText: SchemaText,
): Difference[] {
	if (expected.persistence === live.persistence) return [];
	const [is, should] =
		expected.persistence === "u"
			? ["logged", "UNLOGGED"]
			: ["UNLOGGED", "LOGGED"];
	return [
		difference(
			expected.name,
			`is ${is}, expected ${should.toLowerCase()}`,
			[`ALTER TABLE ${schemaText.name(expected.name)} SET ${should};`],
			{
				risk: {
					kind: "rewrite",
					reason: "the table is written anew under a lock that stops everybody",
				},
			},
		),
	];
}

interface Retype {
	readonly difference: Difference;
	/** Both sides without what is recreated along with the columns. */
	readonly rest: readonly [Relation, Relation];
}

/**
 * One change for all columns of another type. What depends on them cannot live
 * through it: it is dropped first and made again after. Nothing of it need be
 * done without a lock, because the new types need one all the same.
 */
function retypeTogether(
	expected: Relation,
	live: Relation,
	retyped: readonly RetypedColumn[],
	{ dependents }: Comparison,
	schemaText: SchemaText,
): Retype | undefined {
	if (retyped.length === 0) return undefined;
	const { name } = expected;
	const constraints = changed(
		expected.constraints,
		live.constraints,
		schemaText,
	);
	const indexes = changed(expected.indexes, live.indexes, schemaText).filter(
		({ isOfConstraint }) => !isOfConstraint,
	);
	const oldConstraints = obsoleteConstraints(expected, live);
	// Others follow the column; an expression may not be one of the new type.
	const oldIndexes = obsoleteIndexes(expected, live).filter(
		(index) => !index.isUnique && index.name.startsWith("norm_"),
	);
	const statements = [
		...dependents.views.map(
			(view) => `DROP VIEW IF EXISTS ${schemaText.name(view)};`,
		),
		...[...indexes, ...oldIndexes].map(
			(index) => `DROP INDEX IF EXISTS ${schemaText.name(index.name)};`,
		),
		...[...constraints, ...oldConstraints].map((item) =>
			dropConstraint(name, item.name, schemaText),
		),
		`ALTER TABLE ${schemaText.name(name)}\n  ${retyped.flatMap(({ clauses }) => clauses).join(",\n  ")};`,
		...constraints.map((item) => addConstraint(name, item, schemaText)),
		...indexes.map(({ definition }) => `${schemaText.placed(definition)};`),
		...(dependents.text === "" ? [] : [dependents.text]),
	];
	const gone = new Set(
		[...constraints, ...oldConstraints, ...indexes, ...oldIndexes].map(
			(item) => item.name,
		),
	);
	const isRewrite = retyped.some((column) => column.isRewrite);
	return {
		difference: {
			table: name,
			messages: retyped.map(({ message }) => message),
			statements,
			phase: "transaction",
			blocks: true,
			...(isRewrite ? { risk: rewriteRisk } : {}),
		},
		rest: [without(expected, gone), without(live, gone)],
	};
}

const rewriteRisk = {
	kind: "rewrite",
	reason:
		"the table is written anew under a lock that stops everybody, and values that the new type does not take stand in the way",
} as const;

/** Those of the expected side that the table has in another form. */
function changed<T extends { name: string; definition: string }>(
	expected: readonly T[],
	live: readonly T[],
	schemaText: SchemaText,
): T[] {
	return expected.filter((item) =>
		live.some(
			(now) =>
				now.name === item.name &&
				!schemaText.isSame(now.definition, item.definition),
		),
	);
}

function without(relation: Relation, names: ReadonlySet<string>): Relation {
	const stays = ({ name }: { readonly name: string }) => !names.has(name);
	return {
		...relation,
		constraints: relation.constraints.filter(stays),
		indexes: relation.indexes.filter(stays),
	};
}
