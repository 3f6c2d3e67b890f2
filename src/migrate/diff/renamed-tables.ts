import {
	type Catalogue,
	type Relation,
	readCatalogue,
	readRelationHeads,
} from "../../db/catalogue/relations.ts";
import type { Handle } from "../../db/database.ts";
import { systemFields } from "../../models/entity.ts";
import { embeddingsTableName, wordsTableName } from "../../models/names.ts";
import type { EntityTable } from "../../models/registry.ts";
import { entityMark } from "../../schema/entity-ddl.ts";
import { dropKvTriggerDdl } from "../../schema/kv-trigger.ts";
import { hasWords } from "../../schema/word-indexes.ts";
import { ident, join, literal, sql, toText } from "../../sql.ts";
import { editDistance } from "../../util/suggest.ts";
import { dropTextTriggers } from "./diff-entity.ts";
import { type Difference, difference, type TableDiff } from "./difference.ts";
import { quoted, SchemaText } from "./schema-text.ts";

/** Tables with rows that no model has. */
interface DepartedTables {
	readonly names: readonly string[];
	/** Of these and their tables of vectors. */
	readonly catalogue: Catalogue;
}

/** A table that is missing, and the one that may be its former self. */
export interface PossibleRename {
	readonly table: EntityTable;
	readonly from: string;
}

/** Reads the tables of entities that are in none of the models and have rows. */
export async function readDeparted(
	tx: Handle,
	schema: string,
	tables: readonly EntityTable[],
): Promise<DepartedTables | undefined> {
	const known = tables.map(({ entity }) => entity.tableName);
	const relations = await readRelationHeads(tx, schema, {
		commentPrefix: entityMark,
	});
	const names = await haveRows(
		tx,
		schema,
		relations
			.filter(
				({ name, kind, comment }) =>
					kind === "r" && comment === entityMark && !known.includes(name),
			)
			.map(({ name }) => name),
	);
	if (names.length === 0) return undefined;
	const withParts = [
		...names,
		...names.map(embeddingsTableName),
		...names.map(wordsTableName),
	];
	return {
		names,
		catalogue: await readCatalogue(tx, schema, {
			relations: withParts,
			functions: [],
		}),
	};
}

/** Those of the tables that have rows. */
export async function haveRows(
	tx: Handle,
	schema: string,
	tables: readonly string[],
): Promise<string[]> {
	if (tables.length === 0) return [];
	const checks = tables.map(
		(name) =>
			sql`SELECT ${name}::text AS name WHERE EXISTS (SELECT FROM ${ident(schema, name)})`,
	);
	const { rows } = await tx.query<{ name: string }>(
		join(checks, " UNION ALL "),
	);
	return rows.map(({ name }) => name);
}

/**
 * For each table that is missing, one that has its columns and is in no model:
 * that may be the same table under its former name, or another application's.
 */
export function possibleRenames(
	missing: readonly EntityTable[],
	expected: Catalogue,
	{ names, catalogue }: DepartedTables,
): PossibleRename[] {
	const pairs = missing
		.flatMap((table) =>
			names.map((from) => ({ table, from, ...likeness(table, from) })),
		)
		.filter(({ share }) => share >= minShare)
		.sort((a, b) => b.share - a.share || a.distance - b.distance);
	const found: PossibleRename[] = [];
	for (const { table, from } of pairs)
		if (!found.some((one) => one.table === table || one.from === from))
			found.push({ table, from });
	return found;

	function likeness({ entity }: EntityTable, name: string) {
		const columns = ownColumns(expected.relations.get(entity.tableName));
		const earlier = ownColumns(catalogue.relations.get(name));
		const same = columns.filter((column) => earlier.includes(column));
		return {
			share: same.length / Math.max(columns.length, earlier.length, 1),
			distance: editDistance(entity.tableName, name),
		};
	}
}

/** The part of the columns that a renamed table has in common with its former self, at least. */
const minShare = 0.75;

/** Names and types of the columns that the model itself defines. */
function ownColumns(relation: Relation | undefined): string[] {
	const ofAll = new Set<string>(systemFields.map(({ column }) => column));
	return (relation?.columns ?? [])
		.filter(({ name }) => !ofAll.has(name))
		.map(({ name, type }) => `${name} ${type}`);
}

/** A notice: whatever the answer is, the missing table can be made. */
export function renameDifference(
	{ table, from }: PossibleRename,
	expected: Catalogue,
	live: Catalogue,
): Difference {
	const to = table.entity.tableName;
	return difference(
		to,
		`table is missing, and ${quoted(from)}, which has its columns, is in no model here: renamed?`,
		{
			statements: renameStatements({ table, from }, expected, live),
			risk: {
				kind: "rename",
				reason: `only if ${quoted(from)} is the former name of ${quoted(to)}; if it is another table, or another application's, leave it as it is`,
			},
		},
	);
}

/** The warning once the table is made, and both tables exist. */
export function renameWarning({
	table: { entity, schema },
	from,
}: PossibleRename): string {
	const { tableName, embeddingsTableName, createEmbeddings } = entity;
	const schemaText = new SchemaText(schema);
	const made = [
		tableName,
		...(createEmbeddings ? [embeddingsTableName] : []),
		...(hasWords(entity) ? [entity.wordsTableName] : []),
	];
	const names = made.map((name) => schemaText.name(name)).join(", ");
	return `table ${quoted(tableName)} is new, and ${quoted(from)}, which has its columns, is in no model here; if it was renamed, drop the new one while it is empty (DROP TABLE ${names} CASCADE;) and run the statements of \`rem schema diff\``;
}

/** The table, its vectors, its entries in our own tables, and what is named after it. The model's text creates the rest. */
function renameStatements(
	{ table, from }: PossibleRename,
	expected: Catalogue,
	live: Catalogue,
): string[] {
	const schemaText = new SchemaText(table.schema);
	const {
		tableName: to,
		embeddingsTableName: vectors,
		wordsTableName: words,
	} = table.entity;
	const before: EntityTable = {
		...table,
		entity: { ...table.entity, tableName: from },
	};
	const relations: readonly (readonly [string, string])[] = [
		[embeddingsTableName(from), vectors],
		[wordsTableName(from), words],
		[from, to],
	];
	const formerTable = live.relations.get(from);
	return [
		toText(dropKvTriggerDdl(before)).trimEnd(),
		...(formerTable === undefined
			? []
			: dropTextTriggers(formerTable, schemaText)),
		...relations.flatMap(([old, name]) => {
			const former = live.relations.get(old);
			const goal = expected.relations.get(name);
			if (former === undefined) return [];
			return [
				`ALTER TABLE ${schemaText.name(old)} RENAME TO ${quoted(name)};`,
				...(goal === undefined
					? []
					: renameParts({ expected: goal, live: former, schemaText }, from)),
			];
		}),
		...ownTables.map((name) => renameEntries(schemaText.name(name), from, to)),
		`DELETE FROM ${schemaText.name("rem_index_builds")} WHERE table_name IN (${relations
			.flat()
			.map((name) => toText(literal(name)))
			.join(", ")});`,
		`DELETE FROM ${schemaText.name("rem_migrations")} WHERE name = ${toText(literal(`entity:${to}`))};`,
		`UPDATE ${schemaText.name("rem_migrations")} SET name = ${toText(literal(`entity:${to}`))} WHERE name = ${toText(literal(`entity:${from}`))};`,
	];
}

/** Those of our own tables that name the entity's. */
const ownTables = [
	"rem_embedding_models",
	"rem_embedding_fields",
	"rem_embedding_versions",
	"rem_embedding_queue",
	"rem_word_sources",
];

/** What an earlier table of the new name left behind would be in the way. */
function renameEntries(table: string, from: string, to: string): string {
	return `DELETE FROM ${table} WHERE entity_type = ${toText(literal(to))};
UPDATE ${table} SET entity_type = ${toText(literal(to))} WHERE entity_type = ${toText(literal(from))};`;
}

/** Constraints and indexes that are the expected ones but for their names. */
function renameParts(
	{
		expected,
		live,
		schemaText,
	}: Pick<TableDiff, "expected" | "live" | "schemaText">,
	from: string,
): string[] {
	const alike = (text: string) =>
		schemaText
			.bare(text)
			.replace(/^(CREATE (?:UNIQUE )?INDEX )\S+( ON )\S+/, "$1$2")
			.replace(/ REFERENCES [^(]+\(/, " REFERENCES (");
	const renames = <T extends { name: string; definition: string }>(
		kind: string,
		goal: readonly T[],
		now: readonly T[],
	) =>
		goal.flatMap(({ name, definition }) => {
			const found = now.find(
				(item) =>
					item.name.includes(from.slice(0, minNamePart)) &&
					alike(item.definition) === alike(definition),
			);
			return found === undefined || found.name === name
				? []
				: [renamePart(kind, found.name, name)];
		});
	const renamePart = (kind: string, old: string, name: string) =>
		kind === "INDEX"
			? `ALTER INDEX ${schemaText.name(old)} RENAME TO ${quoted(name)};`
			: `ALTER TABLE ${schemaText.name(expected.name)} RENAME CONSTRAINT ${quoted(old)} TO ${quoted(name)};`;
	const own = <T extends { isOfConstraint: boolean }>(indexes: readonly T[]) =>
		indexes.filter(({ isOfConstraint }) => !isOfConstraint);
	return [
		...renames("CONSTRAINT", expected.constraints, live.constraints),
		...renames("INDEX", own(expected.indexes), own(live.indexes)),
	];
}

/** Long names are cut, with a hash at their end. */
const minNamePart = 20;
