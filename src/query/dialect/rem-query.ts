/** A part of a query's text that is read later, and where it begins (0-based). */
export interface Part<T = string> {
	readonly value: T;
	readonly index: number;
}

/** SQL within a query: the text and, of each of its characters, the place in the query. */
export interface SqlPart {
	readonly value: string;
	/** The place in the query's text of a place in `value`. */
	at(index: number): number;
}

export type Direction = "out" | "in" | "both";

/** A query as it was written: names are not looked up yet, SQL is not read. */
export type RemQuery =
	| {
			readonly kind: "lookup";
			readonly keys: readonly string[];
			readonly table?: Part;
	  }
	| {
			readonly kind: "fuzzy";
			readonly text: string;
			readonly table?: Part;
			readonly threshold?: Part<number>;
			readonly limit?: Part<number>;
	  }
	| {
			readonly kind: "search";
			readonly text: string;
			readonly table?: Part;
			readonly field?: Part;
			readonly where?: SqlPart;
			readonly min?: Part<number>;
			readonly limit?: Part<number>;
	  }
	| {
			readonly kind: "recall";
			readonly text: string;
			readonly tables?: readonly Part[];
			readonly limit?: Part<number>;
			readonly maxTokens?: Part<number>;
	  }
	| {
			readonly kind: "traverse";
			readonly from: string;
			readonly types: readonly string[];
			readonly depth?: Part<number>;
			readonly direction?: Direction;
			readonly orderBy?: SqlPart;
			readonly limit?: Part<number>;
	  }
	| {
			readonly kind: "sql";
			readonly table: Part;
			readonly where?: SqlPart;
			readonly orderBy?: SqlPart;
			readonly limit?: Part<number>;
			readonly offset?: Part<number>;
	  };

export interface ParsedQuery {
	/** Whether EXPLAIN stood before it. */
	readonly explain: boolean;
	readonly query: RemQuery;
}

/** Existing names, which distinguish a clause from a word of an unquoted text. */
export interface KnownNames {
	isTable(name: string): boolean;
	isField(name: string): boolean;
}
