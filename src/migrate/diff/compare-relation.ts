import type { Relation } from "../../db/catalogue/relations.ts";
import { literal, toText } from "../../sql.ts";
import { compareColumns, type RetypedColumn } from "./compare-columns.ts";
import {
	addConstraint,
	compareConstraints,
	dropConstraint,
	obsoleteConstraints,
} from "./compare-constraints.ts";
import { compareIndexes, obsoleteIndexes } from "./compare-indexes.ts";
import { compareTriggers } from "./compare-triggers.ts";
import { type Difference, difference, type TableDiff } from "./difference.ts";

/** A table against the one it should be, in the order in which it can be repaired. */
export function compareRelation(diff: TableDiff): Difference[] {
	const columns = compareColumns(diff);
	const retype = retypeTogether(diff, columns.retyped);
	const rest = retype?.rest ?? diff;
	const isDropped = ({ risk }: Difference) => risk?.kind === "data-loss";
	return [
		...compareStorage(diff),
		...columns.differences.filter((column) => !isDropped(column)),
		...(retype === undefined ? [] : [retype.difference]),
		...compareConstraints(rest),
		...compareIndexes(rest),
		...compareTriggers(diff),
		...columns.differences.filter(isDropped),
	];
}

function compareStorage(diff: TableDiff): Difference[] {
	const { table, alter, expected, live, schemaText } = diff;
	const missing = expected.options.filter(
		(option) => !isSet(option, live.options),
	);
	return [
		...missing.map((option) =>
			difference(table, `${option} is not set`, {
				statements: [`${alter} SET (${option.replace("=", " = ")});`],
			}),
		),
		...comparePersistence(diff),
		...(schemaText.isSame(live.comment, expected.comment)
			? []
			: [
					difference(table, "the table's comment differs", {
						statements: [
							`COMMENT ON TABLE ${schemaText.name(table)} IS ${toText(literal(expected.comment ?? ""))};`,
						],
					}),
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

function comparePersistence({
	table,
	alter,
	expected,
	live,
}: TableDiff): Difference[] {
	if (expected.persistence === live.persistence) return [];
	const [is, should] =
		expected.persistence === "u"
			? ["logged", "UNLOGGED"]
			: ["UNLOGGED", "LOGGED"];
	return [
		difference(table, `is ${is}, expected ${should.toLowerCase()}`, {
			statements: [`${alter} SET ${should};`],
			risk: { kind: "rewrite", reason: rewritten },
		}),
	];
}

const rewritten =
	"the table is rewritten under a lock that blocks readers and writers";

interface Retype {
	readonly difference: Difference;
	/** The table without what is recreated along with the columns. */
	readonly rest: TableDiff;
}

/**
 * One change for all columns of another type. What depends on them is dropped
 * first and recreated after. Nothing of it need be done without a lock, because
 * the new types need one all the same.
 */
function retypeTogether(
	diff: TableDiff,
	retyped: readonly RetypedColumn[],
): Retype | undefined {
	if (retyped.length === 0) return undefined;
	const { table, alter, expected, live, dependents, schemaText } = diff;
	const constraints = changed(diff, "constraints");
	const indexes = changed(diff, "indexes").filter(
		({ isOfConstraint }) => !isOfConstraint,
	);
	const oldConstraints = obsoleteConstraints(diff);
	// Others follow the column; an expression may not be one of the new type.
	const oldIndexes = obsoleteIndexes(diff).filter(
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
			dropConstraint(diff, item),
		),
		`${alter}\n  ${retyped.flatMap(({ clauses }) => clauses).join(",\n  ")};`,
		...constraints.map((item) => addConstraint(diff, item)),
		...indexes.map(({ definition }) => `${schemaText.placed(definition)};`),
		...(dependents.text === "" ? [] : [dependents.text]),
	];
	const recreated = new Set(
		[...constraints, ...oldConstraints, ...indexes, ...oldIndexes].map(
			(item) => item.name,
		),
	);
	return {
		difference: {
			table,
			messages: retyped.map(({ message }) => message),
			statements,
			phase: "transaction",
			blocks: true,
			...(retyped.some(({ isRewrite }) => isRewrite)
				? {
						risk: {
							kind: "rewrite",
							reason: `${rewritten}, and fails on values that the new type does not take`,
						},
					}
				: {}),
		},
		rest: {
			...diff,
			expected: without(expected, recreated),
			live: without(live, recreated),
		},
	};
}

/** Those of the expected side that the table has in another form. */
function changed<K extends "constraints" | "indexes">(
	{ expected, live, schemaText }: TableDiff,
	kind: K,
): Relation[K][number][] {
	return expected[kind].filter((item) =>
		live[kind].some(
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
