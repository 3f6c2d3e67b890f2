import type { Database } from "../db/database.ts";
import type { EntityTable } from "../models/registry.ts";
import { type BaseOptions, baseFiles } from "../schema/base.ts";
import { type FileStatus, fileHistory } from "./history.ts";
import { type Ledger, type LedgerEntry, readLedger, sha256 } from "./ledger.ts";
import { filesOf, type MigrateOptions } from "./migrate.ts";
import { isKnown, ledgerName } from "./model-state.ts";

/** A file or model, and whether the database has it. */
export interface MigrationStatus {
	readonly name: string;
	readonly kind: "remdb" | "file" | "model";
	/** `changed`: a model, or a file of remdb, that is not the one that was applied. */
	readonly state: FileStatus["state"] | "changed";
	readonly appliedAt: Date | undefined;
	readonly appliedBy: string | undefined;
	readonly durationMs: number | undefined;
}

/** Everything that was applied or is to be, in the order in which it is applied. */
export async function readStatus(
	db: Database,
	tables: readonly EntityTable[],
	base: BaseOptions,
	options: Pick<MigrateOptions, "migrations">,
): Promise<MigrationStatus[]> {
	const ledger = await readLedger(db, base.schema);
	const files = await filesOf({
		migrations: options.migrations,
		to: undefined,
	});
	const history = fileHistory(files ?? [], ledger);
	return [
		...baseFiles(base).map(({ name, text }) => {
			const entry = ledger.get(name);
			return toStatus(name, "remdb", stateOf(entry, sha256(text)), entry);
		}),
		...history.map(({ name, state, entry }) =>
			// Without the folder it is not known what is missing from it.
			toStatus(name, "file", files === undefined ? "applied" : state, entry),
		),
		...tables.map((table) => modelStatus(table, ledger)),
	];
}

function modelStatus(table: EntityTable, ledger: Ledger): MigrationStatus {
	const entry = ledger.get(ledgerName(table));
	const state =
		entry === undefined
			? "pending"
			: isKnown(ledger, table)
				? "applied"
				: "changed";
	return toStatus(table.entity.tableName, "model", state, entry);
}

function stateOf(
	entry: LedgerEntry | undefined,
	hash: string,
): MigrationStatus["state"] {
	if (entry === undefined) return "pending";
	return entry.sha256 === hash ? "applied" : "changed";
}

function toStatus(
	name: string,
	kind: MigrationStatus["kind"],
	state: MigrationStatus["state"],
	entry: LedgerEntry | undefined,
): MigrationStatus {
	return {
		name,
		kind,
		state,
		appliedAt: entry?.appliedAt,
		appliedBy: entry?.appliedBy,
		durationMs: entry?.durationMs ?? undefined,
	};
}
