import type { Handle } from "../db/database.ts";
import { markType } from "../schema/kv-trigger.ts";
import { literal, sql, toText } from "../sql.ts";
import { findKvProblems, type KvProblem } from "./problems.ts";
import { isKvReady } from "./rebuild.ts";
import { kvStore, readKvSources } from "./tables.ts";

export interface KvStatus {
	/** Whether LOOKUP and FUZZY read the cache; if not, they read the primary tables. */
	readonly ready: boolean;
	/** Whether this process is rebuilding it. */
	readonly rebuilding: boolean;
	readonly persistence: "unlogged" | "logged";
	/** Whether the server is a standby, which cannot read an unlogged cache. */
	readonly standby: boolean;
	/** Entries by entity type, of every type that has a cache or entries; `null` where it cannot be read. */
	readonly entries: Readonly<Record<string, number>> | null;
	/** What would make the cache wrong, or prevents its rebuild. */
	readonly problems: readonly KvProblem[];
}

export async function readKvStatus(
	db: Handle,
	schema: string,
	rebuilding: boolean,
): Promise<KvStatus> {
	const place = await readPlace(db, schema);
	const sources = await readKvSources(db, schema);
	const problems = await findKvProblems(db, schema, sources);
	const common = { rebuilding, ...place, problems };
	if (place.standby && place.persistence === "unlogged")
		return { ready: false, ...common, entries: null };
	const counted = await countEntries(db, schema);
	return {
		ready: await isKvReady(db, schema),
		...common,
		entries: Object.fromEntries([
			...sources.map(({ entityType }) => [entityType, 0] as const),
			...counted,
		]),
	};
}

async function readPlace(
	db: Handle,
	schema: string,
): Promise<Pick<KvStatus, "persistence" | "standby">> {
	const { rows } = await db.query<{ standby: boolean; logged: boolean }>(sql`
SELECT pg_is_in_recovery() AS standby, relpersistence = 'p' AS logged
FROM pg_class WHERE oid = ${toText(kvStore(schema))}::regclass`);
	return {
		persistence: rows[0]?.logged ? "logged" : "unlogged",
		standby: rows[0]?.standby === true,
	};
}

async function countEntries(
	db: Handle,
	schema: string,
): Promise<[string, number][]> {
	const { rows } = await db.query<{ type: string; entries: number }>(sql`
SELECT entity_type AS type, count(*)::integer AS entries
FROM ${kvStore(schema)} WHERE entity_type <> ${literal(markType)} GROUP BY entity_type ORDER BY entity_type`);
	return rows.map(({ type, entries }) => [type, entries]);
}
