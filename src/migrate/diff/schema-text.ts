import { ident, toText } from "../../sql.ts";

/** How names in one schema are written, and texts of the catalogue made comparable. */
export class SchemaText {
	readonly #schema: string;
	readonly #prefixes: RegExp;

	constructor(schema: string) {
		this.#schema = schema;
		this.#prefixes = new RegExp(
			`(?<![\\w"])(?:"?pg_temp"?|"?${schema}"?)\\.`,
			"g",
		);
	}

	/** `"public"."documents"` */
	name(name: string): string {
		return toText(ident(this.#schema, name));
	}

	/** Without the schema, which is the temporary one on the expected side. */
	bare(text: string): string {
		return text.replaceAll(this.#prefixes, "");
	}

	isSame(a: string | null, b: string | null): boolean {
		return (
			a === b || (a !== null && b !== null && this.bare(a) === this.bare(b))
		);
	}

	/** A text of the expected side as a statement for the schema itself. */
	placed(text: string): string {
		return text
			.replaceAll('"pg_temp".', `${quoted(this.#schema)}.`)
			.replaceAll("pg_temp.", `${quoted(this.#schema)}.`);
	}
}

/** `"year"` */
export function quoted(name: string): string {
	return toText(ident(name));
}
