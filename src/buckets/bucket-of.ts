import { createHash } from "node:crypto";

/** The name of the hash, as the database records it. With another hash, tenants would be looked up in the wrong bucket. */
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
