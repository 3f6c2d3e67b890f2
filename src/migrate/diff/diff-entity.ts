import type { Catalogue, Relation } from "../../db/catalogue/relations.ts";
import { boundedName } from "../../models/names.ts";
import type { EntityTable } from "../../models/registry.ts";
import { embeddingsDdl } from "../../schema/entity-ddl.ts";
import {
	dropKvTriggerDdl,
	kvSourceName,
	kvTriggerDdl,
	kvTriggers,
} from "../../schema/kv-trigger.ts";
import { registerType } from "../../schema/register-type.ts";
import { statementTriggers } from "../../schema/statement-triggers.ts";
import { hasWords } from "../../schema/word-indexes.ts";
import {
	dropWordsDdl,
	refillWords,
	wordsDdl,
	wordsTriggers,
} from "../../schema/words.ts";
import { toText } from "../../sql.ts";
import { compareRelation, noDependents } from "./compare-relation.ts";
import { triggerProblem } from "./compare-triggers.ts";
import { type Difference, difference } from "./difference.ts";
import { quoted, SchemaText } from "./schema-text.ts";

export interface DiffSides {
	readonly expected: Catalogue;
	readonly live: Catalogue;
	/** Tables that have rows. */
	readonly withRows: ReadonlySet<string>;
}

/** All relations that an entity has or may have left behind. */
export function relationsOf(table: EntityTable): string[] {
	const { tableName, embeddingsTableName, wordsTableName } = table.entity;
	return [tableName, embeddingsTableName, wordsTableName, kvSourceName(table)];
}

/** An entity's tables, view, triggers and indexes against its model. */
export function diffEntity(table: EntityTable, sides: DiffSides): Difference[] {
	const { tableName } = table.entity;
	const live = sides.live.relations.get(tableName);
	if (live === undefined)
		return [difference(tableName, "table is missing", [entityText(table)])];
	return [
		...diffMainTable(table, live, sides),
		...diffEmbeddings(table, live, sides),
		...diffWords(table, sides),
	];
}

/** All that makes an entity, but for what is built after the load. */
export function entityText({
	entity,
	schema,
	language = "english",
}: EntityTable): string {
	const { backgroundIndexes: _, ...texts } = registerType(entity, {
		schema,
		language,
	}).sql;
	return Object.values(texts).join("");
}

function diffMainTable(
	table: EntityTable,
	live: Relation,
	sides: DiffSides,
): Difference[] {
	const { entity, schema } = table;
	const expected = expectedRelation(sides, entity.tableName);
	const schemaText = new SchemaText(schema);
	const triggersElsewhere = [
		...kvTriggers(entity.tableName),
		// Another version of the model may have vectors; they go with their table.
		...(entity.createEmbeddings
			? []
			: statementTriggers(entity.tableName, "embeddings")),
		...wordsTriggers(entity.tableName),
	].map(({ name }) => name);
	const kvText = entity.createKvTrigger
		? rebuildCacheText(table, schemaText)
		: "";
	const differences = compareRelation(
		expected,
		live,
		{
			hasRows: sides.withRows.has(entity.tableName),
			key:
				entity.keyFields === null
					? undefined
					: boundedName(`uq_${entity.tableName}`),
			dependents: {
				views: [kvSourceName(table)],
				text: kvText,
				triggers: new Set(triggersElsewhere),
			},
		},
		schemaText,
	);
	// The cache's triggers know columns that are new or of another type, and none that go.
	const at = differences.findIndex(({ risk }) => risk?.kind === "data-loss");
	const before = at < 0 ? differences : differences.slice(0, at);
	return [
		...before,
		...diffCache(table, expected, live, sides, kvText),
		...(at < 0 ? [] : differences.slice(at)),
	];
}

/** The cache's view and triggers: one text makes all of them. */
function diffCache(
	table: EntityTable,
	expected: Relation,
	live: Relation,
	sides: DiffSides,
	kvText: string,
): Difference[] {
	const { entity, schema } = table;
	const schemaText = new SchemaText(schema);
	const view = kvSourceName(table);
	const liveView = sides.live.relations.get(view);
	const liveTriggers = new Map(live.triggers.map((item) => [item.name, item]));
	const names = new Set(kvTriggers(entity.tableName).map(({ name }) => name));
	if (!entity.createKvTrigger) {
		const isLeft =
			liveView !== undefined ||
			[...liveTriggers.keys()].some((n) => names.has(n));
		return isLeft
			? [
					difference(
						entity.tableName,
						"is in the cache, and the model does not want it",
						[toText(dropKvTriggerDdl(table))],
					),
				]
			: [];
	}
	const problems = [
		...viewProblems(sides.expected.relations.get(view), liveView, schemaText),
		...expected.triggers
			.filter(({ name }) => names.has(name))
			.flatMap(
				(trigger) =>
					triggerProblem(trigger, liveTriggers.get(trigger.name), schemaText) ??
					[],
			),
	];
	if (problems.length === 0) return [];
	const drop =
		liveView === undefined
			? []
			: [`DROP VIEW IF EXISTS ${schemaText.name(view)};`];
	return [
		{
			...difference(entity.tableName, "", [...drop, kvText]),
			messages: [...new Set(problems)],
		},
	];
}

function viewProblems(
	expected: Relation | undefined,
	live: Relation | undefined,
	schemaText: SchemaText,
): string[] {
	if (expected === undefined) return [];
	const name = `view ${quoted(expected.name)}`;
	if (live === undefined) return [`${name} is missing`];
	const isSame =
		schemaText.isSame(live.definition, expected.definition) &&
		live.comment === expected.comment &&
		live.options.join() === expected.options.join();
	return isSame ? [] : [`${name} is another one`];
}

/** Rows that were written past the triggers are in the tables only: the cache is rebuilt. */
function rebuildCacheText(table: EntityTable, schemaText: SchemaText): string {
	return `DELETE FROM ${schemaText.name("kv_state")};\n${toText(kvTriggerDdl(table))}`;
}

function diffEmbeddings(
	table: EntityTable,
	main: Relation,
	sides: DiffSides,
): Difference[] {
	const { entity, schema } = table;
	const name = entity.embeddingsTableName;
	const live = sides.live.relations.get(name);
	const schemaText = new SchemaText(schema);
	if (!entity.createEmbeddings)
		return live === undefined ? [] : [dropEmbeddings(table, main, schemaText)];
	if (live === undefined)
		return [
			difference(name, "table is missing", [toText(embeddingsDdl(table))]),
		];
	return compareRelation(
		expectedRelation(sides, name),
		live,
		{
			hasRows: sides.withRows.has(name),
			key: undefined,
			dependents: noDependents,
		},
		schemaText,
	);
}

/** The table of words and its triggers: one text makes all of them. */
function diffWords(table: EntityTable, sides: DiffSides): Difference[] {
	const { entity, schema } = table;
	const { tableName, wordsTableName } = entity;
	const schemaText = new SchemaText(schema);
	const live = sides.live.relations.get(wordsTableName);
	if (!hasWords(entity))
		return live === undefined || entity.createEmbeddings
			? []
			: [
					difference(
						wordsTableName,
						"is a table of words, and the model has no texts to search",
						[toText(dropWordsDdl(table))],
						{
							risk: {
								kind: "behaviour",
								reason: "another version of the model may search by words",
							},
						},
					),
				];
	const text = toText(wordsDdl(table));
	if (live === undefined)
		return [difference(wordsTableName, "table is missing", [text])];
	const liveTriggers = new Map(
		sides.live.relations
			.get(tableName)
			?.triggers.map((item) => [item.name, item]),
	);
	const names = new Set(wordsTriggers(tableName).map(({ name }) => name));
	const problems = expectedRelation(sides, tableName)
		.triggers.filter(({ name }) => names.has(name))
		.flatMap(
			(trigger) =>
				triggerProblem(trigger, liveTriggers.get(trigger.name), schemaText) ??
				[],
		);
	return [
		...(problems.length === 0
			? []
			: [
					{
						// Rows that were written past the triggers have no words.
						...difference(tableName, "", [text, toText(refillWords(table))]),
						messages: [...new Set(problems)],
					},
				]),
		...compareRelation(
			expectedRelation(sides, wordsTableName),
			live,
			{
				hasRows: sides.withRows.has(wordsTableName),
				key: undefined,
				dependents: noDependents,
			},
			schemaText,
		),
	];
}

function dropEmbeddings(
	table: EntityTable,
	main: Relation,
	schemaText: SchemaText,
): Difference {
	const { tableName, embeddingsTableName } = table.entity;
	const own = main.triggers.filter(({ functionName }) =>
		functionName.startsWith(`fn_${tableName}_embedding`),
	);
	return difference(
		embeddingsTableName,
		"is a table of vectors, and the model wants none",
		[
			...own.map(
				({ name }) =>
					`DROP TRIGGER IF EXISTS ${quoted(name)} ON ${schemaText.name(tableName)};`,
			),
			...[...new Set(own.map(({ functionName }) => functionName))].map(
				(fn) => `DROP FUNCTION IF EXISTS ${schemaText.name(fn)}();`,
			),
			`DROP TABLE IF EXISTS ${schemaText.name(embeddingsTableName)};`,
		],
		{ risk: { kind: "data-loss", reason: "the vectors are lost" } },
	);
}

function expectedRelation({ expected }: DiffSides, name: string): Relation {
	const relation = expected.relations.get(name);
	if (relation === undefined)
		throw new Error(`the models made no relation "${name}"`);
	return relation;
}
