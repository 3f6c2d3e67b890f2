import type { EntityRef, Scope } from "./common.ts";
import type { VectorState } from "./entities.ts";

export type SearchMode =
	| "recall"
	| "hybrid"
	| "vector"
	| "text"
	| "fuzzy"
	| "lookup";

export type ListName = "vector" | "text" | "name" | "lookup" | "fuzzy" | "edge";

interface Weights {
	readonly vector?: number;
	readonly text?: number;
	readonly name?: number;
}

/** What is compared, and with which settings. */
export interface SearchSettings extends Scope {
	readonly query: string;
	/** @default "recall" */
	readonly mode?: SearchMode;
	/** @default all that the mode can search */
	readonly tables?: readonly string[];
	/** Of `hybrid`, each from 0. `text` is hybrid with the weight of the text alone. */
	readonly weights?: Weights;
	/** A condition of the query language, such as `year > 1990 AND genre = 'drama'`. Not for `recall`, `fuzzy` and `lookup`. */
	readonly filter?: string;
	/** 1 to 200. @default 20 */
	readonly limit?: number;
	/** Of `fuzzy`: least similarity, 0 to 1. */
	readonly threshold?: number;
	/** Of `recall`: @default 4000 */
	readonly maxTokens?: number;
	/** Of `vector` and `hybrid`: how vectors are compared. @default "auto" */
	readonly vectorMode?: "auto" | "exact" | "approximate";
}

export interface SearchRequest extends SearchSettings {
	/** Also each list as it ranked its candidates, and SQL, plan and timings of each table: the statements are run again. @default false */
	readonly explain?: boolean;
}

export interface SearchResponse {
	readonly mode: SearchMode;
	/** In the fused order, best first. */
	readonly items: readonly FoundItem[];
	/** The lists that were fused, side by side: of what was found; with `explain`, as they ranked their candidates. */
	readonly lists: readonly RankedList[];
	/** Of `recall`: items for which there was no room in `maxTokens`. */
	readonly omitted?: number;
	readonly timing: {
		/** Of the service's own call. */
		readonly serviceMs: number;
		/** Steps, where they are known: `embed`, `plan`, `search`, `names`, `edges`. */
		readonly steps: readonly { readonly step: string; readonly ms: number }[];
	};
	/** How each table was searched; with `explain`, where the mode has it. */
	readonly tables: readonly TablePlan[];
	/** Texts to copy: they find the same. Calls for several tables have a list for each. */
	readonly code: { readonly typescript: string; readonly shell: string };
	/** What to know about the answer, such as names that could not all be compared. */
	readonly notes: readonly string[];
}

export interface FoundItem extends EntityRef {
	/** From 1. */
	readonly place: number;
	/** `null`: its model has no key. */
	readonly entityKey: string | null;
	/** What to call it: its key, its name, or its id. */
	readonly title: string;
	/** The beginning of its text: the best passage where there is one. */
	readonly text: string;
	/** The field that `text` is of. */
	readonly field?: string;
	/** Comparable within one answer. */
	readonly score: number;
	/** Of its vector, -1 to 1. */
	readonly similarity?: number;
	readonly userId: string | null;
	readonly lists: readonly ListPlace[];
}

/** An entity's place on a list. */
export interface ListPlace {
	readonly list: ListName;
	/** From 1, in its table. */
	readonly rank: number;
	/** What the list counts. */
	readonly weight?: number;
	/** Its part of the entity's score, 0 to 1. */
	readonly share?: number;
	/** What the list is ordered by, where it is known: {@link RankedEntry}. */
	readonly value?: number;
	/** The part of the query, or the key of the entity whose edge leads here. */
	readonly via?: string;
	/** Of an edge. */
	readonly relType?: string;
}

export interface RankedList {
	readonly list: ListName;
	readonly weight?: number;
	/** By rank. */
	readonly entries: readonly RankedEntry[];
	/** Candidates behind these, which did not reach the answer. */
	readonly omitted: number;
}

export interface RankedEntry extends EntityRef {
	readonly rank: number;
	readonly title: string;
	readonly share?: number;
	/**
	 * What the list is ordered by. `vector`: cosine similarity. `text`: BM25 score.
	 * `name` and `fuzzy`: trigram similarity of the key. `edge`: what the edge passes
	 * on of its hit's score. `null`: not known, or a list without scores.
	 */
	readonly value: number | null;
	readonly via?: string;
	/** In the fused order, from 1; `null`: it did not reach the answer. */
	readonly place: number | null;
}

export interface TablePlan {
	readonly table: string;
	/** Whether every vector of the scope was compared. */
	readonly isExact: boolean;
	readonly fields: readonly {
		readonly field: string;
		readonly plan: string;
		readonly vectors: number;
		readonly efSearch?: number;
	}[];
	/** Statements that were run. */
	readonly statements: number;
	readonly sql: string;
	/** PostgreSQL's plan, as text. */
	readonly databasePlan: string;
	readonly timing: {
		readonly embedMs: number;
		readonly planMs: number;
		readonly searchMs: number;
	};
}

/** Why one entity is, or is not, among the results of a search. */
export interface WhyRequest extends SearchSettings {
	/** The table; needed where `entity` is an id. */
	readonly entityType?: string;
	/** Its key in any case, `table/key`, or its id. */
	readonly entity: string;
}

export interface WhyResponse {
	/** `null`: nothing in the tenant has that key or id. */
	readonly entity:
		| (EntityRef & {
				readonly entityKey: string | null;
				readonly title: string;
				readonly userId: string | null;
				readonly deletedAt: string | null;
		  })
		| null;
	/** In the fused order of this search; `null`: not among its `limit`. */
	readonly place: number | null;
	/** In words, the most important first. */
	readonly verdict: string;
	readonly reasons: readonly WhyReason[];
	/** Its rank in every list, whatever the limit. */
	readonly lists: readonly WhyList[];
	/** The state of its texts' vectors. */
	readonly vectors: readonly VectorState[];
	/** Words of the query, as PostgreSQL reads them, and whether the entity has them. */
	readonly words: readonly {
		/** As the text search reduces it: `deploy`. */
		readonly word: string;
		readonly isFound: boolean;
	}[];
	/** Each part of the filter, and whether the entity fulfils it. */
	readonly filters: readonly {
		readonly text: string;
		readonly isFulfilled: boolean;
	}[];
}

/** One reason, to be shown with its remedy. */
export interface WhyReason {
	readonly kind:
		| "found"
		| "unknown"
		| "deleted"
		| "other-user"
		| "other-table"
		| "filter"
		| "no-vector"
		| "dead-letter"
		| "queued"
		| "no-words"
		| "below-limit"
		| "below-threshold"
		| "not-named"
		| "no-room";
	readonly text: string;
	/** What to do about it. */
	readonly remedy?: string;
	/** A write of this API that does it, for a button: `restore` or `embed`. */
	readonly action?: "restore" | "embed";
}

export interface WhyList {
	readonly list: ListName;
	/** From 1, among all rows of the scope in its table; `null`: it is not on the list, or `beyond`. */
	readonly rank: number | null;
	/** Its rank is greater, and was not counted further. */
	readonly beyond?: number;
	/** How long the list is that is fused: a greater rank does not count. */
	readonly depth?: number;
	readonly weight?: number;
	/** Similarity, BM25 score, or trigram similarity: what the list is ordered by. */
	readonly value: number | null;
	/** Why it is not on the list. */
	readonly reason?: string;
}
