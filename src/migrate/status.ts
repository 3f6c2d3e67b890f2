import type { Database } from "../db/database.ts";
import type { EntityTable } from "../models/registry.ts";
import { baseFiles } from "../schema/base.ts";
import type { Target } from "./expected.ts";
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
	/** Its schema, where tenants are spread over several. */
	readonly bucket?: string;
}

/** Everything that was applied or is to be, in the order in which it is applied. */
export async function readStatus(
	db: Database,
	{ tables, options: base }: Target,
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
			const state = stateOf(entry, sha256(text));
			return { name, kind: "remdb", state, ...appliedAs(entry) } as const;
		}),
		...history.map(({ name, state, entry }) => ({
			name,
			kind: "file" as const,
			// Without the folder it is not known what is missing from it.
			state: files === undefined ? ("applied" as const) : state,
			...appliedAs(entry),
		})),
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
	return {
		name: table.entity.tableName,
		kind: "model",
		state,
		...appliedAs(entry),
	};
}

function stateOf(
	entry: LedgerEntry | undefined,
	hash: string,
): MigrationStatus["state"] {
	if (entry === undefined) return "pending";
	return entry.sha256 === hash ? "applied" : "changed";
}

function appliedAs(entry: LedgerEntry | undefined) {
	return {
		appliedAt: entry?.appliedAt,
		appliedBy: entry?.appliedBy,
		durationMs: entry?.durationMs ?? undefined,
	};
}
