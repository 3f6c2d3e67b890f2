import type { Handle } from "../db/database.ts";
import { encodeArray } from "../db/encode.ts";
import { slices } from "../db/pipelined.ts";
import { writeEntries } from "../schema/kv-trigger.ts";
import { type Sql, sql } from "../sql.ts";
import { isUnregistered, type KvDifference } from "./compare.ts";
import { orderedWalk, seeingAll } from "./read-settings.ts";
import {
	type CachedType,
	type KvSource,
	kvStore,
	readKvSources,
} from "./tables.ts";

interface Comparison {
	readonly sources: readonly KvSource[];
	readonly differences: readonly KvDifference[];
}

/** Makes exactly these entries equal to their entities, while writers continue. */
export async function repairDifferences(
	db: Handle,
	schema: string,
	{ sources, differences }: Comparison,
): Promise<void> {
	for (const source of sources) {
		const own = differences.filter(
			({ entityType }) => entityType === source.entityType,
		);
		for (const batch of slices(own))
			await repairBatch(db, { schema, source }, batch);
	}
	await deleteUnregistered(db, schema, { sources, differences });
}

async function repairBatch(
	db: Handle,
	type: CachedType,
	differences: readonly KvDifference[],
): Promise<void> {
	const idsOf = (some: readonly KvDifference[]) =>
		some.map(({ entityId }) => entityId);
	await deleteDead(db, type, idsOf(differences));
	const live = differences.filter(({ kind }) => kind !== "extra");
	if (live.length > 0) await writeLive(db, type, idsOf(live));
}

/**
 * Entries that no live entity has. The entries are locked first: a writer that
 * restores one waits, or has committed and is visible to the second statement's
 * snapshot; with one statement, its entry would be deleted.
 */
function deleteDead(
	db: Handle,
	{ schema, source: { entityType, view } }: CachedType,
	ids: readonly string[],
): Promise<void> {
	return repairTransaction(db, async (tx) => {
		const entries = sql`${kvStore(schema)} AS k
WHERE k.entity_type = ${entityType} AND k.entity_id = ANY (${uuids(ids)})
  AND NOT EXISTS (SELECT FROM ${view} AS s WHERE s.entity_id = k.entity_id)`;
		await tx.query(
			sql`SELECT FROM ${entries} ORDER BY k.entity_id FOR UPDATE OF k`,
		);
		await tx.query(sql`DELETE FROM ${entries}`);
	});
}

/**
 * Entries of live entities. First those that no other client is writing, then the
 * others one by one: waiting for a row while locking others deadlocks with
 * writers.
 */
async function writeLive(
	db: Handle,
	{ schema, source: { view } }: CachedType,
	ids: readonly string[],
): Promise<void> {
	const skipped = await repairTransaction(db, async (tx) => {
		const those = sql`${view} WHERE entity_id = ANY (${uuids(ids)})`;
		const live = await readIds(tx, those);
		const free = await readIds(
			tx,
			sql`${those} ORDER BY entity_id FOR SHARE SKIP LOCKED`,
		);
		await tx.query(
			writeEntries(schema, sql`${view} WHERE entity_id = ANY (${uuids(free)})`),
		);
		return live.filter((id) => !free.includes(id));
	});
	for (const id of skipped)
		await repairTransaction(db, (tx) =>
			tx.query(
				writeEntries(
					schema,
					sql`(SELECT * FROM ${view} WHERE entity_id = ${id}::uuid FOR SHARE) AS s`,
				),
			),
		);
}

async function readIds(tx: Handle, from: Sql): Promise<string[]> {
	const { rows } = await tx.query<{ id: string }>(
		sql`SELECT entity_id AS id FROM ${from}`,
	);
	return rows.map(({ id }) => id);
}

/** The sources are read again under the lock: the type may have come back. */
async function deleteUnregistered(
	db: Handle,
	schema: string,
	{ sources: known, differences }: Comparison,
): Promise<void> {
	const types = new Set(known.map(({ entityType }) => entityType));
	const ids = differences.flatMap(({ entityType, entityId }) =>
		types.has(entityType) ? [] : entityId,
	);
	if (ids.length === 0) return;
	await repairTransaction(db, async (tx) => {
		const entries = (sources: readonly KvSource[]) =>
			sql`${kvStore(schema)} WHERE entity_id = ANY (${uuids(ids)}) AND ${isUnregistered(sources)}`;
		await tx.query(
			sql`SELECT FROM ${entries(known)} ORDER BY entity_id FOR UPDATE`,
		);
		const sources = await readKvSources(tx, schema);
		await tx.query(sql`DELETE FROM ${entries(sources)}`);
	});
}

async function repairTransaction<T>(
	db: Handle,
	work: (tx: Handle) => Promise<T>,
): Promise<T> {
	return db.transaction(work, {
		isolation: "read committed",
		settings: { ...orderedWalk, ...(await seeingAll(db)) },
		retries: 5,
	});
}

function uuids(ids: readonly string[]): Sql {
	return sql`${encodeArray("uuid", ids)}::uuid[]`;
}
