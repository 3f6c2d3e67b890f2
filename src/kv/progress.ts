import type { Handle } from "../db/database.ts";
import { join, sql } from "../sql.ts";
import type { KvSource } from "./tables.ts";

/** How far a rebuild or a comparison is. */
export interface KvProgress {
	/** The type it is at. */
	readonly entityType: string;
	/** Rows of all types so far. */
	readonly done: number;
	/** Rows there were when it began; with buckets, in those that it has begun so far. */
	readonly total: number;
}

export interface KvSteps {
	/** So many more rows of the type are done. */
	readonly add: (entityType: string, rows: number) => void;
}

/** Counts the rows first, but only if anybody listens. */
export async function startKvProgress(
	db: Handle,
	sources: readonly KvSource[],
	onProgress: ((progress: KvProgress) => void) | undefined,
): Promise<KvSteps> {
	if (onProgress === undefined) return { add: () => {} };
	const total = await countRows(db, sources);
	let done = 0;
	return {
		add: (entityType, rows) => {
			done += rows;
			onProgress({ entityType, done, total });
		},
	};
}

async function countRows(
	db: Handle,
	sources: readonly KvSource[],
): Promise<number> {
	if (sources.length === 0) return 0;
	const counts = sources.map(({ view }) => sql`(SELECT count(*) FROM ${view})`);
	const { rows } = await db.query<{ total: number }>(
		sql`SELECT (${join(counts, " + ")})::integer AS total`,
	);
	return rows[0]?.total ?? 0;
}
