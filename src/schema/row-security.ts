import { embeddingQueueRef } from "../db/embedding-queue.ts";
import { embeddingsRef, tableRef, wordsRef } from "../db/tables.ts";
import { sharedTenant } from "../models/limits.ts";
import { boundedName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import { empty, ident, join, literal, raw, type Sql, sql } from "../sql.ts";
import { kvSourceRef } from "./kv-trigger.ts";
import {
	firstStatisticsDdl,
	holdingDdl,
	similarEntriesDdl,
} from "./owner-functions.ts";
import { ownershipMark } from "./ownership.ts";
import { hasWords } from "./word-indexes.ts";

/** The setting that states whose rows a transaction sees. */
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
${internalRightsDdl(schema)}${tenantPolicies(ident(schema, "kv_store"), ownOrShared, ownTenant)}${queuePolicies(embeddingQueueRef(schema))}${similarEntriesDdl(schema, protection)}${firstStatisticsDdl(schema, protection.owner, roles.app)}
${join(tables.map(entityRowSecurityDdl), "\n")}`;
}

/** Policies and rights of one entity's tables. */
export function entityRowSecurityDdl(table: EntityTable): Sql {
	const { entity } = table;
	const readers = sql`${ident(roles.app)}, ${ident(roles.readOnly)}`;
	const policies = entity.tenantScoped
		? sql`${tenantPolicies(tableRef(table), ownTenant, ownTenant)}${holdingDdl(table, protection)}`
		: empty;
	const cached = entity.createKvTrigger
		? sql`REVOKE ALL ON ${kvSourceRef(table)} FROM ${readers};
GRANT SELECT ON ${kvSourceRef(table)} TO ${readers};
`
		: empty;
	return sql`-- ${raw(entity.tableName)}
REVOKE ALL ON ${tableRef(table)} FROM ${readers};
GRANT SELECT, INSERT, UPDATE, DELETE ON ${tableRef(table)} TO ${ident(roles.app)};
GRANT SELECT ON ${tableRef(table)} TO ${ident(roles.readOnly)};
${cached}${policies}${entity.createEmbeddings ? vectorsDdl(table) : empty}${hasWords(entity) ? wordRightsDdl(table) : empty}`;
}

/** What the verbs write of a vector when it is new, and when it replaces another. */
const vectorColumns = {
	insert:
		"entity_id, tenant_id, user_id, field_name, provider, model, dimensions, content_hash, chunk, chunk_start, chunk_end, embedding",
	update: "embedding, content_hash, chunk_start, chunk_end, updated_at",
} as const;

/**
 * A vector, and a text in the queue, belong to the tenant of their entity: with
 * a foreign entity's id and one's own tenant, a row would hide from that entity's
 * tenant and break its upserts by the unique constraint.
 */
function vectorsDdl(table: EntityTable): Sql {
	const { entity, schema } = table;
	const embeddings = embeddingsRef(table);
	const queue = embeddingQueueRef(schema);
	const policy = ident(boundedName(`rem_tenant_${entity.tableName}`));
	const policies = entity.tenantScoped
		? tenantPolicies(
				embeddings,
				ownTenant,
				sql`${ownTenant} AND ${isOfOwnEntity(table, embeddings)}`,
			)
		: empty;
	return sql`REVOKE ALL ON ${embeddings} FROM ${ident(roles.app)}, ${ident(roles.readOnly)};
GRANT SELECT, DELETE, INSERT (${raw(vectorColumns.insert)}), UPDATE (${raw(vectorColumns.update)}) ON ${embeddings} TO ${ident(roles.app)};
GRANT SELECT ON ${embeddings} TO ${ident(roles.readOnly)};
${policies}DROP POLICY IF EXISTS ${policy} ON ${queue};
CREATE POLICY ${policy} ON ${queue} USING (entity_type = ${literal(entity.tableName)} AND ${isOfOwnEntity(table, queue)});
`;
}

/** Words are read by searches and written by triggers, as the owner. */
function wordRightsDdl(table: EntityTable): Sql {
	const words = wordsRef(table);
	const readers = sql`${ident(roles.app)}, ${ident(roles.readOnly)}`;
	return sql`REVOKE ALL ON ${words} FROM ${readers};
GRANT SELECT ON ${words} TO ${readers};
${table.entity.tenantScoped ? tenantPolicies(words, ownTenant, ownTenant) : empty}`;
}

/** A scalar subquery: PostgreSQL looks up one row by its primary key, and never hashes the whole tenant as it may for EXISTS. */
function isOfOwnEntity(table: EntityTable, referrer: Sql): Sql {
	const { entity } = table;
	const row = sql`FROM ${tableRef(table)} AS rem_entity WHERE rem_entity.id = ${referrer}.entity_id`;
	return entity.tenantScoped
		? sql`(SELECT rem_entity.tenant_id ${row}) = ${current}`
		: sql`(SELECT TRUE ${row})`;
}

// After a transaction that set it, the setting is '' and not NULL.
const current = sql`nullif(current_setting(${literal(tenantSetting)}, true), '')`;
const ownTenant = sql`tenant_id = ${current}`;
const ownOrShared = sql`tenant_id IN (${current}, ${literal(sharedTenant)})`;

const protection = {
	owner: roles.owner,
	readers: [roles.app, roles.readOnly],
	tenant: current,
};

function tenantPolicies(table: Sql, isVisible: Sql, isWritable: Sql): Sql {
	return sql`${force(table)}DROP POLICY IF EXISTS rem_tenant ON ${table};
CREATE POLICY rem_tenant ON ${table} USING (${isVisible}) WITH CHECK (${isWritable});
${ownerPolicy(table)}`;
}

/** Which texts are a tenant's is a policy of each entity's; pg_monitor counts all: the table contains no text. */
function queuePolicies(queue: Sql): Sql {
	return sql`${force(queue)}${ownerPolicy(queue)}DROP POLICY IF EXISTS rem_monitor ON ${queue};
CREATE POLICY rem_monitor ON ${queue} FOR SELECT TO pg_monitor USING (true);
`;
}

function force(table: Sql): Sql {
	return sql`ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE ${table} FORCE ROW LEVEL SECURITY;
`;
}

function ownerPolicy(table: Sql): Sql {
	return sql`DROP POLICY IF EXISTS rem_owner ON ${table};
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
GRANT USAGE ON SCHEMA ${ident(schema)} TO ${ident(app)}, ${ident(readOnly)};
-- A table that comes later has no policies yet: nobody gets rights on it by itself.
ALTER DEFAULT PRIVILEGES IN SCHEMA ${ident(schema)} REVOKE ALL ON TABLES FROM ${ident(app)}, ${ident(readOnly)};
ALTER DEFAULT PRIVILEGES FOR ROLE ${ident(owner)} IN SCHEMA ${ident(schema)} REVOKE ALL ON TABLES FROM ${ident(app)}, ${ident(readOnly)};`;
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
  -- Any role could attach such a function to a temporary table of its own, and
  -- delete by it, as the owner, what other tenants have in the cache and the queue.
  FOR rem_object IN
    SELECT p.oid::regprocedure::text AS name FROM pg_proc p
    WHERE p.pronamespace = ${literal(schema)}::regnamespace AND p.prosecdef AND p.prorettype = 'trigger'::regtype
      AND p.proowner = ${owner}::regrole
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, %I, %I', rem_object.name, ${literal(roles.app)}, ${literal(roles.readOnly)});
  END LOOP;
END $do$;`;
}

/** Rights on a table that contains no entity, but what all tenants depend on. */
interface InternalRights {
	readonly table: string;
	readonly app: readonly string[];
	readonly readOnly: readonly string[];
}

/**
 * Exactly what the verbs need on a connection that policies restrict. Everything
 * else is done by triggers and workers, as the owner: a tenant's own SQL must not
 * be able to change the models, the index builds or the state of the cache.
 */
export const internalRights: readonly InternalRights[] = [
	{ table: "kv_store", app: ["SELECT"], readOnly: ["SELECT"] },
	{ table: "kv_state", app: ["SELECT"], readOnly: ["SELECT"] },
	{ table: "rem_embedding_models", app: ["SELECT"], readOnly: ["SELECT"] },
	{ table: "rem_embedding_fields", app: ["SELECT"], readOnly: ["SELECT"] },
	{ table: "rem_embedding_versions", app: [], readOnly: [] },
	{
		table: "rem_embedding_queue",
		app: ["SELECT", "INSERT", "UPDATE", "DELETE"],
		readOnly: ["SELECT"],
	},
	{ table: "rem_word_sources", app: ["SELECT"], readOnly: ["SELECT"] },
	{ table: "rem_index_builds", app: [], readOnly: [] },
	{ table: "rem_migrations", app: [], readOnly: [] },
];

function internalRightsDdl(schema: string): Sql {
	const app = ident(roles.app);
	const readOnly = ident(roles.readOnly);
	const grant = (rights: readonly string[], table: Sql, role: Sql) =>
		rights.length === 0
			? empty
			: sql`GRANT ${raw(rights.join(", "))} ON ${table} TO ${role};
`;
	return join(
		internalRights.map(({ table, ...rights }) => {
			const ref = ident(schema, table);
			return sql`REVOKE ALL ON ${ref} FROM ${app}, ${readOnly};
${grant(rights.app, ref, app)}${grant(rights.readOnly, ref, readOnly)}`;
		}),
		"",
	);
}
