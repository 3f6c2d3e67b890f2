import type { Handle } from "../db/database.ts";
import { encodeArray } from "../db/encode.ts";
import { kvTriggers } from "../schema/kv-trigger.ts";
import { ident, sql, toText } from "../sql.ts";
import { type KvSource, kvState, kvStore } from "./tables.ts";

/** A condition under which the cache is not maintained, and which no reader could notice. */
export interface KvProblem {
	readonly kind: "trigger" | "prepared transaction" | "persistence";
	/** What is wrong, in words. */
	readonly message: string;
	/** What to do. */
	readonly hint: string;
}

/** The conditions in the catalogues that would make the cache wrong, or prevent its rebuild. */
export async function findKvProblems(
	db: Handle,
	schema: string,
	sources: readonly KvSource[],
): Promise<KvProblem[]> {
	return [
		...(await findTriggerProblems(db, schema, sources)),
		...(await findPreparedTransactions(db)),
		...(await findPersistenceProblem(db, schema)),
	];
}

interface LiveTrigger {
	readonly table: string;
	readonly name: string;
	readonly enabled: string;
}

const enabledAs = { ALWAYS: "A", REPLICA: "R" } as const;

async function findTriggerProblems(
	db: Handle,
	schema: string,
	sources: readonly KvSource[],
): Promise<KvProblem[]> {
	const types = sources.map(({ entityType }) => entityType);
	const { rows } = await db.query<LiveTrigger>(sql`
SELECT c.relname AS "table", t.tgname AS name, t.tgenabled::text AS enabled
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = ${schema}::regnamespace AND c.relname = ANY (${encodeArray("text", types)}::text[])`);
	return types.flatMap((type) =>
		kvTriggers(type).flatMap(({ name, enabled }): KvProblem[] => {
			const live = rows.find((row) => row.table === type && row.name === name);
			if (live?.enabled === enabledAs[enabled]) return [];
			const table = toText(ident(schema, type));
			const problem = { kind: "trigger" } as const;
			if (live === undefined)
				return [
					{
						...problem,
						message: `table ${type} has no trigger ${name}`,
						hint: "`rem migrate` with its model: it makes the trigger again, and fills the cache",
					},
				];
			return [
				{
					...problem,
					message: `trigger ${name} of ${type} is ${live.enabled === "D" ? "disabled" : `not enabled ${enabled}`}`,
					hint: `ALTER TABLE ${table} ENABLE ${enabled} TRIGGER ${toText(ident(name))}; then \`rem kv verify --repair\``,
				},
			];
		}),
	);
}

/** They contain rows that are not visible yet; after a crash their entries are lost. */
async function findPreparedTransactions(db: Handle): Promise<KvProblem[]> {
	const { rows } = await db.query<{ prepared: string; gid: string }>(sql`
SELECT gid, to_char(prepared, 'YYYY-MM-DD HH24:MI:SSOF') AS prepared
FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared`);
	return rows.map(({ gid, prepared }) => ({
		kind: "prepared transaction",
		message: `prepared transaction '${gid}' of ${prepared} is in doubt`,
		hint: `COMMIT PREPARED or ROLLBACK PREPARED '${gid.replaceAll("'", "''")}': after a crash no rebuild ends before that`,
	}));
}

/** A marker that survives what empties the cache would vouch for an empty one. */
async function findPersistenceProblem(
	db: Handle,
	schema: string,
): Promise<KvProblem[]> {
	const { rowCount } = await db.query(sql`
SELECT FROM pg_class
WHERE oid IN (to_regclass(${toText(kvStore(schema))}), to_regclass(${toText(kvState(schema))}))
HAVING count(DISTINCT relpersistence) > 1`);
	if (rowCount === 0) return [];
	return [
		{
			kind: "persistence",
			message: "one of kv_store and kv_state is UNLOGGED, the other is not",
			hint: `ALTER TABLE ${toText(kvState(schema))} SET UNLOGGED, or LOGGED, as kv_store is`,
		},
	];
}
