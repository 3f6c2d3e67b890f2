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
