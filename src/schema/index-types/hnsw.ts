import type { Field } from "../../models/field.ts";
import { indexName } from "../../models/names.ts";
import type { EntityTable } from "../../models/registry.ts";
import type { VectorSpace } from "../../models/vector.ts";
import { ident, literal, raw, type Sql, sql } from "../../sql.ts";
import type {
	HnswOptions,
	IndexDeclaration,
	IndexTypeDefinition,
	VectorIndexForm,
} from "./definition.ts";

/** Graphs of vectors, one for each field and vector space. */
export const hnsw: IndexTypeDefinition = {
	accessMethod: "hnsw",
	builtBy: "indexer",
	namePrefixes: ["hnsw_"],
	declare: (table, spaces, options) =>
		spaces.flatMap((space) =>
			table.entity.embedFields.map((field) =>
				hnswIndex(table, field, space, options),
			),
		),
	problem: hnswProblem,
	entries: (schema, { tableName, vectors }) =>
		vectors === undefined
			? sql`FROM ${ident(schema, tableName)}`
			: sql`FROM ${ident(schema, tableName)} WHERE ${hnswCondition(vectors.field, vectors.space)}`,
	vectors: { bytesPerVector: graphBytesPerVector },
};

/** How searches use them: whole vectors, or one bit a dimension. */
export const hnswForms = {
	hnsw: searchForm({ quantized: false }, { factor: 1, min: 0 }),
	// Recall 0.98 of 10, measured.
	quantized: searchForm({ quantized: true }, { factor: 4, min: 40 }),
} as const;

function searchForm(
	form: { readonly quantized: boolean },
	reranked: VectorIndexForm["reranked"],
): VectorIndexForm {
	return {
		indexName: (table, field, space) =>
			hnswIndex(table, field, space, { m: 0, efConstruction: 0, ...form }).name,
		condition: hnswCondition,
		distance(vector, query, space) {
			const { operator } = hnswForm(space, form);
			return sql`${hnswOperand(vector, space, form)} ${raw(operator)} ${hnswOperand(query, space, form)}`;
		},
		reranked,
		maxCandidates: 1000, // of pgvector's hnsw.ef_search
		settings: (candidates) => [
			["hnsw.ef_search", String(candidates)],
			["hnsw.iterative_scan", "relaxed_order"],
		],
	};
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
	options: HnswOptions,
): IndexDeclaration {
	const { kind, operatorClass } = hnswForm(space, options);
	return {
		name: indexName("hnsw", table.entity.tableName, [
			field.column,
			space.provider,
			space.model,
			String(space.dimensions),
			...(kind === "bit" ? ["binary"] : []),
		]),
		tableName: table.entity.embeddingsTableName,
		isUnique: false,
		vectors: { field: field.name, space },
		definition: sql`USING hnsw ((${hnswOperand(raw("embedding"), space, options)}) ${raw(operatorClass)})
  WITH (m = ${raw(String(options.m))}, ef_construction = ${raw(String(options.efConstruction))})
  WHERE ${hnswCondition(field.name, space)}`,
	};
}

// pgvector's HNSW takes 2,000 dimensions of vector, 4,000 of halfvec, 64,000 bits.
const maxDimensions = { vector: 2000, halfvec: 4000, bit: 64_000 } as const;

interface HnswForm {
	/** What the vectors are in the index. */
	readonly kind: keyof typeof maxDimensions;
	readonly operatorClass: string;
	/** The distance operator that the index answers. */
	readonly operator: "<=>" | "<~>";
}

/** How vectors of a space are stored in their index. */
export function hnswForm(
	{ dimensions }: VectorSpace,
	{ quantized = false }: Pick<HnswOptions, "quantized">,
): HnswForm {
	if (quantized)
		return { kind: "bit", operatorClass: "bit_hamming_ops", operator: "<~>" };
	const kind = dimensions > maxDimensions.vector ? "halfvec" : "vector";
	return { kind, operatorClass: `${kind}_cosine_ops`, operator: "<=>" };
}

/** A vector, the column or the query's, as the index stores it. */
function hnswOperand(
	vector: Sql,
	space: VectorSpace,
	options: Pick<HnswOptions, "quantized">,
): Sql {
	const size = raw(`(${space.dimensions})`);
	const { kind } = hnswForm(space, options);
	return kind === "bit"
		? sql`binary_quantize(${vector}::vector${size})::bit${size}`
		: sql`${vector}::${raw(kind)}${size}`;
}

/** Which rows are in the index, in the words of its predicate. */
function hnswCondition(fieldName: string, space: VectorSpace): Sql {
	return sql`field_name = ${literal(fieldName)} AND provider = ${literal(space.provider)}
    AND model = ${literal(space.model)} AND dimensions = ${raw(String(space.dimensions))}`;
}

/** Why there can be no such index, and what to do; `undefined`: it can be built. */
export function hnswProblem(
	{ vectors }: IndexDeclaration,
	options: Pick<HnswOptions, "quantized">,
): string | undefined {
	if (vectors === undefined) return undefined;
	const max = maxDimensions[hnswForm(vectors.space, options).kind];
	const { dimensions, model } = vectors.space;
	if (dimensions <= max) return undefined;
	return `model ${model} has ${dimensions} dimensions, an HNSW index takes at most ${max}: searches stay exact; set EMBEDDING__DIMENSIONS to ${max} or fewer where the model allows`;
}

/**
 * Measured with pgvector 0.8.7 by its notice when the memory is full: from 128
 * to 3,072 dimensions and m from 8 to 32 this is within 3 %.
 */
export function graphBytesPerVector(
	{ vectors }: IndexDeclaration,
	options: HnswOptions,
): number {
	if (vectors === undefined) return 0;
	const bitsOf = { vector: 32, halfvec: 16, bit: 1 };
	const { kind } = hnswForm(vectors.space, options);
	const vectorBytes = 8 + (vectors.space.dimensions * bitsOf[kind]) / 8;
	return vectorBytes + 32 * options.m + 200;
}
