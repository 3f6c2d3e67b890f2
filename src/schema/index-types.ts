import { keysOf } from "../util/present.ts";
import { btree } from "./index-types/btree.ts";
import type {
	IndexDeclaration,
	IndexTypeDefinition,
} from "./index-types/definition.ts";
import { gin } from "./index-types/gin.ts";
import { hnsw, hnswForms } from "./index-types/hnsw.ts";
import { trigram } from "./index-types/trigram.ts";

/** Every type of index, by the specification's words. */
export const indexTypes = { btree, gin, trgm: trigram, hnsw } as const;

export type IndexType = keyof typeof indexTypes;

export const indexTypeNames = keysOf(indexTypes);

/** The forms of indexes that a search of vectors can use. */
export const vectorForms = hnswForms;

export type VectorFormName = keyof typeof vectorForms;

/** A declaration and the type that it is of. */
export interface DeclaredIndex extends IndexDeclaration {
	readonly indexType: IndexType;
}

export function definitionOf({
	indexType,
}: Pick<DeclaredIndex, "indexType">): IndexTypeDefinition {
	return indexTypes[indexType];
}

/** Access methods of the types that index vectors. */
const vectorMethods: ReadonlySet<string> = new Set(
	Object.values<IndexTypeDefinition>(indexTypes)
		.filter(({ vectors }) => vectors !== undefined)
		.map(({ accessMethod }) => accessMethod),
);

/** Whether an index of the database is on vectors. */
export function isVectorIndex({
	accessMethod,
}: {
	readonly accessMethod: string;
}): boolean {
	return vectorMethods.has(accessMethod);
}

/** Whether an index of the name is built by the indexer, after the migration. */
export function isBuiltByIndexer(name: string): boolean {
	return prefixesOf("indexer").some((prefix) => name.startsWith(prefix));
}

/** Whether an index of the name on the table comes from a model; an index of any other name is its maker's. */
export function isOfModel(tableName: string, name: string): boolean {
	return prefixesOf("migration").some((prefix) =>
		name.startsWith(`${prefix}${tableName}__`),
	);
}

function prefixesOf(
	builtBy: IndexTypeDefinition["builtBy"],
): readonly string[] {
	return Object.values<IndexTypeDefinition>(indexTypes)
		.filter((type) => type.builtBy === builtBy)
		.flatMap(({ namePrefixes }) => namePrefixes);
}
