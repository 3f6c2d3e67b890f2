import type { Field } from "../models/field.ts";
import { indexName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { ident, literal, raw, type Sql, sql, toText } from "../sql.ts";
import type { DeclaredIndex } from "./declared-index.ts";

export interface HnswOptions {
	readonly m: number;
	readonly efConstruction: number;
	/** One bit a dimension: an index 16 times smaller, whose hits are to be ranked anew. @default false */
	readonly quantized?: boolean;
}

/**
 * The graph of one field, provider, model and length, so that lengths may
 * differ. A query is answered from it if it orders by {@link hnswOperand} with
 * the operator of its type, and repeats {@link hnswCondition}.
 */
export function hnswIndex(
	table: EntityTable,
	field: Field,
	space: VectorSpace,
	hnsw: HnswOptions,
): DeclaredIndex {
	const { kind, operatorClass } = hnswForm(space, hnsw);
	return {
		name: indexName("hnsw", table.entity.tableName, [
			field.column,
			space.provider,
			space.model,
			String(space.dimensions),
			...(kind === "bit" ? ["binary"] : []),
		]),
		indexType: "hnsw",
		tableName: table.entity.embeddingsTableName,
		isUnique: false,
		vectors: { field: field.name, space },
		definition: sql`USING hnsw ((${hnswOperand(raw("embedding"), space, hnsw)}) ${raw(operatorClass)})
  WITH (m = ${raw(String(hnsw.m))}, ef_construction = ${raw(String(hnsw.efConstruction))})
  WHERE ${hnswCondition(field.name, space)}`,
	};
}

// pgvector's HNSW takes 2,000 dimensions of vector, 4,000 of halfvec, 64,000 bits.
const maxDimensions = { vector: 2000, halfvec: 4000, bit: 64_000 } as const;

export interface HnswForm {
	/** What the vectors are in the index. */
	readonly kind: keyof typeof maxDimensions;
	readonly operatorClass: string;
	/** The distance operator that the index answers. */
	readonly operator: "<=>" | "<~>";
}

/** How vectors of a space stand in their index. */
export function hnswForm(
	{ dimensions }: VectorSpace,
	{ quantized = false }: Pick<HnswOptions, "quantized">,
): HnswForm {
	if (quantized)
		return { kind: "bit", operatorClass: "bit_hamming_ops", operator: "<~>" };
	const kind = dimensions > maxDimensions.vector ? "halfvec" : "vector";
	return { kind, operatorClass: `${kind}_cosine_ops`, operator: "<=>" };
}

/** A vector, the column or the query's, as the index holds it. */
export function hnswOperand(
	vector: Sql,
	space: VectorSpace,
	hnsw: Pick<HnswOptions, "quantized">,
): Sql {
	const size = raw(`(${space.dimensions})`);
	const { kind } = hnswForm(space, hnsw);
	return kind === "bit"
		? sql`binary_quantize(${vector}::vector${size})::bit${size}`
		: sql`${vector}::${raw(kind)}${size}`;
}

/** Which rows are in the index, in the words of its predicate. */
export function hnswCondition(fieldName: string, space: VectorSpace): Sql {
	return sql`field_name = ${literal(fieldName)} AND provider = ${literal(space.provider)}
    AND model = ${literal(space.model)} AND dimensions = ${raw(String(space.dimensions))}`;
}

/** Whether the index can be searched; false while it is being built, and after a build that failed. */
export function isUsable(
	schema: string,
	{ name }: Pick<DeclaredIndex, "name">,
): Sql {
	return sql`EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(${toText(ident(schema, name))}) AND indisvalid)`;
}

/** Why there can be no such index, and what to do; `undefined`: it can be built. */
export function hnswProblem(
	{ vectors }: DeclaredIndex,
	hnsw: Pick<HnswOptions, "quantized">,
): string | undefined {
	if (vectors === undefined) return undefined;
	const most = maxDimensions[hnswForm(vectors.space, hnsw).kind];
	const { dimensions, model } = vectors.space;
	if (dimensions <= most) return undefined;
	return `model ${model} has ${dimensions} dimensions, an HNSW index takes at most ${most}: searches stay exact; set EMBEDDING__DIMENSIONS to ${most} or fewer where the model allows`;
}
