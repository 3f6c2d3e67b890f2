import type { FuzzyBound, FuzzyHit } from "../query/fuzzy.ts";
import type { Traversal } from "../query/graph/traversal.ts";
import type { LookupHit } from "../query/lookup.ts";
import type { SearchHit } from "../query/search.ts";
import type { MissingStep, RecallItem } from "./recall.ts";

/** The answer to a query of the REM dialect, distinguished by `kind`. */
export type QueryResult = FoundByQuery | QueryExplanation;

/** What a query found, most fitting first. */
export type FoundByQuery =
	| { readonly kind: "lookup"; readonly rows: readonly LookupHit[] }
	| {
			readonly kind: "fuzzy";
			readonly rows: readonly FuzzyHit[];
			/** Only where not all names that are like the text may have been compared. */
			readonly bounded?: FuzzyBound;
	  }
	| {
			readonly kind: "search";
			/** Without one, each row has its table as `entityType`. */
			readonly tableName?: string;
			readonly rows: readonly SearchHit[];
	  }
	| {
			readonly kind: "recall";
			readonly rows: readonly RecallItem[];
			/** Items for which there was no room. */
			readonly omitted: number;
			/** Of all texts together, estimated. */
			readonly tokens: number;
			/** Only where a step could not be taken: what is missing, and why. */
			readonly incomplete?: readonly MissingStep[];
	  }
	| (Omit<Traversal, "nodes"> & {
			readonly kind: "traverse";
			readonly rows: Traversal["nodes"];
	  })
	| {
			readonly kind: "sql";
			readonly tableName: string;
			readonly rows: readonly Record<string, unknown>[];
	  };

/** How a query is answered: EXPLAIN before any of them. */
export interface QueryExplanation {
	readonly kind: "explain";
	/** The read it is, with every default. */
	readonly query: Readonly<Record<string, unknown>>;
	/** What was sent to the database, in this order. */
	readonly statements: readonly ExplainedStatement[];
	/** Rows the query found. */
	readonly rowCount: number;
	/** All of it, embedding the text included, in milliseconds. */
	readonly durationMs: number;
}

export interface ExplainedStatement {
	/** Values are parameters: `$1`. */
	readonly text: string;
	/** PostgreSQL's plan, without costs: its estimates would reveal other tenants' rows. */
	readonly plan: readonly string[];
	readonly rowCount: number;
	readonly durationMs: number;
}
