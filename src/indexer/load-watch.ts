import type { EntityTable } from "../models/registry.ts";

// A load is over when nothing came for so long; after ten minutes it is none.
const quietMs = 2000;
const maxLoadMs = 600_000;

interface Load {
	readonly table: EntityTable;
	readonly timer: NodeJS.Timeout;
	readonly since: number;
}

/** Counts new rows by table, and reports a table whose load is over. */
export class LoadWatch {
	readonly #onQuiet: (table: EntityTable) => void;
	readonly #minRows: number;
	readonly #newRows = new Map<string, number>();
	/** Tables that are being loaded, as it seems. */
	readonly #loads = new Map<string, Load>();

	/** `minRows`: fewer new rows are no load. */
	constructor(minRows: number, onQuiet: (table: EntityTable) => void) {
		this.#minRows = minRows;
		this.#onQuiet = onQuiet;
	}

	note(table: EntityTable, rows: number): void {
		const { tableName } = table.entity;
		const rowsSoFar = (this.#newRows.get(tableName) ?? 0) + rows;
		const isEnough = rowsSoFar >= this.#minRows;
		this.#newRows.set(tableName, isEnough ? 0 : rowsSoFar);
		if (isEnough || this.#loads.has(tableName)) this.#wait(table);
	}

	/** Runs `work` for the tables that are being loaded, which are not reported any more. */
	async end(work: (table: EntityTable) => Promise<void>): Promise<void> {
		for (const { table, timer } of this.#loads.values()) {
			clearTimeout(timer);
			await work(table);
		}
		this.#loads.clear();
	}

	#wait(table: EntityTable): void {
		const { tableName } = table.entity;
		const load = this.#loads.get(tableName);
		clearTimeout(load?.timer);
		const since = load?.since ?? performance.now();
		const left = since + maxLoadMs - performance.now();
		const timer = setTimeout(
			() => {
				this.#loads.delete(tableName);
				this.#onQuiet(table);
			},
			Math.max(0, Math.min(quietMs, left)),
		);
		timer.unref();
		this.#loads.set(tableName, { table, timer, since });
	}
}
