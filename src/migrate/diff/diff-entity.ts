import type { Catalogue, Relation } from "../../db/catalogue/relations.ts";
import type { Entity } from "../../models/entity.ts";
import { boundedName } from "../../models/names.ts";
import type { EntityTable } from "../../models/registry.ts";
import { embeddingsDdl, tableDdl } from "../../schema/entity-ddl.ts";
import { indexesDdl } from "../../schema/indexes.ts";
import {
	dropKvTriggerDdl,
	kvSourceName,
	kvTriggerDdl,
	kvTriggers,
	markType,
} from "../../schema/kv-trigger.ts";
import type { EntityDdlOptions } from "../../schema/ownership.ts";
import { statementTriggers } from "../../schema/statement-triggers.ts";
import { hasWords } from "../../schema/word-indexes.ts";
import {
	dropWordsDdl,
	refillWords,
	wordsDdl,
	wordsFunctionName,
	wordsTriggers,
} from "../../schema/words.ts";
import { sql, toText } from "../../sql.ts";
import { compareRelation } from "./compare-relation.ts";
import { triggerProblem } from "./compare-triggers.ts";
import {
	type Difference,
	difference,
	type TableDiff,
	tableDiff,
} from "./difference.ts";
import { quoted, SchemaText } from "./schema-text.ts";

export interface DiffSides {
	readonly expected: Catalogue;
	readonly live: Catalogue;
	/** Tables that have rows. */
	readonly withRows: ReadonlySet<string>;
}

/** An entity's tables, view, triggers and indexes against its model. */
export function diffEntity(table: EntityTable, sides: DiffSides): Difference[] {
	const { tableName } = table.entity;
	const live = sides.live.relations.get(tableName);
	if (live === undefined)
		return [
			difference(tableName, "table is missing", {
				statements: [entityText(table)],
			}),
		];
	return [
		...diffMainTable(table, live, sides),
		...diffEmbeddings(table, live, sides),
		...diffWords(table, sides),
	];
}

/** All that makes an entity, but for what is built after the load. */
export function entityText(table: EntityTable): string {
	const { schema, entity, language } = table;
	const known = texts.get(entity);
	if (known?.schema === schema && known.language === language)
		return known.text;
	const text = makeText(table);
	texts.set(entity, { schema, language, text });
	return text;
}

/** The last text of each model: a migration compares it several times. */
const texts = new WeakMap<Entity, EntityTextOf>();

interface EntityTextOf {
	readonly schema: string;
	readonly language: string | undefined;
	readonly text: string;
}

/** The same where nothing of the entity is there. */
export function newEntityText(table: EntityTable): string {
	return makeText(table, { isNew: true });
}

/** Indexes come before triggers: for each, PostgreSQL reads again what the table has by then. */
function makeText(table: EntityTable, options?: EntityDdlOptions): string {
	return toText(
		sql`${tableDdl(table)}${indexesDdl(table)}${embeddingsDdl(table, options)}${kvTriggerDdl(table, options)}`,
	);
}

function diffMainTable(
	table: EntityTable,
	live: Relation,
	sides: DiffSides,
): Difference[] {
	const { entity, schema } = table;
	const { tableName, createKvTrigger, createEmbeddings, keyFields } = entity;
	const triggersElsewhere = [
		...kvTriggers(tableName),
		// Another version of the model may have vectors; they go with their table.
		...(createEmbeddings ? [] : statementTriggers(tableName, "embeddings")),
		...wordsTriggers(tableName),
	].map(({ name }) => name);
	const schemaText = new SchemaText(schema);
	const diff = tableDiff({
		expected: expectedRelation(sides, tableName),
		live,
		hasRows: sides.withRows.has(tableName),
		key: keyFields === null ? undefined : boundedName(`uq_${tableName}`),
		dependents: {
			views: [kvSourceName(table)],
			text: createKvTrigger ? rebuildCacheText(table, schemaText) : "",
			triggers: new Set(triggersElsewhere),
		},
		schemaText,
	});
	const differences = compareRelation(diff);
	// The cache's triggers know columns that are new or of another type, and none that go.
	const at = differences.findIndex(({ risk }) => risk?.kind === "data-loss");
	const before = at < 0 ? differences : differences.slice(0, at);
	return [
		...before,
		...diffCache(table, diff, sides),
		...(at < 0 ? [] : differences.slice(at)),
	];
}

/** The cache's view and triggers: one text makes all of them. */
function diffCache(
	table: EntityTable,
	{ expected, live, dependents, schemaText }: TableDiff,
	sides: DiffSides,
): Difference[] {
	const { tableName, createKvTrigger } = table.entity;
	const view = kvSourceName(table);
	const liveView = sides.live.relations.get(view);
	const liveTriggers = new Map(live.triggers.map((item) => [item.name, item]));
	const names = new Set(kvTriggers(tableName).map(({ name }) => name));
	if (!createKvTrigger) {
		const isLeft =
			liveView !== undefined ||
			[...liveTriggers.keys()].some((n) => names.has(n));
		return isLeft
			? [
					difference(tableName, "is in the cache, and the model excludes it", {
						statements: [toText(dropKvTriggerDdl(table))],
					}),
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
		difference(tableName, "", {
			messages: [...new Set(problems)],
			statements: [...drop, dependents.text],
		}),
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
	return isSame ? [] : [`${name} differs`];
}

/** Rows that were written past the triggers are in the tables only: the cache is rebuilt. */
function rebuildCacheText(table: EntityTable, schemaText: SchemaText): string {
	return `DELETE FROM ${schemaText.name("kv_state")};
DELETE FROM ${schemaText.name("kv_store")} WHERE entity_type = '${markType}';
${toText(kvTriggerDdl(table))}`;
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
			difference(name, "table is missing", {
				statements: [toText(embeddingsDdl(table))],
			}),
		];
	return compareRelation(
		tableDiff({
			expected: expectedRelation(sides, name),
			live,
			hasRows: sides.withRows.has(name),
			schemaText,
		}),
	);
}

/** The table of words and its triggers: one text makes all of them. */
function diffWords(table: EntityTable, sides: DiffSides): Difference[] {
	const { entity, schema } = table;
	const { tableName, wordsTableName } = entity;
	const schemaText = new SchemaText(schema);
	const live = sides.live.relations.get(wordsTableName);
	if (!hasWords(entity))
		return live === undefined
			? []
			: [
					difference(
						wordsTableName,
						"is a table of words, and the model has no texts to search",
						{
							statements: [toText(dropWordsDdl(table))],
							risk: {
								kind: "behaviour",
								reason: "another version of the model may search by words",
							},
						},
					),
				];
	const text = toText(wordsDdl(table));
	if (live === undefined)
		return [
			difference(wordsTableName, "table is missing", { statements: [text] }),
		];
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
						...difference(tableName, "", {
							statements: [text, toText(refillWords(table))],
						}),
						messages: [...new Set(problems)],
					},
				]),
		...compareRelation(
			tableDiff({
				expected: expectedRelation(sides, wordsTableName),
				live,
				hasRows: sides.withRows.has(wordsTableName),
				schemaText,
			}),
		),
	];
}

function dropEmbeddings(
	table: EntityTable,
	main: Relation,
	schemaText: SchemaText,
): Difference {
	const { embeddingsTableName } = table.entity;
	return difference(
		embeddingsTableName,
		"is a table of vectors, and the model has none",
		{
			statements: [
				...dropEmbeddingTriggers(main, schemaText),
				`DROP TABLE IF EXISTS ${schemaText.name(embeddingsTableName)};`,
			],
			risk: { kind: "data-loss", reason: "the vectors are lost" },
		},
	);
}

/** The triggers that queue the texts of the table, and their functions, which name the table. */
function dropEmbeddingTriggers(
	live: Relation,
	schemaText: SchemaText,
): string[] {
	return dropTriggers(live, schemaText, ({ functionName }) =>
		functionName.startsWith(`fn_${live.name}_embedding`),
	);
}

/** The same, and those that store the words. */
export function dropTextTriggers(
	live: Relation,
	schemaText: SchemaText,
): string[] {
	return dropTriggers(
		live,
		schemaText,
		({ functionName }) =>
			functionName.startsWith(`fn_${live.name}_embedding`) ||
			functionName === wordsFunctionName(live.name),
	);
}

function dropTriggers(
	{ name, triggers }: Relation,
	schemaText: SchemaText,
	isDropped: (trigger: Relation["triggers"][number]) => boolean,
): string[] {
	const own = triggers.filter(isDropped);
	const functions = new Set(own.map(({ functionName }) => functionName));
	return [
		...own.map(
			(trigger) =>
				`DROP TRIGGER IF EXISTS ${quoted(trigger.name)} ON ${schemaText.name(name)};`,
		),
		...[...functions].map(
			(fn) => `DROP FUNCTION IF EXISTS ${schemaText.name(fn)}();`,
		),
	];
}

function expectedRelation({ expected }: DiffSides, name: string): Relation {
	const relation = expected.relations.get(name);
	if (relation === undefined)
		throw new Error(`the models made no relation "${name}"`);
	return relation;
}
