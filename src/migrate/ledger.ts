import { createHash } from "node:crypto";
import { readRelationHeads } from "../db/catalogue/relations.ts";
import type { Handle } from "../db/database.ts";
import { ident, sql, toText } from "../sql.ts";
import { checkRelation } from "./ownership.ts";

/** The entry of `rem_migrations` for a file of ours, of `file:NAME` or of `entity:TABLE`. */
export interface LedgerEntry {
	readonly name: string;
	/** Of the text; of a file under way, of the statements that are done. */
	readonly sha256: string;
	readonly appliedAt: Date;
	readonly appliedBy: string;
	/** `null`: it is under way, or was interrupted. */
	readonly durationMs: number | null;
	readonly statementsDone: number | null;
	readonly catalogue: string | null;
}

export type Ledger = ReadonlyMap<string, LedgerEntry>;

/** Empty where nothing was ever applied. */
export async function readLedger(tx: Handle, schema: string): Promise<Ledger> {
	const table = ident(schema, "rem_migrations");
	const [relation] = await readRelationHeads(tx, schema, {
		names: ["rem_migrations"],
	});
	if (relation === undefined) return new Map();
	checkRelation(relation);
	const { rows } = await tx.query<LedgerEntry>(sql`
SELECT name, sha256, applied_at AS "appliedAt", applied_by AS "appliedBy",
  duration_ms AS "durationMs", statements_done AS "statementsDone", catalogue
FROM ${table} ORDER BY applied_at, name`);
	return new Map(rows.map((row) => [row.name, row]));
}

/** Records what was applied. */
export async function record(
	tx: Handle,
	schema: string,
	entry: Pick<LedgerEntry, "name" | "sha256" | "durationMs"> &
		Partial<LedgerEntry>,
): Promise<void> {
	await tx.query(sql`
INSERT INTO ${ident(schema, "rem_migrations")} (name, sha256, duration_ms, statements_done, catalogue)
VALUES (${entry.name}, ${entry.sha256}, ${entry.durationMs}, ${entry.statementsDone ?? null}, ${entry.catalogue ?? null})
ON CONFLICT (name) DO UPDATE SET
  sha256 = excluded.sha256, duration_ms = excluded.duration_ms, statements_done = excluded.statements_done,
  catalogue = excluded.catalogue, applied_at = excluded.applied_at, applied_by = excluded.applied_by`);
}

/** Records the state of the catalogue where nothing was applied. */
export async function recordCatalogue(
	tx: Handle,
	schema: string,
	{ name, catalogue }: { readonly name: string; readonly catalogue: string },
): Promise<void> {
	await tx.query(sql`
UPDATE ${ident(schema, "rem_migrations")} SET catalogue = ${catalogue}
WHERE name = ${name} AND catalogue IS DISTINCT FROM ${catalogue}`);
}

/** Whether this role may write the ledger: an application's own often may not. */
export async function mayRecord(tx: Handle, schema: string): Promise<boolean> {
	const table = toText(ident(schema, "rem_migrations"));
	const { rows } = await tx.query<{ may: boolean }>(sql`
SELECT has_table_privilege(${table}, 'INSERT') AND has_table_privilege(${table}, 'UPDATE') AS may`);
	return rows[0]?.may === true;
}

/** Of the text, whatever its line ends: git may change them. */
export function sha256(text: string): string {
	return createHash("sha256")
		.update(text.replaceAll("\r\n", "\n"))
		.digest("hex");
}
