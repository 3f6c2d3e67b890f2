import type { Handle } from "../db/database.ts";
import { embeddingModelsRef } from "../db/embedding-queue.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import type { HnswOptions } from "../schema/index-types/definition.ts";
import { type DeclaredIndex, definitionOf } from "../schema/index-types.ts";
import { allIndexes } from "../schema/indexes.ts";
import { sql } from "../sql.ts";
import type { QueuedBuild } from "./build-queue.ts";

/** Every index that the models ask for, each once, those that can be built apart from those that cannot. */
export interface Declaration {
	readonly possible: readonly DeclaredIndex[];
	/** With the reason. */
	readonly impossible: readonly (readonly [DeclaredIndex, string])[];
}

export function declareIndexes(
	tables: readonly EntityTable[],
	spacesOf: (table: EntityTable) => readonly VectorSpace[],
	hnsw: HnswOptions,
): Declaration {
	const unique = new Map(
		tables
			.flatMap((table) => allIndexes(table, spacesOf(table), hnsw))
			.map((index) => [index.name, index]),
	);
	const possible: DeclaredIndex[] = [];
	const impossible: [DeclaredIndex, string][] = [];
	for (const index of unique.values()) {
		const problem = definitionOf(index).problem?.(index, hnsw);
		if (problem === undefined) possible.push(index);
		else impossible.push([index, problem]);
	}
	return { possible, impossible };
}

/** Whether the index serves what is called `tableName`: an entity, its vectors' table, or the cache. */
export function serves(
	{ tableName: own }: DeclaredIndex,
	tableName: string,
	table: EntityTable | undefined,
): boolean {
	if (own === tableName) return true;
	if (table?.entity.tableName !== tableName) return false;
	return (
		own === table.entity.embeddingsTableName ||
		own === table.entity.wordsTableName ||
		(own === "kv_store" && table.entity.createKvTrigger)
	);
}

/** Which vectors each entity has, as far as it is written down: those that are searched or being filled. */
export async function readVectorSpaces(
	db: Handle,
	schema: string,
): Promise<ReadonlyMap<string, readonly VectorSpace[]>> {
	const { rows } = await db.query<VectorSpace & { entity: string }>(sql`
SELECT entity_type AS entity, provider, model, dimensions
FROM ${embeddingModelsRef(schema)}
WHERE state IN ('active', 'filling')
ORDER BY entity_type, provider, model, dimensions`);
	const spaces = new Map<string, VectorSpace[]>();
	for (const { entity, ...space } of rows)
		spaces.set(entity, [...(spaces.get(entity) ?? []), space]);
	return spaces;
}

interface KnownSpaces {
	readonly written: ReadonlyMap<string, readonly VectorSpace[]>;
	/** The service's own, for entities of which nothing is written down. */
	readonly usual: VectorSpace | undefined;
	/** Used by calls of this process, by entity. */
	readonly used: ReadonlyMap<string, readonly VectorSpace[]>;
	/** Other processes may have queued indexes of others. */
	readonly queue: readonly QueuedBuild[];
}

/** Spaces whose vectors of the entity are to have indexes, each once. */
export function spacesOf(
	{ entity }: EntityTable,
	{ written, usual, used, queue }: KnownSpaces,
): VectorSpace[] {
	const queued = queue.flatMap(({ tableName, space }) =>
		tableName === entity.embeddingsTableName ? (space ?? []) : [],
	);
	const all = [
		...(written.get(entity.tableName) ?? (usual === undefined ? [] : [usual])),
		...(used.get(entity.tableName) ?? []),
		...queued,
	];
	const keyOf = ({ provider, model, dimensions }: VectorSpace) =>
		JSON.stringify([provider, model, dimensions]);
	return [...new Map(all.map((space) => [keyOf(space), space])).values()];
}
