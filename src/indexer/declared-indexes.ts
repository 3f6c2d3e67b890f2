import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import type { HnswOptions } from "../schema/index-types/definition.ts";
import { kvContentIndex } from "../schema/index-types/trigram.ts";
import { type DeclaredIndex, definitionOf } from "../schema/index-types.ts";
import { allIndexes } from "../schema/indexes.ts";

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
		(own === kvContentIndex.tableName && table.entity.createKvTrigger)
	);
}
