import type { VectorSpace } from "../models/vector-space.ts";
import { ident, raw, type Sql, sql } from "../sql.ts";

/** The specification's words for the kinds of index. */
export const indexTypes = ["hnsw", "gin", "trgm", "btree"] as const;

export type IndexType = (typeof indexTypes)[number];

/** An index that a table should have. */
export interface DeclaredIndex {
	/** At most 63 bytes, the same for the same model. */
	readonly name: string;
	readonly indexType: IndexType;
	/** The table it is on: the entity's own, that of its vectors, or kv_store. */
	readonly tableName: string;
	readonly isUnique: boolean;
	/** All that CREATE INDEX says after the table's name. */
	readonly definition: Sql;
	/** The JSON column whose elements it has entries of: they count as its rows. */
	readonly elementsOf?: string;
	/** Of an HNSW index: whose vectors are in it. */
	readonly vectors?: {
		readonly field: string;
		readonly space: VectorSpace;
	};
}

export interface CreateIndexOptions {
	/** While others write; not inside a transaction. @default false */
	readonly concurrently?: boolean;
	/** Fail where the name is taken, also by an invalid index. @default false */
	readonly mustBeNew?: boolean;
}

/** The statement that makes the index. */
export function createIndex(
	schema: string,
	index: DeclaredIndex,
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
