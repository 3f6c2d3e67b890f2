import { readIndexes } from "../db/catalogue/indexes.ts";
import type { IndexStatus } from "../indexer/index-status.ts";
import { isVectorIndex } from "../schema/index-types.ts";
import { sql } from "../sql.ts";
import {
	type Finding,
	failed,
	ok,
	type RunCheck,
	some,
	warning,
} from "./check.ts";

/** Background indexes that should be there and are not, or cannot be used; the others are the schema's. */
export const checkIndexes: RunCheck = async ({ indexer }) => {
	const { indexes } = await indexer.status();
	const inState = (...states: IndexStatus["state"][]) =>
		indexes.filter(({ state }) => states.includes(state));
	const findings = [
		report(
			failed,
			inState("failed"),
			"rem index repair, after the cause is removed",
		),
		report(
			warning,
			inState("invalid", "changed", "missing"),
			"rem index build builds, rem index repair repairs; rem worker does both by itself",
		),
		report(
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

function report(
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

/** An HNSW index that is not in memory is read from disk at random; one that does not fit while it is built takes several times longer. */
export const checkMemory: RunCheck = async ({ db, registry, settings }) => {
	if (settings.database.kind === "embedded") return [];
	const tables = registry.all().filter(({ entity }) => entity.createEmbeddings);
	const stored = await readIndexes(
		db,
		settings.schema,
		tables.map(({ entity }) => entity.embeddingsTableName),
	);
	const indexes = stored
		.filter(isVectorIndex)
		.sort((a, b) => b.sizeBytes - a.sizeBytes);
	const [largest] = indexes;
	const total = indexes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
	const { rows } = await db.query<{ shared: number }>(
		sql`SELECT setting::float8 * 8192 AS shared FROM pg_settings WHERE name = 'shared_buffers'`,
	);
	const shared = rows[0]?.shared ?? 0;
	const buildMb = settings.backgroundIndex.memoryMb;
	const findings = [
		...(total > shared
			? [
					warning(
						`vector indexes have ${inMb(total)}, shared_buffers ${inMb(shared)}`,
						"raise shared_buffers to a quarter of the machine's memory, or use fewer dimensions (docs/scale.md)",
					),
				]
			: []),
		...(largest !== undefined && largest.sizeBytes > buildMb * mebibyte
			? [
					warning(
						`index ${largest.name} has ${inMb(largest.sizeBytes)}, and a build may use ${buildMb} MB: it takes several times longer`,
						"raise BACKGROUND_INDEX__MEMORY_MB if the server has the memory",
					),
				]
			: []),
	];
	if (findings.length > 0) return findings;
	return ok(
		`vector indexes ${inMb(total)}, shared_buffers ${inMb(shared)}, ${buildMb} MB for a build`,
	);
};

function inMb(bytes: number): string {
	return `${Math.ceil(bytes / mebibyte)} MB`;
}
