import { createHash } from "node:crypto";

// PostgreSQL cuts longer names silently, so that two of them may become one.
const maxNameBytes = 63;

/** `resources` → `embeddings_resources`. */
export function embeddingsTableName(tableName: string): string {
	return boundedName(`embeddings_${tableName}`);
}

/** `resources` → `rem_words_resources`. */
export function wordsTableName(tableName: string): string {
	return boundedName(`rem_words_${tableName}`);
}

/**
 * The name of an index of a table: `idx_events__year__title`. Parts that would
 * make it the name of another index as well are distinguished by a hash.
 */
export function indexName(
	prefix: string,
	tableName: string,
	columns: readonly string[],
): string {
	const name = [`${prefix}_${tableName}`, ...columns].join("__");
	const isAmbiguous = [tableName, ...columns].some((part) =>
		/^_|__|_$/.test(part),
	);
	if (!isAmbiguous) return boundedName(name);
	return boundedName(`${name}_${hashOf(JSON.stringify([tableName, columns]))}`);
}

/**
 * A name as it is when PostgreSQL takes it whole, else its beginning and a
 * hash of the rest: the same name for the same parts, always at most 63 bytes.
 */
export function boundedName(name: string): string {
	if (Buffer.byteLength(name) <= maxNameBytes) return name;
	const hash = hashOf(name);
	return `${firstBytes(name, maxNameBytes - hash.length - 1)}_${hash}`;
}

/** As many whole characters as fit. */
function firstBytes(text: string, bytes: number): string {
	const cut = new TextDecoder().decode(Buffer.from(text).subarray(0, bytes));
	return cut.replace(/\uFFFD$/, "");
}

function hashOf(text: string): string {
	return createHash("sha256").update(text).digest("hex").slice(0, 8);
}

/**
 * The one place where TypeScript's camelCase meets SQL's snake_case.
 *
 * @example
 * toColumn("sizeBytes") // "size_bytes"
 * toColumn("sourceURI") // "source_uri"
 */
export function toColumn(field: string): string {
	return field
		.replace(/([a-z0-9])([A-Z])/g, "$1_$2")
		.replace(/([A-Z])([A-Z][a-z])/g, "$1_$2")
		.toLowerCase();
}

/** Whether PostgreSQL takes the name as it is, in any statement, quoted. */
export function isPlainName(name: string): boolean {
	return /^[a-z_][a-z0-9_]{0,62}$/.test(name) && !unusableNames.has(name);
}

// PostgreSQL's own columns, and the one name that JavaScript cannot store.
const unusableNames = new Set([
	"__proto__",
	"tableoid",
	"ctid",
	"xmin",
	"xmax",
	"cmin",
	"cmax",
]);
