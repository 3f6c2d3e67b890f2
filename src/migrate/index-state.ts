import type { Handle } from "../db/database.ts";
import { ident, sql, toText } from "../sql.ts";

export type IndexState = "missing" | "invalid" | "valid";

/** Whether the index is there and whole; IF NOT EXISTS takes the rest of a failed build for one. */
export async function indexState(
	db: Handle,
	name: readonly string[],
): Promise<IndexState> {
	const { rows } = await db.query<{ valid: boolean }>(sql`
SELECT indisvalid AND indisready AS valid FROM pg_index
WHERE indexrelid = to_regclass(${toText(ident(...name))})`);
	const [index] = rows;
	if (index === undefined) return "missing";
	return index.valid ? "valid" : "invalid";
}

/** Without stopping anybody, as a plain DROP INDEX would. */
export async function dropInvalidIndex(
	db: Handle,
	name: readonly string[],
): Promise<void> {
	if ((await indexState(db, name)) !== "invalid") return;
	await db.script(
		`DROP INDEX CONCURRENTLY IF EXISTS ${toText(ident(...name))}`,
	);
}
