/** The text of an export, in pieces of any length. */
export type ExportText =
	| Iterable<string | Uint8Array>
	| AsyncIterable<string | Uint8Array>;

export interface ExportProgress {
	/** Rows written so far, of all tables. */
	readonly rows: number;
}

/** What was exported. */
export interface ExportResult {
	readonly rows: number;
	readonly vectors: number;
	/** Of each table, by its name. */
	readonly tables: Readonly<Record<string, ExportedCount>>;
}

export interface ExportedCount {
	readonly rows: number;
	readonly vectors: number;
}

export interface ImportProgress {
	/** Rows written so far; all are committed at the end. */
	readonly rows: number;
}

/** What an import wrote; all of it is committed. */
export interface ImportResult {
	/** Rows that did not exist. */
	readonly inserted: number;
	/** Rows that took the place of the stored row of their id. */
	readonly updated: number;
	readonly vectors: number;
	/** Always 0: no provider is asked. */
	readonly embeddingsGenerated: number;
	readonly edges: number;
	/** Texts that came without a vector: the worker or `sync` embeds those whose row has none. */
	readonly embeddingsQueued: number;
	/** Of each table, by its name. */
	readonly tables: Readonly<Record<string, ImportedCount>>;
}

export interface ImportedCount {
	readonly inserted: number;
	readonly updated: number;
	readonly vectors: number;
	readonly embeddingsQueued: number;
	/** Edges of the rows. */
	readonly edges: number;
}
