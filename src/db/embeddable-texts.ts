import type { EntityTable } from "../models/registry.ts";
import { ident, join, literal, type Sql, sql } from "../sql.ts";

/**
 * The texts of a live row that get vectors, as rows of `f (field_name, content)`:
 * to be joined LATERAL to the row.
 */
export function embeddableTexts({ entity }: EntityTable, row: string): Sql {
	const fields = entity.embedFields.map(
		({ name, column }) => sql`(${literal(name)}, ${ident(row, column)})`,
	);
	return sql`(
    SELECT field_name, content FROM (VALUES ${join(fields)}) AS f (field_name, content)
    WHERE ${ident(row)}.deleted_at IS NULL AND content ~ ${literal(`[^${blank}]`)}
  ) AS f`;
}

/** What JavaScript's `trim` takes away, whatever the database's locale calls a space. */
export const blank =
	"\\t\\n\\v\\f\\r \\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff";

/** The hash of a text `f`, as it is stored with its vector. */
export const textHash = sql`sha256(convert_to(f.content, 'UTF8'))`;
