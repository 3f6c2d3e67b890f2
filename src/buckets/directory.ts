import { readRelationHeads } from "../db/catalogue/relations.ts";
import type { Handle } from "../db/database.ts";
import { sendEach } from "../db/send-each.ts";
import { RemError } from "../errors.ts";
import { createSchema } from "../schema/base.ts";
import { ours, ownershipMark } from "../schema/ownership.ts";
import { roles } from "../schema/row-security.ts";
import { ident, join, type Sql, sql, toText } from "../sql.ts";
import { hashName } from "./bucket-of.ts";

/** What a database records about its buckets. */
interface Directory {
	readonly buckets: number;
	readonly hash: string;
}

/** What the configured schema contains. */
export interface FoundInSchema {
	/** `undefined`: the database has no buckets. */
	readonly directory: Directory | undefined;
	/** Whether it has the tables of a service without buckets. */
	readonly hasTables: boolean;
}

const directoryName = "rem_buckets";
const ledgerName = "rem_migrations";

/** One read of the catalogue, and one of the table `rem_buckets` where it exists. */
export async function readDirectory(
	db: Handle,
	schema: string,
): Promise<FoundInSchema> {
	const found = await readRelationHeads(db, schema, {
		names: [directoryName, ledgerName],
	});
	const directory = found.find(
		({ name, comment }) =>
			name === directoryName && comment?.startsWith(ownershipMark) === true,
	);
	const hasTables = found.some(({ name }) => name === ledgerName);
	if (directory === undefined) return { directory: undefined, hasTables };
	const { rows } = await db.query<Directory>(
		sql`SELECT buckets, hash FROM ${directoryRef(schema)}`,
		{ idempotent: true },
	);
	return { directory: rows[0], hasTables };
}

/** The configured schema, and the configured number of buckets. */
interface BucketSettings {
	readonly schema: string;
	readonly buckets: number | undefined;
}

/** Throws `CONFIG_INVALID` unless the database has as many buckets as the configuration, or none yet. */
export async function checkBuckets(
	db: Handle,
	{ schema, buckets }: BucketSettings,
): Promise<void> {
	const found = await readDirectory(db, schema);
	if (buckets !== undefined) checkDirectory(found, { schema, buckets });
	else if (found.directory !== undefined)
		throw new RemError(
			"CONFIG_INVALID",
			`the tenants of this database are spread over ${found.directory.buckets} buckets`,
			{
				hint: `connect with buckets: ${found.directory.buckets} (POSTGRES__BUCKETS)`,
			},
		);
}

/** Throws `CONFIG_INVALID` unless what was read agrees with the configuration, or the schema is empty. */
export function checkDirectory(
	{ directory, hasTables }: FoundInSchema,
	{ schema, buckets }: { readonly schema: string; readonly buckets: number },
): void {
	if (directory === undefined) {
		if (!hasTables) return;
		throw new RemError(
			"CONFIG_INVALID",
			`schema ${schema} has tables of a service without buckets, but buckets is ${buckets}`,
			{
				hint: "connect without buckets (POSTGRES__BUCKETS), or with another schema (POSTGRES__SCHEMA) and move the rows by export and import",
			},
		);
	}
	if (directory.hash !== hashName)
		throw new RemError(
			"CONFIG_INVALID",
			`the database assigns tenants to buckets by ${directory.hash}, this version of remdb by ${hashName}`,
			{ hint: "use the version of remdb that created the buckets" },
		);
	if (directory.buckets === buckets) return;
	throw new RemError(
		"CONFIG_INVALID",
		`the database has ${directory.buckets} buckets, but buckets is ${buckets}`,
		{
			hint: `connect with buckets: ${directory.buckets} (POSTGRES__BUCKETS); another number needs another schema, and the rows moved by export and import`,
		},
	);
}

/** Creates the table that records the buckets, and its row. Running it again changes nothing. */
export async function createDirectory(
	db: Handle,
	schema: string,
	buckets: number,
): Promise<void> {
	const table = directoryRef(schema);
	await db.transaction(async (tx) => {
		await sendEach(
			tx,
			toText(sql`${createSchema(schema)}CREATE TABLE IF NOT EXISTS ${table} (
  buckets INTEGER NOT NULL,
  -- How a tenant's bucket is computed.
  hash TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only)
);
${ours(table)}`),
		);
		await tx.query(sql`
INSERT INTO ${table} (buckets, hash) VALUES (${buckets}, ${hashName}) ON CONFLICT DO NOTHING`);
	});
}

/** What the roles of row level security may in the configured schema: a connection reads how many buckets there are. */
export function directoryRightsDdl(schema: string): Sql {
	const readers = join(Object.values(roles).map((name) => ident(name)));
	return sql`GRANT USAGE ON SCHEMA ${ident(schema)} TO ${readers};
GRANT SELECT ON ${directoryRef(schema)} TO ${readers};
`;
}

const directoryRef = (schema: string) => ident(schema, directoryName);
