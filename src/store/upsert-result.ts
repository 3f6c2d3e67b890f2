/** What a batch upsert did; all of it is committed. */
export interface UpsertResult {
	/** Rows that did not exist. */
	readonly inserted: number;
	/** Rows that existed, changed or not. */
	readonly updated: number;
	/** Those of `updated` that were equal: nothing was written for them. */
	readonly unchanged: number;
	/** Rows of the input that a later one with the same key replaced. */
	readonly duplicates: number;
	/** Texts (entity × field) whose vector was stored now. */
	readonly embeddingsGenerated: number;
	/** Texts whose stored vector was still that of their content. */
	readonly embeddingsReused: number;
	/** Texts left for the embedding worker. */
	readonly embeddingsQueued: number;
	/** Entities of the batch that LOOKUP now finds. */
	readonly kvEntries: number;
	/** Ids in the order of the input. Empty for an iterable, which may not fit into memory. */
	readonly ids: readonly string[];
}

export interface UpsertProgress {
	/** Entities committed so far; a single transaction is reported once, at its end. */
	readonly done: number;
	/** Entities in all, where that is known. */
	readonly total: number | undefined;
	/** Ids of the entities committed since the last call, in input order. */
	readonly ids: readonly string[];
}

/** What an update did; all of it is committed. */
export type UpdateResult = Pick<
	UpsertResult,
	| "updated"
	| "unchanged"
	| "embeddingsGenerated"
	| "embeddingsReused"
	| "embeddingsQueued"
>;
