import type { Field } from "../../models/field.ts";
import type { EntityTable } from "../../models/registry.ts";
import type { VectorSpace } from "../../models/vector.ts";
import type { Sql } from "../../sql.ts";

/** An index that a table should have. */
export interface IndexDeclaration {
	/** At most 63 bytes, the same for the same model. */
	readonly name: string;
	/** The table it is on: the entity's own, that of its vectors, or kv_store. */
	readonly tableName: string;
	readonly isUnique: boolean;
	/** All of CREATE INDEX after the table's name. */
	readonly definition: Sql;
	/** The JSON column whose elements it has entries of: they count as its rows. */
	readonly elementsOf?: string;
	/** Of an index of vectors: which ones it contains. */
	readonly vectors?: {
		readonly field: string;
		readonly space: VectorSpace;
	};
}

export interface HnswOptions {
	readonly m: number;
	readonly efConstruction: number;
	/** One bit a dimension: an index 16 times smaller, whose hits have to be ranked again. @default false */
	readonly quantized?: boolean;
}

/**
 * One type of index, with everything that differs between types. The schema,
 * the indexer, the comparison with a database and the planner of searches take
 * it from here: to add a type, add a file beside this one and list it in
 * `index-types.ts`.
 */
export interface IndexTypeDefinition {
	/** As in `pg_am.amname`. */
	readonly accessMethod: string;
	/**
	 * `migration`: created with the table, cheap to maintain. `indexer`: built
	 * once there are enough rows, while others write; not a difference of the
	 * schema while it is missing.
	 */
	readonly builtBy: "migration" | "indexer";
	/** What the names of its indexes begin with: only remdb gives such names. */
	readonly namePrefixes: readonly string[];
	/** The indexes of the type that an entity should have. */
	declare(
		table: EntityTable,
		spaces: readonly VectorSpace[],
		hnsw: HnswOptions,
	): IndexDeclaration[];
	/** Why the index cannot be built, and what to do; `undefined`: it can. */
	problem?(index: IndexDeclaration, hnsw: HnswOptions): string | undefined;
	/** `FROM …` with a row for each entry of the index. @default the rows of the table */
	entries?(schema: string, index: IndexDeclaration): Sql;
	/**
	 * Of indexes of vectors. They are expensive to build and to maintain: a bulk
	 * load drops them, the embedded database builds them only where that is asked
	 * for, and no statistics are gathered of them.
	 */
	readonly vectors?: {
		/** Memory that a build needs for each vector. */
		bytesPerVector(index: IndexDeclaration, hnsw: HnswOptions): number;
	};
}

/** How a search of vectors uses an index of one form. */
export interface VectorIndexForm {
	/** The name of its index of the field. */
	indexName(table: EntityTable, field: Field, space: VectorSpace): string;
	/** Which rows are in the index, in the words of its predicate. */
	condition(fieldName: string, space: VectorSpace): Sql;
	/** The expression that returns the vectors nearest to the query first. */
	distance(vector: Sql, query: Sql, space: VectorSpace): Sql;
	/** Hits to read for each that is asked for, at least `min`, where its distances are inexact. */
	readonly reranked: { readonly factor: number; readonly min: number };
	/** The most candidates that one scan looks at. */
	readonly maxCandidates: number;
	/** Settings of a scan with that many candidates. */
	settings(candidates: number): readonly (readonly [string, string])[];
}
