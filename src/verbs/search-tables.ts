import type { ServiceCore } from "../core/service-core.ts";
import { sideBySide } from "../core/side-by-side.ts";
import { isSameSpace, type TableModel } from "../embed-sync/models.ts";
import { RemError } from "../errors.ts";
import type { Entity } from "../models/entity.ts";
import type { EntityTable } from "../models/registry.ts";
import type { Row } from "../models/types.ts";
import type { VectorSpace } from "../models/vector.ts";
import type { SearchExplanation } from "../query/explain.ts";
import type { FoundInTable } from "../query/merge-tables.ts";
import type { NearestSearch, SearchContext } from "../query/search-context.ts";
import { tablesWithVectors } from "../query/tables-with-vectors.ts";
import { elementAt } from "../util/present.ts";
import { suggest } from "../util/suggest.ts";
import { type Models, readHandle } from "./call-options.ts";
import {
	type ExplainedHits,
	findNear,
	findTexts,
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
	/** With the query's vector, or with none. */
	readonly find:
		| { readonly near: (search: NearestSearch) => Promise<Hit[]> }
		| { readonly texts: (search: SearchContext) => Promise<Hit[]> };
}

/** @internal What was found in each table that has vectors of the model. */
export interface TablesFound<Hit> {
	readonly found: readonly FoundInTable<Hit>[];
	readonly explain: TableExplanations | undefined;
}

/**
 * @internal Searches every table in which the scope has vectors of the call's
 * model: a statement that finds them, one for the query's vector if it
 * has to be made, and one for each of them, side by side where there are
 * connections for it.
 */
export async function searchTables<Hit>(
	core: ServiceCore,
	call: TablesCall,
	{ text, find }: TablesSearch<Hit>,
): Promise<TablesFound<Hit>> {
	const resolved = await resolveTables(core, call, text);
	const searches = await withVectors(core, call, resolved);
	const [first] = searches;
	if (first === undefined)
		return { found: [], explain: call.explain ? {} : undefined };
	const findIn = await finder(first, find);
	const results = await sideBySide(
		core,
		call.transaction,
		searches.map((search) => () => findIn(search)),
	);
	const named = results.map((result, at) => ({
		tableName: nameOf(elementAt(searches, at)),
		...result,
	}));
	const explain = Object.fromEntries(
		named.flatMap(({ tableName, explain }) =>
			explain === undefined ? [] : [[tableName, explain]],
		),
	);
	return { found: named, explain: call.explain ? explain : undefined };
}

/** One vector for all tables. */
async function finder<Hit>(
	first: ResolvedSearch,
	find: TablesSearch<Hit>["find"],
): Promise<(search: ResolvedSearch) => Promise<ExplainedHits<Hit>>> {
	if ("texts" in find) return (search) => findTexts(search, find.texts);
	const vector = await queryVector(first);
	return (search) => findNear(search, vector, find.near);
}

function nameOf({ search }: ResolvedSearch): string {
	return search.table.entity.tableName;
}

/** The call as a search of each table of the model; throws for what no table could be searched with. */
async function resolveTables(
	core: ServiceCore,
	call: TablesCall,
	text: SearchedText,
): Promise<ResolvedSearch[]> {
	const { tables = searchable(core, text.fieldName), ...rest } = call;
	if (tables.length === 0) return [];
	const db = core.handle(call.tenantId, call.transaction);
	const models = await core.embeddings.models.all(db);
	const space = spaceOf(core, call, { tables, models });
	const named = call.provider !== undefined || call.model !== undefined;
	const inSpace = tables.filter(({ entity }) => {
		const active = activeOf(models, entity);
		return named || active === undefined || isSameSpace(active, space);
	});
	const searches: ResolvedSearch[] = [];
	let problem: unknown;
	for (const { entity } of inSpace) {
		const { tableName } = entity;
		try {
			searches.push(await resolveSearch(core, { ...rest, tableName }, text));
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

/** Asked only where there is a choice: of one table, the search itself finds out. */
async function withVectors(
	core: ServiceCore,
	call: TablesCall,
	searches: readonly ResolvedSearch[],
): Promise<ResolvedSearch[]> {
	if (searches.length < 2) return [...searches];
	const db = readHandle(core, call);
	const named = core.db.capabilities.namedStatements;
	const ranges = searches.map((search) => search.search);
	const having = new Set(await tablesWithVectors(db, ranges, { named }));
	return searches.filter(({ search }) => having.has(search));
}
