import type { ServiceCore } from "../core/service-core.ts";
import { sideBySide } from "../core/side-by-side.ts";
import type { Handle } from "../db/database.ts";
import type { TableModel } from "../embed-sync/models.ts";
import { isProviderError, RemError } from "../errors.ts";
import type { Entity } from "../models/entity.ts";
import type { EntityTable } from "../models/registry.ts";
import type { Row } from "../models/types.ts";
import type { VectorSpace } from "../models/vector.ts";
import { isSameSpace } from "../models/vector.ts";
import type { SearchExplanation } from "../query/explain.ts";
import type { FoundInTable } from "../query/merge-tables.ts";
import type { NearestSearch, SearchContext } from "../query/search-context.ts";
import { type SearchedBy, searchedTables } from "../query/searched-tables.ts";
import { elementAt } from "../util/present.ts";
import { suggest } from "../util/suggest.ts";
import { type Models, readHandle } from "./call-options.ts";
import {
	type ExplainedHits,
	findNear,
	findTexts,
	type QueryVector,
	queryVector,
	type ResolvedSearch,
	resolveSearch,
	type SearchCall,
	type SearchedText,
} from "./search.ts";

// vectorSearch and hybridSearch without a table, and the search in recall.

/** A row of any of the tables: `entityType` names it. */
export type RowOfAny<M extends Models> = RowWithTable<M[number]>;

type RowWithTable<E> =
	E extends Entity<infer T> ? Row<E> & { readonly entityType: T } : never;

/** How each table was searched, by its name. */
export type TableExplanations = Readonly<Record<string, SearchExplanation>>;

/** @internal A search in several tables. */
export type TablesCall = Omit<SearchCall, "tableName"> & {
	/** @default every table with embedded fields */
	readonly tables?: readonly EntityTable[];
};

/** @internal What is searched for in each table, and how. */
export interface TablesSearch<Hit> {
	readonly text: SearchedText;
	/** With the query's vector; with none, tables without vectors of it; or either, as a table has them. */
	readonly find: Partial<FindHits<Hit>>;
	/** Whether the tables are searched by texts alone where the provider makes no vector of the query. @default false */
	readonly isVectorOptional?: boolean | undefined;
}

interface FindHits<Hit> {
	readonly near: (search: NearestSearch) => Promise<Hit[]>;
	readonly texts: (search: SearchContext) => Promise<Hit[]>;
}

/** @internal What was found in each table that was searched. */
export interface TablesFound<Hit> {
	readonly found: readonly FoundInTable<Hit>[];
	readonly explain: TableExplanations | undefined;
	/** Why no vectors were compared, although tables have them. */
	readonly failure?: RemError | undefined;
}

/** A table's search, and whether vectors are compared. */
interface TableSearch {
	readonly resolved: ResolvedSearch;
	readonly by: SearchedBy;
}

/**
 * @internal Searches every table in which the scope has vectors of the call's
 * model, and where texts can be searched without, every other one in which it has
 * rows: a statement that finds them, one for the query's vector if it has to be
 * made, and one for each of them, side by side where there are connections for it.
 */
export async function searchTables<Hit>(
	core: ServiceCore,
	call: TablesCall,
	{ text, find, isVectorOptional }: TablesSearch<Hit>,
): Promise<TablesFound<Hit>> {
	const resolved = await resolveTables(core, call, { text, find });
	const planned = await withRows(core, call, {
		searches: resolved,
		texts: find.texts !== undefined,
	});
	if (planned.length === 0)
		return { found: [], explain: call.explain ? {} : undefined };
	const { searches, vector, failure } = await withVector(planned, {
		isOptional: isVectorOptional === true,
	});
	const results = await sideBySide(
		core,
		call.transaction,
		searches.map((search) => () => findIn(search, { find, vector })),
	);
	const named = results.map((result, at) => {
		const { resolved, by } = elementAt(searches, at);
		return {
			tableName: resolved.search.table.entity.tableName,
			isCompared: by === "vectors",
			...result,
		};
	});
	const explain = Object.fromEntries(
		named.flatMap(({ tableName, explain }) =>
			explain === undefined ? [] : [[tableName, explain]],
		),
	);
	return { found: named, explain: call.explain ? explain : undefined, failure };
}

interface SearchesWithVector {
	readonly searches: readonly TableSearch[];
	readonly vector: QueryVector | undefined;
	readonly failure?: RemError;
}

/** One vector for all tables that have any; without it, where it may be missing, all are searched by texts. */
async function withVector(
	searches: readonly TableSearch[],
	{ isOptional }: { readonly isOptional: boolean },
): Promise<SearchesWithVector> {
	const compared = searches.find(({ by }) => by === "vectors")?.resolved;
	// What the configuration lacks is no outage.
	if (compared !== undefined && compared.queryEmbedding === undefined)
		await compared.core.embeddings.openFor(
			compared.search.table,
			compared.search.space,
		);
	try {
		const vector = compared && (await queryVector(compared));
		return { searches, vector };
	} catch (failure) {
		if (!isOptional || !isProviderError(failure)) throw failure;
		const byTexts = searches.map(
			({ resolved }): TableSearch => ({ resolved, by: "texts" }),
		);
		return { searches: byTexts, vector: undefined, failure };
	}
}

interface FindIn<Hit> extends Pick<TablesSearch<Hit>, "find"> {
	readonly vector: QueryVector | undefined;
}

async function findIn<Hit>(
	{ resolved, by }: TableSearch,
	{ find: { near, texts }, vector }: FindIn<Hit>,
): Promise<ExplainedHits<Hit>> {
	if (by === "vectors" && near !== undefined && vector !== undefined)
		return findNear(resolved, vector, near);
	return texts === undefined
		? { hits: [], explain: undefined }
		: findTexts(resolved, texts);
}

/**
 * The call as a search of each table, by its vectors where they are of the model;
 * throws for what no table could be searched with.
 */
async function resolveTables<Hit>(
	core: ServiceCore,
	call: TablesCall,
	{ text, find }: TablesSearch<Hit>,
): Promise<TableSearch[]> {
	const { tables = searchable(core, text.fieldName), ...rest } = call;
	if (tables.length === 0) return [];
	const db = core.handle(call.tenantId, call.transaction);
	const models = await core.embeddings.models.all(db);
	const space = spaceOf(core, call, { tables, models });
	const named = call.provider !== undefined || call.model !== undefined;
	const { queryEmbedding: _, ...withoutVector } = rest;
	const searches: TableSearch[] = [];
	let problem: unknown;
	for (const { entity } of tables) {
		const { tableName } = entity;
		const active = activeOf(models, entity);
		const isOfModel =
			named || active === undefined || isSameSpace(active, space);
		const by = isOfModel && find.near !== undefined ? "vectors" : "texts";
		if (by === "texts" && find.texts === undefined) continue;
		const own = isOfModel ? rest : withoutVector;
		try {
			const resolved = await resolveSearch(core, { ...own, tableName }, text);
			searches.push({ resolved, by });
		} catch (error) {
			// No row of the table can fulfil a condition on a field that it lacks.
			if (!isUnknownField(error)) throw error;
			problem ??= error;
		}
	}
	if (searches.length === 0 && problem !== undefined) throw problem;
	return searches;
}

function isUnknownField(error: unknown): boolean {
	return error instanceof RemError && error.code === "UNKNOWN_FIELD";
}

/** Tables with embedded fields, or with that one. */
function searchable(
	{ registry }: ServiceCore,
	fieldName: string | undefined,
): EntityTable[] {
	const tables = registry
		.all()
		.filter(({ entity }) => entity.embedFields.length > 0);
	if (tables.length === 0)
		throw new RemError("FIELD_NOT_EMBEDDED", "no table has embedded fields", {
			hint: "a text field is embedded with .meta({ embed: true })",
		});
	if (fieldName === undefined) return tables;
	const withField = tables.filter(({ entity }) => embeds(entity, fieldName));
	if (withField.length > 0) return withField;
	const names = tables.flatMap(({ entity }) =>
		entity.embedFields.map(({ name }) => name),
	);
	const hint = suggest(fieldName, [...new Set(names)]);
	throw new RemError(
		"UNKNOWN_FIELD",
		`no table has an embedded field "${fieldName}"`,
		hint === undefined ? {} : { hint },
	);
}

function embeds({ embedFields }: Entity, fieldName: string): boolean {
	return embedFields.some(({ name }) => name === fieldName);
}

interface ModelsOfTables {
	readonly tables: readonly EntityTable[];
	readonly models: readonly TableModel[];
}

/**
 * The model that the call names, else the configured one; where no table is
 * searched in that, as in a database that stays with an older one, the active
 * model of the most tables.
 */
function spaceOf(
	core: ServiceCore,
	{ provider, model }: TablesCall,
	{ tables, models }: ModelsOfTables,
): VectorSpace {
	const { embedder } = core;
	if (provider !== undefined || model !== undefined)
		return embedder.space({
			...(provider === undefined ? {} : { provider }),
			...(model === undefined ? {} : { model }),
		});
	const actives = tables.map(({ entity }) => activeOf(models, entity));
	const known = actives.filter((active) => active !== undefined);
	const configured = embedder.spaceIfKnown();
	const isUsed =
		configured !== undefined &&
		known.some((active) => isSameSpace(active, configured));
	if (isUsed) return configured;
	const uses = (space: VectorSpace) =>
		known.filter((active) => isSameSpace(active, space)).length;
	const [most] = [...known].sort((a, b) => uses(b) - uses(a));
	return most ?? embedder.space();
}

function activeOf(
	models: readonly TableModel[],
	{ tableName }: Entity,
): TableModel | undefined {
	return models.find(
		(model) => model.tableName === tableName && model.state === "active",
	);
}

interface SearchesToRun {
	readonly searches: readonly TableSearch[];
	/** Whether a table without vectors can be searched. */
	readonly texts: boolean;
}

/** Asked only where there is a choice: of one table, the search itself finds out. */
async function withRows(
	core: ServiceCore,
	call: TablesCall,
	{ searches, texts }: SearchesToRun,
): Promise<TableSearch[]> {
	if (searches.length < 2) return [...searches];
	const db = readHandle(core, call);
	const { namedStatements: named } = core.db.capabilities;
	const ranges = searches.map(({ resolved: { search }, by }) => ({
		...search,
		by: by === "texts" || !texts ? ([by] as const) : both,
	}));
	const searchedBy = await searchedTables(db, ranges, { named });
	const found: TableSearch[] = [];
	for (const [at, { resolved }] of searches.entries()) {
		const { [at]: by } = searchedBy;
		if (by !== undefined) found.push({ resolved, by });
		else if (texts && !(await hasAllWords(core, db, resolved)))
			found.push({ resolved, by: "texts" });
	}
	return found;
}

const both = ["vectors", "texts"] as const;

/** While not all rows have their words, a table without any may have rows. */
function hasAllWords(
	{ vectorStatistics }: ServiceCore,
	db: Handle,
	{ search: { table } }: ResolvedSearch,
): Promise<boolean> {
	return vectorStatistics.texts.isFilled(db, table);
}
