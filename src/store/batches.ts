import { encodeArray } from "../db/encode.ts";
import { rowsPerStatement } from "../db/pipelined.ts";
import type { Field } from "../models/field.ts";
import { ident, join, raw, type Sql, sql } from "../sql.ts";
import { elementAt } from "../util/present.ts";
import type { ImportedRow } from "./read-export.ts";

/** Rows of an export for one statement, all of one table. */
export type Batch = [ImportedRow, ...ImportedRow[]];

/** Groups consecutive rows of one table. */
export async function* batches(
	rows: AsyncIterable<ImportedRow>,
): AsyncGenerator<Batch> {
	let batch: Batch | undefined;
	for await (const row of rows) {
		if (
			batch !== undefined &&
			batch.length < rowsPerStatement &&
			batch[0].table === row.table
		) {
			batch.push(row);
			continue;
		}
		if (batch !== undefined) yield batch;
		batch = [row];
	}
	if (batch !== undefined) yield batch;
}

/** The rows as `i` of a FROM clause, with their order, from 1, in `rem_ord`, and the SQL of each field's value in its type. */
export function batchInput(batch: Batch): {
	readonly from: Sql;
	readonly values: readonly Sql[];
} {
	const [
		{
			table: { fields },
		},
	] = batch;
	const arrays = fields.map(
		(_, at) =>
			sql`${encodeArray(
				"text",
				batch.map(({ texts }) => elementAt(texts, at)),
			)}::text[]`,
	);
	const inputs = fields.map((_, at) => ident(`c${at}`));
	return {
		from: sql`unnest(${join(arrays)}) WITH ORDINALITY AS i (${join(inputs)}, rem_ord)`,
		values: fields.map(valueSql),
	};
}

/** Without a cast where the type is text: a cast to varchar(100) would cut the value. */
function valueSql({ type }: Field, at: number): Sql {
	const column = sql`i.${ident(`c${at}`)}`;
	return type === "text" ? column : sql`${column}::${raw(type)}`;
}
