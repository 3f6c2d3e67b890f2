import type { Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { type DeclaredIndex, definitionOf } from "../schema/index-types.ts";
import { ident, join, type Sql, sql } from "../sql.ts";

interface Threshold {
	readonly schema: string;
	/** Rows from which on an index pays. */
	readonly minRows: number;
}

/** Those that would have at least so many rows; counting stops there. */
export async function indexesThatPay(
	db: Handle,
	indexes: readonly DeclaredIndex[],
	{ schema, minRows }: Threshold,
): Promise<DeclaredIndex[]> {
	if (indexes.length === 0) return [];
	const counts = indexes.map(
		(index) => sql`SELECT ${index.name}::text AS name
WHERE ${minRows} <= (SELECT count(*) FROM (SELECT ${entriesOf(schema, index)} LIMIT ${minRows}) AS r)`,
	);
	const { rows } = await db.query<{ name: string }>(
		join(counts, "\nUNION ALL\n"),
	);
	const names = new Set(rows.map(({ name }) => name));
	return indexes.filter(({ name }) => names.has(name));
}

/** The same, and why each of the others cannot be counted: its table, or a column of it, is missing. */
export async function indexNeed(
	db: Handle,
	indexes: readonly DeclaredIndex[],
	{
		explain,
		...threshold
	}: Threshold & {
		/** The error with what differs from the models. */
		readonly explain: (error: unknown) => Promise<unknown>;
	},
): Promise<{
	readonly paying: readonly DeclaredIndex[];
	readonly problems: ReadonlyMap<DeclaredIndex, RemError>;
}> {
	const count = (some: readonly DeclaredIndex[]) =>
		indexesThatPay(db, some, threshold);
	const problems = new Map<DeclaredIndex, RemError>();
	try {
		return { paying: await count(indexes), problems };
	} catch (error) {
		if (!isDrift(error)) throw error;
	}
	const paying: DeclaredIndex[] = [];
	for (const index of indexes)
		try {
			paying.push(...(await count([index])));
		} catch (error) {
			if (!isDrift(error)) throw error;
			const explained = await explain(error);
			problems.set(index, isDrift(explained) ? explained : error);
		}
	return { paying, problems };
}

function isDrift(error: unknown): error is RemError {
	return error instanceof RemError && error.code === "SCHEMA_DRIFT";
}

/** A row for each entry of the index. */
function entriesOf(schema: string, index: DeclaredIndex): Sql {
	return (
		definitionOf(index).entries?.(schema, index) ??
		sql`FROM ${ident(schema, index.tableName)}`
	);
}
