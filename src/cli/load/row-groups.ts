import { isRecord, type RowGroup, type SourceRow } from "./source.ts";

/** Rows as they are, or the rows of each `{ table, rows }` among them. */
export function groupRows(
	file: string,
	items: readonly SourceRow[],
): RowGroup[] {
	const named = items.flatMap(({ value, line }) =>
		isNamedGroup(value)
			? {
					file,
					table: value.table,
					isUntyped: false,
					rows: rowsOf(value, line),
				}
			: [],
	);
	const plain = items.filter(({ value }) => !isNamedGroup(value));
	if (plain.length === 0 && named.length > 0) return named;
	return [{ file, table: undefined, isUntyped: false, rows: plain }, ...named];
}

interface NamedGroup {
	readonly table: string;
	readonly rows: readonly unknown[];
}

function rowsOf({ rows }: NamedGroup, line: number | undefined): SourceRow[] {
	return rows.map((value) => ({ value, line }));
}

/** Nothing but a table's name and its rows: a row that has more is a row. */
function isNamedGroup(value: unknown): value is NamedGroup {
	return (
		isRecord(value) &&
		Object.keys(value).length === 2 &&
		typeof value.table === "string" &&
		Array.isArray(value.rows)
	);
}
