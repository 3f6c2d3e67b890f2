import type { Handle } from "../db/database.ts";
import { arrayLiteral } from "../db/encode.ts";
import type { EntityTable } from "../models/registry.ts";
import { internalRights } from "../schema/row-security.ts";
import { hasWords } from "../schema/word-indexes.ts";
import { sql } from "../sql.ts";

/** A table with tenants' rows, and what its policies lack. */
export interface TableWall {
	readonly table: string;
	/** Whether row level security is on at all. */
	readonly hasPolicies: boolean;
	readonly problems: readonly string[];
}

/** Every table with rows of tenants: its policies, and rights that no policy restricts. */
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
				...(hasWords(entity) ? [entity.wordsTableName] : []),
			]),
		"kv_store",
		"rem_embedding_queue",
	];
	const { rows } = await db.query<WallRow>(sql`
SELECT c.relname::text AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
  has_table_privilege(c.oid, 'TRUNCATE') AS truncate,
  ARRAY(SELECT p.polname::text FROM pg_policy p WHERE p.polrelid = c.oid ORDER BY p.polname) AS policies
FROM unnest(${arrayLiteral(names)}::text[]) WITH ORDINALITY AS n (name, ord)
JOIN pg_class c ON c.relname = n.name AND c.relnamespace = ${schema}::regnamespace
ORDER BY n.ord`);
	const walls = rows.map(describeWall);
	if (!walls.some(({ hasPolicies }) => hasPolicies)) return walls;
	return [
		...walls,
		...(await readExcessRights(db, schema)),
		...(await readOpenFunctions(db, schema)),
	];
}

/** Rights of this role on what all tenants depend on, beyond those that the verbs need. */
async function readExcessRights(
	db: Handle,
	schema: string,
): Promise<TableWall[]> {
	const { rows } = await db.query<{ name: string; privilege: string }>(sql`
SELECT c.relname::text AS name, p.privilege
FROM pg_class AS c
CROSS JOIN unnest('{INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) WITH ORDINALITY AS p (privilege, ord)
WHERE c.relnamespace = ${schema}::regnamespace
  AND c.relname = ANY (${arrayLiteral(internalRights.map(({ table }) => table))}::text[])
  AND CASE WHEN p.privilege IN ('INSERT', 'UPDATE') THEN has_any_column_privilege(c.oid, p.privilege)
    ELSE has_table_privilege(c.oid, p.privilege) END
ORDER BY c.relname, p.ord`);
	return internalRights.flatMap(({ table, app }) => {
		const excess = rows.filter(
			// The first list above reports a TRUNCATE where policies are.
			({ name, privilege }) =>
				name === table &&
				!app.includes(privilege) &&
				!(privilege === "TRUNCATE" && protectedInternal.includes(name)),
		);
		return excess.length === 0
			? []
			: [
					{
						table,
						hasPolicies: false,
						problems: [
							`this role may ${excess.map(({ privilege }) => privilege).join(", ")} what all tenants depend on`,
						],
					},
				];
	});
}

const protectedInternal = ["kv_store", "rem_embedding_queue"];

/** Trigger functions that run as their owner, and that this role could attach to a table of its own. */
async function readOpenFunctions(
	db: Handle,
	schema: string,
): Promise<TableWall[]> {
	const { rows } = await db.query<{ name: string }>(sql`
SELECT p.proname::text AS name FROM pg_proc AS p
WHERE p.pronamespace = ${schema}::regnamespace AND p.prosecdef AND p.prorettype = 'trigger'::regtype
  AND has_function_privilege(p.oid, 'EXECUTE')
ORDER BY p.proname`);
	return rows.map(({ name }) => ({
		table: name,
		hasPolicies: false,
		problems: [
			"this role may attach the function to a table of its own, and change other tenants' rows by it",
		],
	}));
}

interface WallRow {
	readonly name: string;
	readonly enabled: boolean;
	readonly forced: boolean;
	readonly truncate: boolean;
	readonly policies: readonly string[];
}

const ownPolicies = ["rem_owner", "rem_tenant"];
const queuePolicies = /^rem_(monitor$|tenant_)/;

function describeWall(row: WallRow): TableWall {
	const foreign = row.policies.filter(
		(name) =>
			!ownPolicies.includes(name) &&
			!(row.name === "rem_embedding_queue" && queuePolicies.test(name)),
	);
	const problems = [
		...(row.enabled ? [] : ["row level security is off"]),
		...(row.enabled && !row.forced ? ["it does not apply to the owner"] : []),
		...(row.policies.some((name) => name.startsWith("rem_tenant")) ||
		!row.enabled
			? []
			: ["the policy rem_tenant is missing"]),
		// Policies add up: one more can only show more.
		...foreign.map((name) => `the policy "${name}" is none of ours`),
		...(row.enabled && row.truncate
			? ["this role may TRUNCATE, which no policy restricts"]
			: []),
	];
	return { table: row.name, hasPolicies: row.enabled, problems };
}
