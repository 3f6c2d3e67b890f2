import { emptyPendingLists } from "../db/catalogue/indexes.ts";
import type { Database, Handle } from "../db/database.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import { isRemError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { EntityTable } from "../models/registry.ts";
import { ident, join, sql } from "../sql.ts";
import {
	gatherTenantStatistics,
	writtenTables,
} from "../store/first-statistics.ts";

const rowsPerAnalyze = 1000;
/** Below it a list is too short to be noticed, and often sorted in with others' entries. */
const rowsPerCleaning = 1000;

/** A write that has just ended. */
interface Load {
	readonly table: EntityTable;
	/** Rows that did not exist before. */
	readonly inserted: number;
	readonly updated: number;
	/** The tenant of its rows, where all are of one. */
	readonly tenantId: string | undefined;
	/** Whether the caller's transaction has yet to commit them. */
	readonly isOpen: boolean;
}

/**
 * Updates the planner's statistics after loads, as plans made for an empty table are
 * slow ones when it is full, and sorts new entries into the indexes of names and words.
 */
export class LoadStatistics {
	readonly #db: Database;
	readonly #logger: Logger;
	#newRows = 0;
	readonly #tenantRows = new RowCounts();
	readonly #listedRows = new RowCounts();

	constructor(db: Database, logger: Logger) {
		this.#db = db;
		this.#logger = logger;
	}

	async note(db: Handle, load: Load): Promise<void> {
		this.#newRows += load.inserted;
		if (this.#db.capabilities.autovacuum) await this.#analyzeNewTenant(load);
		else await this.#analyze(db, load.table);
		await this.#emptyPendingLists(load);
	}

	/** Behind the load, not within: one statement for all of its entries. */
	async #emptyPendingLists(load: Load): Promise<void> {
		const { table, inserted, updated, isOpen } = load;
		if (inserted + updated === 0) return;
		const { tableName } = table.entity;
		const rows = this.#listedRows.add(tableName, inserted + updated);
		if (rows < rowsPerCleaning || isOpen) return;
		this.#listedRows.delete(tableName);
		try {
			await emptyPendingLists(this.#db, writtenTables(table));
		} catch (error) {
			// What was loaded is committed: searches read its list until VACUUM does this.
			this.#warn(error, tableName, "its indexes could not be cleaned");
		}
	}

	/** Where no autovacuum does it. */
	async #analyze(db: Handle, table: EntityTable): Promise<void> {
		if (this.#newRows < rowsPerAnalyze) return;
		this.#newRows = 0;
		const { schema, entity } = table;
		const tables = [
			tableRef(table),
			...(entity.createEmbeddings ? [embeddingsRef(table)] : []),
			...(entity.createKvTrigger ? [ident(schema, "kv_store")] : []),
		];
		await db.query(sql`ANALYZE ${join(tables)}`);
	}

	/**
	 * Where autovacuum does it, it comes late for a tenant that is new in a large
	 * table. Its rows are counted over all calls: they may come one by one.
	 */
	async #analyzeNewTenant({
		table,
		inserted,
		tenantId,
		isOpen,
	}: Load): Promise<void> {
		const { tableName, tenantScoped } = table.entity;
		if (!tenantScoped || inserted === 0 || tenantId === undefined) return;
		const name = JSON.stringify([tableName, tenantId]);
		const rows = this.#tenantRows.add(name, inserted);
		// A transaction's rows are not visible to others yet; a later call looks.
		if (rows < rowsPerAnalyze || isOpen) return;
		this.#tenantRows.delete(name);
		try {
			await gatherTenantStatistics(this.#db, table, {
				tenantId,
				rowsLoaded: rows,
			});
		} catch (error) {
			// What was loaded is committed: it is only planned for less well.
			this.#warn(error, tableName, "it could not be analysed");
		}
	}

	#warn(error: unknown, tableName: string, problem: string): void {
		this.#logger.warn(
			isRemError(error) ? { code: error.code, sqlState: error.sqlState } : {},
			`after a load of "${tableName}" ${problem}`,
		);
	}
}

const maxNames = 10_000;

/** How many rows were written for each name, of the names that were written for last. */
class RowCounts {
	readonly #counts = new Map<string, number>();

	/** Returns the sum. */
	add(name: string, rows: number): number {
		const sum = (this.#counts.get(name) ?? 0) + rows;
		this.#counts.delete(name);
		this.#counts.set(name, sum);
		const [oldest] = this.#counts.keys();
		if (this.#counts.size > maxNames && oldest !== undefined)
			this.#counts.delete(oldest);
		return sum;
	}

	delete(name: string): void {
		this.#counts.delete(name);
	}
}
