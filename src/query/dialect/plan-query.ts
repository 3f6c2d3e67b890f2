import { RemError } from "../../errors.ts";
import { SqlFilter, sqlOrder } from "../../filters/sql-text/sql-filter.ts";
import type { Entity } from "../../models/entity.ts";
import type { Field } from "../../models/field.ts";
import { limits } from "../../models/limits.ts";
import {
	type EntityTable,
	embedFieldOf,
	type Registry,
} from "../../models/registry.ts";
import type { SqlGrammar } from "../../sql-grammar.ts";
import { quoted, suggest } from "../../util/suggest.ts";
import type { QueryPlan } from "./query-plan.ts";
import type { KnownNames, Part, RemQuery, SqlPart } from "./rem-query.ts";

/** Whether the query contains SQL, which takes the grammar. */
export function needsGrammar(query: RemQuery): boolean {
	return (
		(query.kind === "search" && query.where !== undefined) ||
		(query.kind === "sql" &&
			(query.where !== undefined || query.orderBy !== undefined))
	);
}

/**
 * What the query does, without doing it: names are looked up among the models,
 * numbers checked against their ranges, SQL compiled. `grammar` is what
 * {@link needsGrammar} asks for.
 */
export function planQuery(
	query: RemQuery,
	registry: Registry,
	grammar: SqlGrammar | undefined,
): QueryPlan {
	switch (query.kind) {
		case "lookup":
			return {
				kind: "lookup",
				entityKeys: query.keys,
				...entityType(query.table, registry),
			};
		case "fuzzy":
			return planFuzzy(query, registry);
		case "search":
			return planSearch(query, registry, grammar);
		case "recall":
			return planRecall(query, registry);
		case "traverse":
			return planTraverse(query);
		case "sql":
			return planSql(query, registry, grammar);
	}
}

type Fuzzy = Extract<RemQuery, { kind: "fuzzy" }>;
type Search = Extract<RemQuery, { kind: "search" }>;
type Recall = Extract<RemQuery, { kind: "recall" }>;
type Traverse = Extract<RemQuery, { kind: "traverse" }>;
type SqlRead = Extract<RemQuery, { kind: "sql" }>;

function planFuzzy(query: Fuzzy, registry: Registry): QueryPlan {
	const threshold = inRange(query.threshold, "THRESHOLD", [0, 1]);
	return {
		kind: "fuzzy",
		query: query.text,
		...entityType(query.table, registry),
		...(threshold === undefined ? {} : { threshold }),
		limit: limitOf(query.limit, 10),
	};
}

function planSearch(
	query: Search,
	registry: Registry,
	grammar: SqlGrammar | undefined,
): QueryPlan {
	const min = inRange(query.min, "MIN", [-1, 1]);
	return {
		kind: "search",
		...(query.table === undefined
			? inEveryTable(query, registry, grammar)
			: inTable(query, tableOf(query.table, registry), grammar)),
		queryText: query.text,
		...(min === undefined ? {} : { minSimilarity: min }),
		limit: limitOf(query.limit, 10),
	};
}

function inTable(
	{ field, where }: Search,
	table: EntityTable,
	grammar: SqlGrammar | undefined,
) {
	return {
		tableName: table.entity.tableName,
		...(field === undefined
			? {}
			: { fieldName: fieldNamed(field, table.entity).name }),
		...whereOf(where, table, grammar),
	};
}

/** Field and condition as the first table has them that can: each table is searched with its own. */
function inEveryTable(
	query: Search,
	registry: Registry,
	grammar: SqlGrammar | undefined,
) {
	const tables = registry
		.all()
		.filter(({ entity }) => entity.embedFields.length > 0);
	if (query.field !== undefined) checkSomeField(query.field, tables);
	let problem: unknown;
	for (const table of tables)
		try {
			const { tableName: _, ...rest } = inTable(query, table, grammar);
			return rest;
		} catch (error) {
			if (!isUnknownField(error)) throw error;
			problem ??= error;
		}
	if (problem !== undefined) throw problem;
	return {};
}

/** Throws unless a table has the embedded field; the hint is the nearest of all tables. */
function checkSomeField(part: Part, tables: readonly EntityTable[]): void {
	const fields = tables.flatMap(({ entity }) => [
		...entity.fieldsByName.values(),
	]);
	const isKnown = fields.some(
		({ name, column }) => name === part.value || column === part.value,
	);
	if (isKnown) return;
	const names = tables.flatMap(({ entity }) =>
		entity.embedFields.map(({ name }) => name),
	);
	throw unknown(part, {
		code: "UNKNOWN_FIELD",
		message: `no table has an embedded field ${quoted(part.value)}`,
		names: [...new Set(names)],
	});
}

function isUnknownField(error: unknown): boolean {
	return error instanceof RemError && error.code === "UNKNOWN_FIELD";
}

function planRecall(query: Recall, registry: Registry): QueryPlan {
	const tables = query.tables?.map(
		(part) => tableOf(part, registry).entity.tableName,
	);
	const { recallItems, recallTokens } = limits;
	const limit = inRange(query.limit, "LIMIT", [1, recallItems]);
	const maxTokens = inRange(query.maxTokens, "MAX TOKENS", [1, recallTokens]);
	return {
		kind: "recall",
		query: query.text,
		...(tables === undefined ? {} : { tables }),
		...(limit === undefined && maxTokens !== undefined
			? { maxTokens }
			: { limit: limit ?? 10, maxTokens: maxTokens ?? 4000 }),
	};
}

function planTraverse(query: Traverse): QueryPlan {
	const types = query.types.filter((type) => type !== "*");
	return {
		kind: "traverse",
		from: query.from,
		...(types.length === 0 ? {} : { edgeTypes: types }),
		depth: inRange(query.depth, "DEPTH", [0, limits.traverseDepth]) ?? 1,
		direction: query.direction ?? "out",
		...(query.orderBy === undefined ? {} : { orderBy: query.orderBy.value }),
		limit: limitOf(query.limit, 50),
	};
}

function planSql(
	query: SqlRead,
	registry: Registry,
	grammar: SqlGrammar | undefined,
): QueryPlan {
	const table = tableOf(query.table, registry);
	return {
		kind: "sql",
		tableName: table.entity.tableName,
		...whereOf(query.where, table, grammar),
		...(query.orderBy === undefined
			? {}
			: {
					orderBy: sqlOrder(
						given(grammar),
						{ table, text: query.orderBy },
						"r",
					),
				}),
		limit: limitOf(query.limit, 100),
		offset: query.offset?.value ?? 0,
	};
}

function whereOf(
	part: SqlPart | undefined,
	table: EntityTable,
	grammar: SqlGrammar | undefined,
): { where?: SqlFilter } {
	if (part === undefined) return {};
	return { where: new SqlFilter(given(grammar), table, part) };
}

function given(grammar: SqlGrammar | undefined): SqlGrammar {
	if (grammar !== undefined) return grammar;
	throw new TypeError("the query has SQL, which takes the grammar to read");
}

function entityType(part: Part | undefined, registry: Registry) {
	return part === undefined
		? {}
		: { entityType: tableOf(part, registry).entity.tableName };
}

/** The table, in any case: "Documents" is `documents`. */
function tableOf(part: Part, registry: Registry): EntityTable {
	const named = (name: string) =>
		registry.all().find(({ entity }) => entity.tableName === name);
	const found = named(part.value) ?? named(part.value.toLowerCase());
	if (found !== undefined) return found;
	throw unknown(part, {
		code: "UNKNOWN_ENTITY",
		message: `unknown entity ${quoted(part.value)}`,
		names: registry.all().map(({ entity }) => entity.tableName),
	});
}

/** The embedded field, by the name of the field or of its column. */
function fieldNamed(part: Part, entity: Entity): Field {
	const fields = [...entity.fieldsByName.values()];
	const found = fields.find(
		({ name, column }) => name === part.value || column === part.value,
	);
	if (found !== undefined) return embedFieldOf(entity, found.name);
	throw unknown(part, {
		code: "UNKNOWN_FIELD",
		message: `unknown field ${quoted(part.value)} of "${entity.tableName}"`,
		names: entity.embedFields.map(({ name }) => name),
	});
}

interface UnknownName {
	readonly code: "UNKNOWN_ENTITY" | "UNKNOWN_FIELD";
	readonly message: string;
	/** The names that exist. */
	readonly names: readonly string[];
}

function unknown(
	{ index, value }: Part,
	{ code, message, names }: UnknownName,
): RemError {
	const position = index + 1;
	const hint = suggest(value, names);
	return new RemError(code, `${message}, at character ${position}`, {
		position,
		...(hint === undefined ? {} : { hint }),
	});
}

function limitOf(part: Part<number> | undefined, usual: number): number {
	return inRange(part, "LIMIT", [1, limits.resultRows]) ?? usual;
}

function inRange(
	part: Part<number> | undefined,
	keyword: string,
	[min, max]: readonly [min: number, max: number],
): number | undefined {
	if (part === undefined || (part.value >= min && part.value <= max))
		return part?.value;
	const position = part.index + 1;
	throw new RemError(
		"INPUT_LIMIT",
		`${keyword} is ${part.value}, expected ${min} to ${max}, at character ${position}`,
		{ position },
	);
}

/** The tables and fields of the models, as the parser asks for them. */
export function namesOf(registry: Registry): KnownNames {
	const entities = registry.all().map(({ entity }) => entity);
	const tables = new Set(entities.map(({ tableName }) => tableName));
	const fields = new Set(
		entities.flatMap(({ fieldsByName }) =>
			[...fieldsByName.values()].flatMap(({ name, column }) => [name, column]),
		),
	);
	return {
		isTable: (name) => tables.has(name.toLowerCase()),
		isField: (name) => fields.has(name),
	};
}
