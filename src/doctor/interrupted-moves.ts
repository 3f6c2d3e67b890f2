import { sql } from "../sql.ts";
import { type Finding, ok, type RunCheck, some, warning } from "./check.ts";

/** What a node reports of moves of shards: names of objects, or why it did not answer. */
interface NodeReport {
	/** `host:port` */
	readonly node: string;
	readonly success: boolean;
	/** A JSON array of `MoveObject`, or the error. */
	readonly result: string;
}

interface MoveObject {
	readonly kind: "subscription" | "publication" | "replication slot";
	readonly name: string;
}

/** What Citus leaves on its nodes where one of them failed while it moved a bucket: a slot retains WAL until its disk is full. */
export const checkInterruptedMoves: RunCheck = async ({ db }) => {
	if (!db.capabilities.citus) return [];
	const moves = await db.query<{ count: number }>(sql`
SELECT count(*)::integer AS count FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
  AND query ~ 'citus_schema_move|citus_move_shard_placement|citus_drain_node|rebalance_table_shards'`);
	if ((moves.rows[0]?.count ?? 0) > 0) return ok("a bucket is being moved");
	const { rows } = await db.query<NodeReport>(sql`
SELECT coalesce(n.nodename || ':' || n.nodeport, 'a node') AS node, c.success, c.result
FROM run_command_on_all_nodes(${objectsOfMoves}::text, true, true) AS c
LEFT JOIN pg_dist_node AS n ON n.nodeid = c.nodeid ORDER BY 1`);
	return findingsOf(rows);
};

const objectsOfMoves = `SELECT coalesce(jsonb_agg(jsonb_build_object('kind', o.kind, 'name', o.name) ORDER BY o.kind DESC, o.name), '[]')
FROM (
  SELECT 'subscription' AS kind, s.subname::text AS name FROM pg_subscription AS s JOIN pg_database AS d ON d.oid = s.subdbid
    WHERE d.datname = current_database()
  UNION ALL SELECT 'replication slot', slot_name::text FROM pg_replication_slots WHERE database = current_database()
  UNION ALL SELECT 'publication', pubname::text FROM pg_publication
) AS o WHERE o.name ~ '^citus_shard_move_(subscription|slot|publication)_'`;

/** One line for each node that has leftovers, or did not answer. */
export function findingsOf(reports: readonly NodeReport[]): Finding[] {
	const findings = reports.flatMap(({ node, success, result }) => {
		if (!success)
			return warning(
				`${node} did not answer: ${result}`,
				"start the node, or check its log and pg_dist_node",
			);
		const objects = JSON.parse(result) as readonly MoveObject[];
		return objects.length === 0
			? []
			: warning(
					`${node} has ${some(objects.map(({ kind, name }) => `${kind} ${name}`))} of a move that was interrupted`,
					`on the coordinator CALL citus_cleanup_orphaned_resources(); if it remains, on ${node}: ${objects.map(dropping).join("; ")}`,
				);
	});
	return findings.length > 0 ? findings : [ok("none")];
}

/** A subscription whose slot is gone can be dropped only without it. */
function dropping({ kind, name }: MoveObject): string {
	if (kind === "publication") return `DROP PUBLICATION ${name}`;
	if (kind === "replication slot")
		return `SELECT pg_drop_replication_slot('${name}')`;
	return `ALTER SUBSCRIPTION ${name} DISABLE; ALTER SUBSCRIPTION ${name} SET (slot_name = NONE); DROP SUBSCRIPTION ${name}`;
}
