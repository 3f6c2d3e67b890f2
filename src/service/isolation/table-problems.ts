import type { Handle } from "../../db/database.ts";
import { arrayLiteral } from "../../db/encode.ts";
import type { EntityTable } from "../../models/registry.ts";
import { sql } from "../../sql.ts";

/** A table that holds tenants' rows, and what its wall lacks. */
export interface TableWall {
	readonly table: string;
	/** Whether row level security is on at all. */
	readonly hasPolicies: boolean;
	readonly problems: readonly string[];
}

/** Every table with rows of tenants: its policies, and rights that no policy holds. */
export async function readTableWalls(
	db: Handle,
	schema: string,
	tables: readonly EntityTable[],
): Promise<readonly TableWall[]> {
	const names = [
		...tables
			.filter(({ entity }) => entity.tenantScoped)
			.flatMap(({ entity }) => [
				entity.tableName,
				...(entity.createEmbeddings ? [entity.embeddingsTableName] : []),
			]),
		"kv_store",
	];
	const { rows } = await db.query<WallRow>(sql`
SELECT c.relname::text AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
  has_table_privilege(c.oid, 'TRUNCATE') AS truncate,
  ARRAY(SELECT p.polname::text FROM pg_policy p WHERE p.polrelid = c.oid ORDER BY p.polname) AS policies
FROM unnest(${arrayLiteral(names)}::text[]) WITH ORDINALITY AS n (name, ord)
JOIN pg_class c ON c.relname = n.name AND c.relnamespace = ${schema}::regnamespace
ORDER BY n.ord`);
	return rows.map(describeWall);
}

interface WallRow {
	readonly name: string;
	readonly enabled: boolean;
	readonly forced: boolean;
	readonly truncate: boolean;
	readonly policies: readonly string[];
}

const ownPolicies = ["rem_owner", "rem_tenant"];

function describeWall(row: WallRow): TableWall {
	const foreign = row.policies.filter((name) => !ownPolicies.includes(name));
	const problems = [
		...(row.enabled ? [] : ["row level security is off"]),
		...(row.enabled && !row.forced ? ["it does not hold for the owner"] : []),
		...(row.policies.includes("rem_tenant") || !row.enabled
			? []
			: ["the policy rem_tenant is missing"]),
		// Policies add up: one more can only show more.
		...foreign.map((name) => `the policy "${name}" is none of ours`),
		...(row.enabled && row.truncate
			? ["this role may TRUNCATE, which no policy holds"]
			: []),
	];
	return { table: row.name, hasPolicies: row.enabled, problems };
}
