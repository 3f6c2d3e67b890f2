import type { Handle } from "../db/database.ts";
import type { Logger } from "../logger.ts";
import type { HnswOptions } from "../schema/index-types/definition.ts";
import { type DeclaredIndex, definitionOf } from "../schema/index-types.ts";
import { ident, sql } from "../sql.ts";

/** How the indexer works; see {@link BackgroundIndexOptions}. */
export interface IndexerSettings {
	readonly enabled: boolean;
	readonly concurrency: number;
	readonly minRows: number;
	readonly memoryMb: number;
	readonly parallelWorkers: number | undefined;
	readonly lockTimeoutMs: number;
	readonly retryMs: number;
}

export interface TableBuilderOptions {
	readonly schema: string;
	readonly hnsw: HnswOptions;
	readonly settings: IndexerSettings;
	readonly logger: Logger;
	/** Shared by several indexers, which together have as many builders as one. @default its own */
	readonly building?: Set<object> | undefined;
	/** Called when searches may be planned otherwise: an index is built, or words are stored. */
	readonly onBuilt: () => void;
}

const mebibyte = 1024 * 1024;

// A parallel build reserves 3 MB of its memory for other data.
const besideGraphMb = 4;

/** What a build may use, and what it would need. */
interface BuildMemory {
	readonly vectors: number;
	/** For the whole graph. */
	readonly neededMb: number;
	/** For `maintenance_work_mem`. */
	readonly grantedMb: number;
}

/** As much as the graph needs, at most what the settings allow, at least what the server grants by default. */
export async function planMemory(
	db: Handle,
	index: DeclaredIndex,
	{
		schema,
		hnsw,
		memoryMb,
	}: Pick<TableBuilderOptions, "schema" | "hnsw"> &
		Pick<IndexerSettings, "memoryMb">,
): Promise<BuildMemory> {
	const { usualMb, vectors } = await readSizes(db, schema, index);
	const bytesPerVector =
		definitionOf(index).vectors?.bytesPerVector ?? (() => 0);
	const graphMb = (vectors * bytesPerVector(index, hnsw)) / mebibyte;
	const neededMb = graphMb === 0 ? 0 : Math.ceil(graphMb) + besideGraphMb;
	return {
		vectors,
		neededMb,
		grantedMb: Math.max(usualMb, Math.min(neededMb, memoryMb)),
	};
}

/** The warning to log, if the graph does not fit. */
export function memoryWarning(
	{ name }: DeclaredIndex,
	{ vectors, neededMb, grantedMb }: BuildMemory,
): string | undefined {
	if (neededMb <= grantedMb) return undefined;
	return `index "${name}": the graph of ${vectors} vectors needs about ${neededMb} MB, and the build may use ${grantedMb} MB: it will take several times longer; raise BACKGROUND_INDEX__MEMORY_MB if the server has the memory`;
}

async function readSizes(
	db: Handle,
	schema: string,
	{ tableName, vectors }: DeclaredIndex,
): Promise<{ usualMb: number; vectors: number }> {
	const count =
		vectors === undefined
			? sql`0`
			: // Answered by the index on these columns: the dimensions would need the rows.
				sql`(SELECT count(*)::float8 FROM ${ident(schema, tableName)}
    WHERE field_name = ${vectors.field} AND provider = ${vectors.space.provider} AND model = ${vectors.space.model})`;
	const { rows } = await db.query<{ usual_mb: number; vectors: number }>(sql`
SELECT ceil(setting::float8 / 1024) AS usual_mb, ${count} AS vectors
FROM pg_settings WHERE name = 'maintenance_work_mem'`);
	return { usualMb: rows[0]?.usual_mb ?? 0, vectors: rows[0]?.vectors ?? 0 };
}
