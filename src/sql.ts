import { RemError, reading } from "./errors.ts";

/**
 * SQL as text and values that never meet: an interpolated value becomes a
 * parameter, an interpolated {@link Sql} is spliced in, and nothing else exists.
 */
export interface Sql {
	readonly parts: readonly string[];
	readonly values: readonly SqlValue[];
}

/** Bytes are sent in PostgreSQL's binary format; every other value as text. */
export type SqlValue = string | number | boolean | null | Date | Uint8Array;

/** A statement as the driver takes it. */
export interface Statement {
	readonly text: string;
	readonly values: readonly SqlValue[];
}

/**
 * @example
 * compile(sql`SELECT 1 FROM ${ident("docs")} WHERE tenant_id = ${"acme"}`)
 * // { text: 'SELECT 1 FROM "docs" WHERE tenant_id = $1', values: ["acme"] }
 */
export function sql(
	strings: TemplateStringsArray,
	...inserted: readonly (Sql | SqlValue)[]
): Sql {
	return reading("sql", () => {
		const parts = [strings[0] ?? ""];
		const values: SqlValue[] = [];
		inserted.forEach((item, index) => {
			if (isSql(item)) append(parts, values, item);
			else {
				values.push(item);
				parts.push("");
			}
			parts[parts.length - 1] += strings[index + 1] ?? "";
		});
		return { parts, values };
	});
}

/** A quoted identifier, dotted when several names are given. */
export function ident(...names: readonly string[]): Sql {
	for (const name of names)
		if (typeof name !== "string" || name.includes("\0"))
			throw new RemError(
				"VALIDATION",
				"a name in SQL must be a string without NUL characters",
			);
	return raw(names.map((name) => `"${name.replaceAll('"', '""')}"`).join("."));
}

/** A quoted literal, for texts that take no parameters (DDL). */
export function literal(value: string): Sql {
	const quoted = `'${value.replaceAll("'", "''")}'`;
	return raw(
		value.includes("\\") ? `E${quoted.replaceAll("\\", "\\\\")}` : quoted,
	);
}

/** Fragments one after the other, with `separator` between them. */
export function join(items: readonly Sql[], separator = ", "): Sql {
	const parts = [""];
	const values: SqlValue[] = [];
	items.forEach((item, index) => {
		if (index > 0) parts[parts.length - 1] += separator;
		append(parts, values, item);
	});
	return { parts, values };
}

/** SQL text written in this code base: keywords, operators, type names. Never for input. */
export function raw(text: string): Sql {
	return { parts: [text], values: [] };
}

export const empty: Sql = raw("");

export function compile(statement: Sql): Statement {
	const text = statement.parts.reduce(
		(before, part, index) => `${before}$${index}${part}`,
	);
	return { text, values: statement.values };
}

/** The text of a statement without parameters, for files and `psql`. */
export function toText(statement: Sql): string {
	if (statement.values.length > 0)
		throw new TypeError("a text for psql cannot have parameters");
	return statement.parts.join("");
}

function isSql(item: Sql | SqlValue): item is Sql {
	return typeof item === "object" && item !== null && "parts" in item;
}

function append(parts: string[], values: SqlValue[], item: Sql): void {
	parts[parts.length - 1] += item.parts[0] ?? "";
	parts.push(...item.parts.slice(1));
	values.push(...item.values);
}
