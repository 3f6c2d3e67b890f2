import { kvStore } from "../kv/tables.ts";
import { sql, toText } from "../sql.ts";
import {
	counted,
	type Finding,
	failed,
	ok,
	type RunCheck,
	some,
	warning,
} from "./check.ts";

const sampleSize = 100;

/** Whether names are found in the cache, and whether it agrees with the tables. */
export const checkKvStore: RunCheck = async ({ kv }) => {
	const status = await kv.status();
	const problems = status.problems.map(({ kind, message, hint }): Finding => {
		// It may delay a rebuild, and makes nothing wrong.
		const report = kind === "prepared transaction" ? warning : failed;
		return report(message, hint);
	});
	if (status.standby && status.persistence === "unlogged")
		return [
			...problems,
			warning(
				"unlogged, which a standby cannot read: names are found in the tables",
				"read names on the primary, or set KV_STORE__PERSISTENCE=logged",
			),
		];
	if (!status.ready)
		return [
			...problems,
			warning(
				status.rebuilding
					? "emptied by a crash, and being filled: until then names are found in the tables"
					: "emptied by a crash: names are found in the tables",
				"rem kv rebuild; reads start it by themselves where the role may",
			),
		];
	const sample = await kv.verify({ sample: sampleSize });
	if (sample.differing > 0)
		return [
			...problems,
			failed(
				`${sample.differing} of ${counted(sample.compared, "sampled entity").replace("entitys", "entities")} differ from their tables: ${some(sample.differences.map(({ kind, entityType, entityKey }) => `${kind} ${entityType} "${entityKey}"`))}`,
				"rem kv verify shows all, rem kv verify --repair repairs them",
			),
		];
	const entries = Object.values(status.entries ?? {}).reduce(
		(a, b) => a + b,
		0,
	);
	const fine = ok(
		`ready, ${entries} names, ${status.persistence}; ${sample.compared} of them compared`,
	);
	return problems.length === 0 ? fine : problems;
};

interface Churn {
	readonly on: boolean;
	readonly off_here: boolean;
	readonly live: number;
	readonly dead: number;
}

const toleratedDead = 10_000;

/** Every update of an entity leaves a dead entry behind. */
export const checkAutovacuum: RunCheck = async ({ db, settings }) => {
	if (!db.capabilities.autovacuum) return [];
	const table = toText(kvStore(settings.schema));
	const { rows } = await db.query<Churn>(sql`
SELECT current_setting('autovacuum')::boolean AS on,
  coalesce('autovacuum_enabled=false' = ANY (c.reloptions), false) AS off_here,
  coalesce(s.n_live_tup, 0)::float8 AS live, coalesce(s.n_dead_tup, 0)::float8 AS dead
FROM pg_class c LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE c.oid = ${table}::regclass`);
	const [churn] = rows;
	if (churn === undefined) return [];
	if (!churn.on)
		return warning(
			"switched off for the whole server",
			"ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf()",
		);
	if (churn.off_here)
		return warning(
			"switched off for kv_store",
			`ALTER TABLE ${table} RESET (autovacuum_enabled)`,
		);
	if (churn.dead > toleratedDead && churn.dead > churn.live)
		return warning(
			`kv_store has ${churn.dead} dead entries and ${churn.live} live ones`,
			`VACUUM ${table}; a long transaction or a replication slot may delay it`,
		);
	return ok(`on for kv_store: ${churn.dead} dead entries`);
};
