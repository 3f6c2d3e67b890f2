import { dropIndexText } from "../../db/catalogue/indexes.ts";
import type { IndexDefinition } from "../../db/catalogue/relations.ts";
import { boundedName } from "../../models/names.ts";
import { isBuiltByIndexer, isOfModel } from "../../schema/index-types.ts";
import {
	type Difference,
	difference,
	type Risk,
	type TableDiff,
} from "./difference.ts";
import { quoted, type SchemaText } from "./schema-text.ts";

/** Indexes of the table against those it should have. Those of other programs are ignored. */
export function compareIndexes(diff: TableDiff): Difference[] {
	const { expected, live, schemaText } = diff;
	const found = new Map(live.indexes.map((index) => [index.name, index]));
	return [
		...expected.indexes
			.filter(({ isOfConstraint }) => !isOfConstraint)
			.flatMap((index) => {
				const now = found.get(index.name);
				if (now === undefined)
					return isBuiltByIndexer(index.name) ? [] : missing(diff, index);
				if (now.isBuilding) return [];
				if (!now.isValid) return invalid(diff, index);
				return schemaText.isSame(now.definition, index.definition)
					? []
					: changed(diff, index, now);
			}),
		...obsoleteIndexes(diff).map((index) => obsolete(diff, index)),
	];
}

/** Indexes of ours that an earlier model wanted. */
export function obsoleteIndexes({
	table,
	expected,
	live,
}: TableDiff): IndexDefinition[] {
	const names = new Set(expected.indexes.map(({ name }) => name));
	return live.indexes.filter(
		({ name, isOfConstraint, isBuilding }) =>
			!isOfConstraint &&
			!isBuilding &&
			!names.has(name) &&
			(name === keyIndexOf(table) || isOfModel(table, name)),
	);
}

function missing(
	{ table, schemaText }: TableDiff,
	index: IndexDefinition,
): Difference {
	return difference(table, `index ${quoted(index.name)} is missing`, {
		statements: [createConcurrently(index, schemaText)],
		phase: "online",
	});
}

/** The rest of a build that failed: IF NOT EXISTS would take it for the index. */
function invalid(
	{ table, schemaText }: TableDiff,
	index: IndexDefinition,
): Difference {
	return difference(
		table,
		`index ${quoted(index.name)} is invalid: its build failed or was interrupted`,
		{
			statements: [
				dropIndexText(schemaText.name(index.name)),
				createConcurrently(index, schemaText),
			],
			phase: "online",
		},
	);
}

/** Built beside the old one, then put in its place: the table is never without. */
function changed(
	{ table, key, schemaText }: TableDiff,
	index: IndexDefinition,
	now: IndexDefinition,
): Difference {
	const isKey = index.name === key;
	const next = boundedName(`${index.name}_next`);
	const is = isKey
		? "its key is unique over"
		: `index ${quoted(index.name)} is`;
	const risk = swapRisk(index, isKey);
	return difference(
		table,
		`${is} ${shown(now, schemaText)}, expected ${shown(index, schemaText)}`,
		{
			statements: [
				dropIndexText(schemaText.name(next)),
				createConcurrently(index, schemaText, next),
				`BEGIN;\nDROP INDEX IF EXISTS ${schemaText.name(index.name)};\nALTER INDEX ${schemaText.name(next)} RENAME TO ${quoted(index.name)};\nCOMMIT;`,
			],
			phase: "online",
			blocks: isKey,
			...(risk === undefined ? {} : { risk }),
		},
	);
}

function swapRisk(index: IndexDefinition, isKey: boolean): Risk | undefined {
	if (isKey)
		return {
			kind: "may-fail",
			reason:
				"it fails on rows that are equal by the new key; processes of the old model can no longer upsert",
		};
	if (isBuiltByIndexer(index.name))
		return {
			kind: "behaviour",
			reason: `the build of index ${quoted(index.name)} may take hours of processor time on a large table`,
		};
	return undefined;
}

function obsolete(
	{ table, key, schemaText }: TableDiff,
	index: IndexDefinition,
): Difference {
	const isKey = index.name === keyIndexOf(table);
	return difference(
		table,
		isKey
			? `its key is unique over ${shown(index, schemaText)}, and the model has ${key === undefined ? "none" : "another"}`
			: `index ${quoted(index.name)} is not in the model`,
		{
			statements: [dropIndexText(schemaText.name(index.name))],
			phase: "online",
			risk: {
				kind: "behaviour",
				reason: index.isUnique
					? `duplicates that index ${quoted(index.name)} refused are stored`
					: `queries that used index ${quoted(index.name)} become slow`,
			},
			blocks: isKey,
		},
	);
}

function keyIndexOf(table: string): string {
	return boundedName(`uq_${table}`);
}

/** What an index is of, in the fewest words: `btree (tenant_id, year)`. */
function shown(
	{ definition }: IndexDefinition,
	schemaText: SchemaText,
): string {
	return schemaText
		.bare(definition)
		.replace(/^CREATE (?:UNIQUE )?INDEX .*? USING (?:btree )?/, "");
}

function createConcurrently(
	{ name, definition }: IndexDefinition,
	schemaText: SchemaText,
	as = name,
): string {
	return `${schemaText
		.placed(definition)
		.replace(
			/^CREATE (UNIQUE )?INDEX \S+ /,
			(_, unique = "") =>
				`CREATE ${unique}INDEX CONCURRENTLY IF NOT EXISTS ${quoted(as)} `,
		)};`;
}
