import type { FieldModel } from "./bootstrap.ts";
import type { EntityRef, JsonObject, Scope } from "./common.ts";

export interface ConsoleRequest extends Scope {
	/** A query of the query language; `EXPLAIN` before it explains it. */
	readonly query: string;
}

export interface ConsoleResponse {
	readonly kind:
		| "lookup"
		| "fuzzy"
		| "search"
		| "recall"
		| "traverse"
		| "sql"
		| "explain";
	/** Columns to show, in their order. */
	readonly columns: readonly {
		readonly name: string;
		/** A column type, as of {@link FieldModel}; `null`: not a field of a model. */
		readonly type: string | null;
	}[];
	/** Of every kind but `explain`. */
	readonly rows: readonly JsonObject[];
	/** Of each row, where it is an entity: a link to it. */
	readonly entities: readonly (EntityRef | null)[];
	/** The answer as exact JSON text, to show and copy. */
	readonly json: string;
	/** Of `explain`. */
	readonly explanation?: {
		readonly query: JsonObject;
		readonly statements: readonly {
			readonly text: string;
			readonly plan: readonly string[];
			readonly rowCount: number;
			readonly durationMs: number;
		}[];
		readonly rowCount: number;
		readonly durationMs: number;
	};
	readonly notes: readonly string[];
	readonly durationMs: number;
	readonly code: { readonly typescript: string; readonly shell: string };
}

export interface CompleteRequest extends Scope {
	readonly query: string;
	/** Where the cursor is: characters before it. */
	readonly cursor: number;
}

export interface CompleteResponse {
	/** The characters that a suggestion replaces. */
	readonly from: number;
	readonly to: number;
	readonly suggestions: readonly {
		readonly text: string;
		readonly kind: "keyword" | "table" | "field" | "key";
		/** A column type, or a key's table. */
		readonly detail?: string;
	}[];
}
