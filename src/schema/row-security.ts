import {
	embeddingFieldsRef,
	embeddingModelsRef,
	embeddingQueueRef,
} from "../db/embedding-queue.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import { sharedTenant } from "../models/limits.ts";
import type { EntityTable } from "../models/registry.ts";
import { empty, ident, join, literal, raw, type Sql, sql } from "../sql.ts";
import { holdingDdl, similarEntriesDdl } from "./held-functions.ts";
import { kvSourceRef } from "./kv-trigger.ts";
import { ownershipMark } from "./ownership.ts";

/** The setting that says whose rows a transaction sees. */
export const tenantSetting = "rem.tenant_id";

/** Owner of everything, readers and writers of rows, readers of rows. */
export const roles = {
	owner: "rem_owner",
	app: "rem_app",
	readOnly: "rem_ro",
} as const;

/**
 * The second wall: policies that show each transaction one tenant's rows, and
 * the roles they are for. Tables are FORCEd, so that owning one opens nothing;
 * what works on all tenants (triggers, migrations, rebuilds) does so as
 * rem_owner, by a policy of its own, which takes no BYPASSRLS to create.
 */
export function rowSecurityDdl(
	schema: string,
	tables: readonly EntityTable[],
): Sql {
	return sql`${createRoles(schema)}
${takeOwnership(schema)}
${internalRights(schema)}
${tenantPolicies(ident(schema, "kv_store"), ownOrShared)}${similarEntriesDdl(schema, heldBy)}
${join(tables.map(entityRowSecurityDdl), "\n")}`;
}

/** Policies and rights of one entity's tables. */
export function entityRowSecurityDdl(table: EntityTable): Sql {
	const { entity } = table;
	const own = [
		tableRef(table),
		...(entity.createEmbeddings ? [embeddingsRef(table)] : []),
	];
	const policies = entity.tenantScoped
		? join(
				own.map((name) => tenantPolicies(name, ownTenant)),
				"",
			)
		: empty;
	const read = entity.createKvTrigger ? [...own, kvSourceRef(table)] : own;
	return sql`-- ${raw(entity.tableName)}
GRANT SELECT, INSERT, UPDATE, DELETE ON ${join(own)} TO ${ident(roles.app)};
GRANT SELECT ON ${join(read)} TO ${ident(roles.app)}, ${ident(roles.readOnly)};
${policies}${entity.tenantScoped ? holdingDdl(table, heldBy) : empty}`;
}

// After a transaction that set it, the setting is '' and not NULL.
const current = sql`nullif(current_setting(${literal(tenantSetting)}, true), '')`;
const ownTenant = sql`tenant_id = ${current}`;
const ownOrShared = sql`tenant_id IN (${current}, ${literal(sharedTenant)})`;

const heldBy = {
	owner: roles.owner,
	readers: [roles.app, roles.readOnly],
	tenant: current,
};

function tenantPolicies(table: Sql, isVisible: Sql): Sql {
	return sql`ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE ${table} FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS rem_tenant ON ${table};
CREATE POLICY rem_tenant ON ${table} USING (${isVisible}) WITH CHECK (${ownTenant});
DROP POLICY IF EXISTS rem_owner ON ${table};
CREATE POLICY rem_owner ON ${table} TO ${ident(roles.owner)} USING (true) WITH CHECK (true);
`;
}

/** Roles are the cluster's: another database may have made them, or be making them now. */
function createRoles(schema: string): Sql {
	const { owner, app, readOnly } = roles;
	return sql`-- Row level security. Log in as a member of ${raw(app)} (or ${raw(readOnly)}), never of ${raw(owner)}.
DO $do$
DECLARE
  rem_role TEXT;
BEGIN
  FOREACH rem_role IN ARRAY ARRAY[${literal(owner)}, ${literal(app)}, ${literal(readOnly)}] LOOP
    CONTINUE WHEN to_regrole(rem_role) IS NOT NULL;
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN NOBYPASSRLS', rem_role);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END LOOP;
  -- Whoever runs this hands its objects over, and goes on migrating them.
  IF NOT pg_has_role(${literal(owner)}, 'USAGE') THEN
    EXECUTE format('GRANT %I TO CURRENT_USER', ${literal(owner)});
  END IF;
END $do$;
GRANT USAGE, CREATE ON SCHEMA ${ident(schema)} TO ${ident(owner)};
GRANT USAGE ON SCHEMA ${ident(schema)} TO ${ident(app)}, ${ident(readOnly)};`;
}

/** Functions that run as their owner must be rem_owner's: only it sees all rows. */
function takeOwnership(schema: string): Sql {
	const owner = literal(roles.owner);
	return sql`DO $do$
DECLARE
  rem_object RECORD;
BEGIN
  FOR rem_object IN
    SELECT c.oid, CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind, c.oid::regclass::text AS name
    FROM pg_class c
    JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = 0
    WHERE c.relnamespace = ${literal(schema)}::regnamespace AND c.relkind IN ('r', 'v')
      AND starts_with(d.description, ${literal(`${ownershipMark}: `)}) AND c.relowner <> ${owner}::regrole
    UNION ALL
    SELECT p.oid, 'ROUTINE', p.oid::regprocedure::text
    FROM pg_proc p
    WHERE p.pronamespace = ${literal(schema)}::regnamespace AND p.proowner <> ${owner}::regrole
      AND (starts_with(p.proname, 'rem_')
        OR (starts_with(p.proname, 'fn_') AND p.prosecdef AND p.oid IN (SELECT tgfoid FROM pg_trigger)))
  LOOP
    EXECUTE format('ALTER %s %s OWNER TO %I', rem_object.kind, rem_object.name, ${owner});
  END LOOP;
END $do$;`;
}

/** What the library keeps for itself holds ids and names of models, no content. */
function internalRights(schema: string): Sql {
	const app = ident(roles.app);
	const read = [
		...["kv_store", "kv_state", "rem_migrations"].map((name) =>
			ident(schema, name),
		),
		embeddingFieldsRef(schema),
	];
	const queues = [
		embeddingModelsRef(schema),
		embeddingQueueRef(schema),
		ident(schema, "rem_index_builds"),
	];
	return sql`GRANT SELECT ON ${join(read)} TO ${app}, ${ident(roles.readOnly)};
GRANT SELECT, INSERT, UPDATE, DELETE ON ${join(queues)} TO ${app};`;
}
