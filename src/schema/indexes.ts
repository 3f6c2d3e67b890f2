import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { ident, join, raw, type Sql, sql } from "../sql.ts";
import { tableIndexes } from "./index-types/btree.ts";
import type {
	HnswOptions,
	IndexDeclaration,
} from "./index-types/definition.ts";
import {
	type DeclaredIndex,
	definitionOf,
	indexTypeNames,
	indexTypes,
} from "./index-types.ts";

interface CreateIndexOptions {
	/** While others write; not inside a transaction. @default false */
	readonly concurrently?: boolean;
	/** Fail where the name is taken, also by an invalid index. @default false */
	readonly mustBeNew?: boolean;
}

/** The statement that creates the index. */
export function createIndex(
	schema: string,
	index: IndexDeclaration,
	{ concurrently = false, mustBeNew = false }: CreateIndexOptions = {},
): Sql {
	const words = [
		"CREATE",
		...(index.isUnique ? ["UNIQUE"] : []),
		"INDEX",
		...(concurrently ? ["CONCURRENTLY"] : []),
		...(mustBeNew ? [] : ["IF NOT EXISTS"]),
	];
	return sql`${raw(words.join(" "))} ${ident(index.name)} ON ${ident(schema, index.tableName)} ${index.definition};
`;
}

/** Every index that a table, its vectors and its part of the cache should have. */
export function allIndexes(
	table: EntityTable,
	spaces: readonly VectorSpace[],
	hnsw: HnswOptions,
): DeclaredIndex[] {
	return indexTypeNames.flatMap((indexType) =>
		indexTypes[indexType]
			.declare(table, spaces, hnsw)
			.map((index) => ({ ...index, indexType })),
	);
}

/** Indexes that queries need from the first row on: cheap to maintain, created with the table. */
export function indexesDdl(table: EntityTable): Sql {
	return join(
		tableIndexes(table).map((index) => createIndex(table.schema, index)),
		"",
	);
}

/** Indexes of the entity's tables that are built once there are rows, while others write. */
export function backgroundIndexes(
	table: EntityTable,
	spaces: readonly VectorSpace[],
	hnsw: HnswOptions,
): DeclaredIndex[] {
	const { tableName, embeddingsTableName, wordsTableName } = table.entity;
	return allIndexes(table, spaces, hnsw).filter(
		(index) =>
			definitionOf(index).builtBy === "indexer" &&
			[tableName, embeddingsTableName, wordsTableName].includes(
				index.tableName,
			),
	);
}

/** Background indexes as text for psql; where one cannot be built, a comment states why. */
export function backgroundIndexesDdl(
	table: EntityTable,
	space: VectorSpace,
	hnsw: HnswOptions,
): Sql {
	return join(
		backgroundIndexes(table, [space], hnsw).map((index) => {
			const problem = definitionOf(index).problem?.(index, hnsw);
			return problem === undefined
				? createIndex(table.schema, index, { concurrently: true })
				: raw(`-- ${index.name}: ${problem.replace(/\s+/g, " ")}\n`);
		}),
		"",
	);
}
