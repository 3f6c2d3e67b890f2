import { dropIndexText } from "../../db/catalogue/indexes.ts";
import type {
	IndexDefinition,
	Relation,
} from "../../db/catalogue/relations.ts";
import { boundedName } from "../../models/names.ts";
import { isBuiltByIndexer, isOfModel } from "../../schema/index-types.ts";
import { type Difference, difference } from "./difference.ts";
import { quoted, type SchemaText } from "./schema-text.ts";

export interface IndexRoles {
	/** The arbiter of upserts; without it, or with another one, nothing can be written. */
	readonly key: string | undefined;
}

/** Indexes of the table against those it should have. Those of other programs are ignored. */
export function compareIndexes(
	expected: Relation,
	live: Relation,
	roles: IndexRoles,
	schemaText: SchemaText,
): Difference[] {
	const table = expected.name;
	const found = new Map(live.indexes.map((index) => [index.name, index]));
	return [
		...expected.indexes
			.filter(({ isOfConstraint }) => !isOfConstraint)
			.flatMap((index) => {
				const now = found.get(index.name);
				if (now === undefined)
					return isBuiltByIndexer(index.name)
						? []
						: missing(table, index, schemaText);
				if (now.isBuilding) return [];
				if (!now.isValid) return invalid(table, index, schemaText);
				return schemaText.isSame(now.definition, index.definition)
					? []
					: other(table, index, now, roles, schemaText);
			}),
		...obsoleteIndexes(expected, live).map((index) =>
			obsolete(table, index, roles, schemaText),
		),
	];
}

/** Indexes of ours that an earlier model wanted. */
export function obsoleteIndexes(
	expected: Relation,
	live: Relation,
): IndexDefinition[] {
	const names = new Set(expected.indexes.map(({ name }) => name));
	return live.indexes.filter(
		({ name, isOfConstraint, isBuilding }) =>
			!isOfConstraint &&
			!isBuilding &&
			!names.has(name) &&
			(name === keyIndexOf(expected.name) || isOfModel(expected.name, name)),
	);
}

function missing(
	table: string,
	index: IndexDefinition,
	schemaText: SchemaText,
): Difference {
	return difference(
		table,
		`index ${quoted(index.name)} is missing`,
		[createConcurrently(index, schemaText)],
		{ phase: "online" },
	);
}

/** The rest of a build that failed: IF NOT EXISTS would take it for the index. */
function invalid(
	table: string,
	index: IndexDefinition,
	schemaText: SchemaText,
): Difference {
	return difference(
		table,
		`index ${quoted(index.name)} is invalid: its build failed or was interrupted`,
		[
			dropIndexText(schemaText.name(index.name)),
			createConcurrently(index, schemaText),
		],
		{ phase: "online" },
	);
}

/** Built beside the old one, then put in its place: the table is never without. */
function other(
	table: string,
	index: IndexDefinition,
	now: IndexDefinition,
	roles: IndexRoles,
	schemaText: SchemaText,
): Difference {
	const isKey = index.name === roles.key;
	const next = boundedName(`${index.name}_next`);
	return difference(
		table,
		isKey
			? `its key is unique over ${shown(now, schemaText)}, expected ${shown(index, schemaText)}`
			: `index ${quoted(index.name)} is ${shown(now, schemaText)}, expected ${shown(index, schemaText)}`,
		[
			dropIndexText(schemaText.name(next)),
			createConcurrently(index, schemaText, next),
			`BEGIN;\nDROP INDEX IF EXISTS ${schemaText.name(index.name)};\nALTER INDEX ${schemaText.name(next)} RENAME TO ${quoted(index.name)};\nCOMMIT;`,
		],
		{ phase: "online", blocks: isKey, ...swapRisk(index, isKey) },
	);
}

function swapRisk(
	index: IndexDefinition,
	isKey: boolean,
): Pick<Difference, "risk"> {
	if (isKey)
		return {
			risk: {
				kind: "may-fail",
				reason:
					"rows that are one by the new key stand in the way; processes of the old model cannot upsert any more",
			},
		};
	if (isBuiltByIndexer(index.name))
		return {
			risk: {
				kind: "behaviour",
				reason: `the build of index ${quoted(index.name)} may take hours of processor time on a large table`,
			},
		};
	return {};
}

function obsolete(
	table: string,
	index: IndexDefinition,
	roles: IndexRoles,
	schemaText: SchemaText,
): Difference {
	const isKey = index.name === keyIndexOf(table);
	return difference(
		table,
		isKey
			? `its key is unique over ${shown(index, schemaText)}, and the model has ${roles.key === undefined ? "none" : "another"}`
			: `index ${quoted(index.name)} is not in the model`,
		[dropIndexText(schemaText.name(index.name))],
		{
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
