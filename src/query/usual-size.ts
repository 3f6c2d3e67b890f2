import type { Handle, QueryOptions } from "../db/database.ts";
import { type Sql, sql, toText } from "../sql.ts";
import { ExpiringCache } from "../util/expiring-cache.ts";

/** Rows that PostgreSQL looks for in an index, whichever plan it makes. */
const alwaysIndexed = 250;

const maxAgeMs = 30_000;

/** Rows of a tenant in a table. */
export interface TenantRows {
	readonly ref: Sql;
	readonly tenant: string;
	readonly readsUnlogged?: boolean;
}

/** What PostgreSQL expects of the tenants of a table. */
interface ExpectedTenants {
	/** Rows of one that it does not know. */
	readonly ofAny: number;
	/** The tenants of which it expects far more; `undefined`: each has to be asked for. */
	readonly large: ReadonlySet<string> | undefined;
}

/**
 * Whether PostgreSQL expects of any tenant as many rows as of this one, roughly: a
 * prepared statement is planned for a tenant of average size. In one far larger than
 * that, PostgreSQL would read all of its rows where it should ask an index. Asked
 * for once in half a minute for all tenants of a table.
 */
export class UsualSizes {
	readonly #tables = new ExpiringCache<ExpectedTenants>({ maxAgeMs });
	readonly #tenants = new ExpiringCache<boolean>({
		maxAgeMs,
		maxEntries: 1000,
	});

	async isUsual(
		db: Handle,
		{ ref, tenant, readsUnlogged = false }: TenantRows,
	): Promise<boolean> {
		const table = toText(ref);
		const options = { readsUnlogged };
		const { ofAny, large } = await this.#tables.getOrRead(table, () =>
			readExpected(db, ref, options),
		);
		if (ofAny >= alwaysIndexed) return true;
		if (large !== undefined) return !large.has(tenant);
		return this.#tenants.getOrRead(
			JSON.stringify([table, tenant]),
			async () => {
				const rows = await estimatedRows(
					db,
					sql`SELECT FROM ${ref} WHERE tenant_id = ${tenant}`,
					options,
				);
				return rows <= 2 * ofAny;
			},
		);
	}

	forget(): void {
		this.#tables.clear();
		this.#tenants.clear();
	}
}

async function readExpected(
	db: Handle,
	ref: Sql,
	options: Pick<QueryOptions, "readsUnlogged">,
): Promise<ExpectedTenants> {
	// What a subquery returns is not known when the plan is made, as is a parameter of a prepared statement.
	const ofAny = await estimatedRows(
		db,
		sql`SELECT FROM ${ref} WHERE tenant_id = (SELECT ''::text)`,
		options,
	);
	if (ofAny >= alwaysIndexed) return { ofAny, large: undefined };
	const all = await estimatedRows(db, sql`SELECT FROM ${ref}`, options);
	return { ofAny, large: await readLarge(db, ref, { ofAny, all }) };
}

/**
 * The tenants that statistics know as frequent ones: of the others the same number
 * of rows is expected. `undefined` where this role may not see the statistics, as
 * under row level security.
 */
async function readLarge(
	db: Handle,
	ref: Sql,
	{ ofAny, all }: { readonly ofAny: number; readonly all: number },
): Promise<ReadonlySet<string> | undefined> {
	const { rows } = await db.query<{ large: string[] }>(
		sql`
SELECT ARRAY(SELECT m.tenant
  FROM unnest(s.most_common_vals::text::text[], s.most_common_freqs) AS m (tenant, share)
  WHERE m.share * ${all}::float8 > 2 * ${ofAny}::float8) AS large
FROM (SELECT n.nspname AS schema, c.relname AS name
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.oid = to_regclass(${toText(ref)})
  OFFSET 0) AS t
JOIN pg_stats AS s ON s.schemaname = t.schema AND s.tablename = t.name
WHERE s.attname = 'tenant_id' AND NOT s.inherited`,
		{ idempotent: true },
	);
	const [found] = rows;
	return found && new Set(found.large);
}

/** How many rows PostgreSQL expects a statement to return. */
export async function estimatedRows(
	db: Handle,
	statement: Sql,
	options: Pick<QueryOptions, "readsUnlogged"> = {},
): Promise<number> {
	const { rows } = await db.query<{
		"QUERY PLAN": [{ Plan: { "Plan Rows": number } }];
	}>(sql`EXPLAIN (FORMAT JSON) ${statement}`, { ...options, idempotent: true });
	return rows[0]?.["QUERY PLAN"][0].Plan["Plan Rows"] ?? 0;
}
