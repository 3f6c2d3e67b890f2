import { embeddingsRef } from "../db/tables.ts";
import type { IndexStatus } from "../indexer/index-status.ts";
import { sql, toText } from "../sql.ts";
import {
	type Finding,
	failed,
	type Matter,
	ok,
	some,
	warning,
} from "./check.ts";

/** Background indexes that should be there and are not, or cannot be used; the others are the schema's. */
export const checkIndexes: Matter = async ({ indexer }) => {
	const { indexes } = await indexer.status();
	const inState = (...states: IndexStatus["state"][]) =>
		indexes.filter(({ state }) => states.includes(state));
	const findings = [
		tell(
			failed,
			inState("failed"),
			"rem index repair, when the cause is mended",
		),
		tell(
			warning,
			inState("invalid", "changed", "missing"),
			"rem index build builds, rem index repair mends; rem worker does both by itself",
		),
		tell(
			warning,
			inState("impossible"),
			"docs/indexes.md: choose another model or fewer dimensions",
		),
	].flat();
	const building = inState("building").map(beingBuilt);
	if (findings.length > 0)
		return building.length === 0 ? findings : [...findings, ok(some(building))];
	const left = indexes.filter(({ leftTo }) => leftTo !== null);
	const queued = inState("queued").filter((index) => !left.includes(index));
	const parts = [
		`${inState("valid").length} in use`,
		...(building.length === 0 ? [] : [some(building)]),
		...count(queued, "waiting to be built"),
		...count(left, `left to a worker of role "${left[0]?.leftTo}"`),
		...count(inState("deferred"), "not needed, as their tables are small"),
	];
	return ok(parts.join(", "));
};

function tell(
	as: typeof warning,
	indexes: readonly IndexStatus[],
	remedy: string,
): Finding[] {
	if (indexes.length === 0) return [];
	const names = indexes.map(
		({ indexName, state, error }) =>
			`${indexName} is ${state}${error === null ? "" : ` (${error})`}`,
	);
	return [as(some(names), remedy)];
}

function beingBuilt({ indexName, percent }: IndexStatus): string {
	return `${indexName} is being built${percent === null ? "" : ` (${Math.floor(percent)} %)`}`;
}

function count(indexes: readonly IndexStatus[], what: string): string[] {
	return indexes.length === 0 ? [] : [`${indexes.length} ${what}`];
}

const mebibyte = 1024 * 1024;

interface Memory {
	readonly shared_bytes: number;
	readonly total_bytes: number;
	readonly largest: string | null;
	readonly largest_bytes: number;
}

/** An HNSW index that is not in memory is read from disk at random; one that does not fit while it is built takes several times longer. */
export const checkMemory: Matter = async ({ db, registry, settings }) => {
	if (settings.database.kind === "embedded") return [];
	const tables = registry
		.all()
		.filter(({ entity }) => entity.createEmbeddings)
		.map((table) => toText(embeddingsRef(table)));
	const { rows } = await db.query<Memory>(sql`
WITH hnsw AS (
  SELECT i.relname::text AS name, pg_relation_size(i.oid)::float8 AS bytes
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am a ON a.oid = i.relam
  WHERE a.amname = 'hnsw' AND x.indrelid = ANY (SELECT to_regclass(t) FROM jsonb_array_elements_text(${JSON.stringify(tables)}::jsonb) AS t)
)
SELECT (SELECT setting::float8 * 8192 FROM pg_settings WHERE name = 'shared_buffers') AS shared_bytes,
  coalesce((SELECT sum(bytes) FROM hnsw), 0) AS total_bytes,
  (SELECT name FROM hnsw ORDER BY bytes DESC LIMIT 1) AS largest,
  coalesce((SELECT max(bytes) FROM hnsw), 0) AS largest_bytes`);
	const [memory] = rows;
	if (memory === undefined) return [];
	const buildMb = settings.backgroundIndex.memoryMb;
	const findings = [
		...(memory.total_bytes > memory.shared_bytes
			? [
					warning(
						`vector indexes have ${inMb(memory.total_bytes)}, shared_buffers ${inMb(memory.shared_bytes)}`,
						"raise shared_buffers to a quarter of the machine's memory, or use fewer dimensions (docs/scale.md)",
					),
				]
			: []),
		...(memory.largest_bytes > buildMb * mebibyte
			? [
					warning(
						`index ${memory.largest} has ${inMb(memory.largest_bytes)}, and a build may use ${buildMb} MB: it takes several times longer`,
						"raise BACKGROUND_INDEX__MEMORY_MB if the server has the memory",
					),
				]
			: []),
	];
	if (findings.length > 0) return findings;
	return ok(
		`vector indexes ${inMb(memory.total_bytes)}, shared_buffers ${inMb(memory.shared_bytes)}, ${buildMb} MB for a build`,
	);
};

function inMb(bytes: number): string {
	return `${Math.ceil(bytes / mebibyte)} MB`;
}
