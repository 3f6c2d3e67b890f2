import { createHash } from "node:crypto";
import { type Sql, sql } from "../sql.ts";

/** The name of the hash, as the database records it: another one would look for tenants elsewhere. */
export const hashName = "sha256/32";

/**
 * The bucket of a tenant: the first 32 bits of the SHA-256 of its name in UTF-8,
 * as an unsigned number, modulo the number of buckets. It never changes.
 *
 * @example
 * bucketOf("acme-corp", 64) // 60
 */
export function bucketOf(tenantId: string, buckets: number): number {
	const hash = createHash("sha256").update(tenantId, "utf8").digest();
	return hash.readUInt32BE(0) % buckets;
}

/** The same of a column or a value, computed by the server. */
export function bucketSql(tenantId: Sql, buckets: number): Sql {
	return sql`(('x' || encode(substr(sha256(convert_to(${tenantId}, 'UTF8')), 1, 4), 'hex'))::bit(32)::bigint % ${buckets})`;
}
