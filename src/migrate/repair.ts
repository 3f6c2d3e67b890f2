import type { Database, Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { ident, sql } from "../sql.ts";
import { suggest } from "../util/suggest.ts";
import { type FileStatus, fileHistory, filePrefix } from "./history.ts";
import { readLedger } from "./ledger.ts";
import { readMigrationFiles } from "./migration-file.ts";

export interface Repaired {
	readonly name: string;
	/** `forgotten`: the ledger does not know the file any more; a file of that name would be applied. */
	readonly done: "accepted" | "forgotten";
	/** Its schema, where tenants are spread over several. */
	readonly bucket?: string;
}

/**
 * Makes the ledger agree with the folder for the named files: an edited one is
 * taken as it is now, a missing one is forgotten. Nothing is run.
 */
export async function repairHistory(
	db: Database,
	schema: string,
	{
		migrations,
		names,
	}: { readonly migrations: string; readonly names: readonly string[] },
): Promise<Repaired[]> {
	const files = await readMigrationFiles(migrations);
	return db.transaction(async (tx) => {
		const history = fileHistory(files, await readLedger(tx, schema));
		const chosen = names.map((name) => find(name, history));
		const repaired: Repaired[] = [];
		for (const status of chosen)
			repaired.push(await repair(tx, schema, status));
		return repaired;
	});
}

function find(name: string, history: readonly FileStatus[]): FileStatus {
	const repairable = history.filter(
		({ state }) => state === "edited" || state === "missing",
	);
	const status = repairable.find((one) => one.name === name);
	if (status !== undefined) return status;
	throw new RemError("VALIDATION", `there is nothing to repair in "${name}"`, {
		hint:
			suggest(
				name,
				repairable.map((one) => one.name),
			) ?? "no file was edited or removed",
	});
}

async function repair(
	tx: Handle,
	schema: string,
	{ name, state, file }: FileStatus,
): Promise<Repaired> {
	const table = ident(schema, "rem_migrations");
	const key = filePrefix + name;
	if (file === undefined || state === "missing") {
		await tx.query(sql`DELETE FROM ${table} WHERE name = ${key}`);
		return { name, done: "forgotten" };
	}
	await tx.query(sql`
UPDATE ${table} SET sha256 = ${file.sha256} WHERE name = ${key}`);
	return { name, done: "accepted" };
}
