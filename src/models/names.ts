import { createHash } from "node:crypto";

// PostgreSQL cuts longer names silently, so that two of them may become one.
const maxNameBytes = 63;

/** `resources` → `embeddings_resources`. */
export function embeddingsTableName(tableName: string): string {
	return boundedName(`embeddings_${tableName}`);
}

/**
 * A name as it stands when PostgreSQL takes it whole, else its beginning and a
 * hash of the rest: the same name for the same parts, always at most 63 bytes.
 */
export function boundedName(name: string): string {
	if (Buffer.byteLength(name) <= maxNameBytes) return name;
	const hash = createHash("sha256").update(name).digest("hex").slice(0, 8);
	return `${name.slice(0, maxNameBytes - hash.length - 1)}_${hash}`;
}
