import type { Handle } from "../db/database.ts";
import { embeddingQueueRef } from "../db/embedding-queue.ts";
import { arrayLiteral } from "../db/encode.ts";
import type { EntityTable } from "../models/registry.ts";
import { internalRights } from "../schema/row-security.ts";
import { ident, sql, toText } from "../sql.ts";
import { type Finding, ok, type RunCheck, some, warning } from "./check.ts";

/** Each database fills these for itself: copied, they conflict with the subscriber's own. */
const internalTables = internalRights.map(({ table }) => table);

const guide = "docs/operations.md, logical replication";

/** What is published of the schema: entities and their vectors, and nothing else of ours. */
export const checkPublications: RunCheck = async ({
	db,
	settings,
	registry,
}) => {
	if (settings.database.kind === "embedded") return [];
	const { rows } = await db.query<{ name: string; tables: string[] }>(sql`
SELECT pubname::text AS name, array_agg(tablename::text ORDER BY tablename) AS tables
FROM pg_publication_tables WHERE schemaname = ${settings.schema} GROUP BY pubname ORDER BY pubname`);
	if (rows.length === 0) return ok("none");
	const findings = rows.flatMap(({ name, tables }) => {
		const internal = tables.filter((table) => internalTables.includes(table));
		return internal.length === 0
			? []
			: warning(
					`${name} publishes ${some(internal)}: a subscriber, which has its own, never finishes copying them`,
					`publish entities, and their vectors if you wish: CREATE PUBLICATION … FOR TABLE ${exampleTables(registry.all())} (${guide})`,
				);
	});
	return findings.length > 0
		? findings
		: ok(some(rows.map(({ name }) => name)));
};

function exampleTables(tables: readonly EntityTable[]): string {
	const [first] = tables;
	if (first === undefined) return "…";
	const { tableName, embeddingsTableName, createEmbeddings } = first.entity;
	return createEmbeddings ? `${tableName}, ${embeddingsTableName}` : tableName;
}

interface Subscription {
	readonly name: string;
	readonly enabled: boolean;
	readonly errors: number;
	readonly conflicts: number;
	/** Tables of ours that it brings. */
	readonly tables: readonly string[];
}

/** What a subscription applies fires row triggers only, of which we have some; and what stops it. */
export const checkSubscriptions: RunCheck = async ({
	db,
	settings,
	registry,
}) => {
	if (settings.database.kind === "embedded") return [];
	const { schema } = settings;
	const { rows } = await db.query<Subscription>(sql`
SELECT s.subname::text AS name, s.subenabled AS enabled,
  coalesce(t.apply_error_count + t.sync_error_count, 0)::float8 AS errors,
  coalesce(t.confl_insert_exists + t.confl_multiple_unique_conflicts, 0)::float8 AS conflicts,
  ARRAY(SELECT c.relname::text FROM pg_subscription_rel AS r JOIN pg_class AS c ON c.oid = r.srrelid
    WHERE r.srsubid = s.oid AND c.relnamespace = to_regnamespace(${toText(ident(schema))}) ORDER BY c.relname) AS tables
FROM pg_subscription AS s LEFT JOIN pg_stat_subscription_stats AS t ON t.subid = s.oid
WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY s.subname`);
	if (rows.length === 0) return ok("none");
	const both = settings.rowLevelSecurity
		? []
		: await embeddedOnBothSides(db, { schema, tables: registry.all() }, rows);
	const findings = rows.flatMap((one) => problemsOf(one, both));
	const names = rows.map(({ name }) => name);
	return findings.length > 0
		? findings
		: ok(
				`${some(names)}: what they write is cached, and queued for its vectors, by row triggers (rem kv verify compares)`,
			);
};

function problemsOf(
	{ name, enabled, errors, conflicts, tables }: Subscription,
	both: readonly string[],
): Finding[] {
	const internal = tables.filter((table) => internalTables.includes(table));
	const waiting = both.filter((table) => tables.includes(table));
	return [
		...(enabled
			? []
			: [
					warning(
						`${name}: disabled, so these rows grow old`,
						`ALTER SUBSCRIPTION "${name}" ENABLE`,
					),
				]),
		...(internal.length === 0
			? []
			: [
					warning(
						`${name} brings ${some(internal)}, which this database has for itself: it never finishes`,
						`publish only entities, and their vectors if you wish, then ALTER SUBSCRIPTION "${name}" REFRESH PUBLICATION (${guide})`,
					),
				]),
		...(errors === 0
			? []
			: [
					warning(
						`${name} was stopped ${errors} times by an error${conflicts === 0 ? "" : `, ${conflicts} times because a row was here already`}`,
						`the server's log names table and row; when it goes on, SELECT pg_stat_reset_subscription_stats(oid) FROM pg_subscription (${guide})`,
					),
				]),
		...(waiting.length === 0
			? []
			: [
					warning(
						`${name} brings ${some(waiting)}, and texts wait here for vectors of the same table`,
						`let one side embed: no worker, rem embeddings sync or write on this side (${guide})`,
					),
				]),
	];
}

/** Tables of vectors that a subscription brings, and whose texts wait in this database as well. */
async function embeddedOnBothSides(
	db: Handle,
	{ schema, tables }: { schema: string; tables: readonly EntityTable[] },
	subscriptions: readonly Subscription[],
): Promise<string[]> {
	const brought = subscriptions.flatMap((one) => one.tables);
	const entities = tables.filter(({ entity }) =>
		brought.includes(entity.embeddingsTableName),
	);
	if (entities.length === 0) return [];
	const names = entities.map(({ entity }) => entity.tableName);
	const { rows } = await db.query<{ name: string }>(sql`
SELECT t.name FROM unnest(${arrayLiteral(names)}::text[]) AS t (name)
WHERE EXISTS (SELECT FROM ${embeddingQueueRef(schema)} AS q WHERE q.entity_type = t.name)`);
	const waiting = rows.map(({ name }) => name);
	return entities.flatMap(({ entity }) =>
		waiting.includes(entity.tableName) ? entity.embeddingsTableName : [],
	);
}
