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
	/** The counts of each table, by its name. */
	readonly tables: Readonly<Record<string, ExportedCount>>;
}

export interface ExportedCount {
	readonly rows: number;
	readonly vectors: number;
}

export interface ImportProgress {
	/** Rows written so far, or found unchanged; all are committed at the end, or in parts with `commitEvery`. */
	readonly rows: number;
}

/** How the rows of an export compare with those of the database. */
export interface VerifyRowsResult {
	/** Rows of the export; one without a tenant counts once, also with buckets. */
	readonly rows: number;
	/** Vectors of the export; 0 where they are left out. */
	readonly vectors: number;
	/** Tenants whose rows are in the export. */
	readonly tenants: number;
	/** Rows whose id is not stored. */
	readonly missing: number;
	/** Rows whose stored values, or vectors, differ. */
	readonly differing: number;
	/** The first 100 rows that are missing or differ. */
	readonly differences: readonly RowDifference[];
	/** The counts of each table, by its name. */
	readonly tables: Readonly<Record<string, VerifiedCount>>;
}

export interface VerifiedCount {
	readonly rows: number;
	readonly vectors: number;
	readonly missing: number;
	readonly differing: number;
}

export interface RowDifference {
	readonly table: string;
	readonly id: string;
	/** `null`: the entity has no tenants. */
	readonly tenantId: string | null;
	/** Its line in the export, from 1. */
	readonly line: number;
	readonly kind: "missing" | "differs";
	/** Names of the fields that differ; `vectors`: one or more vectors differ. Empty if the row is missing. */
	readonly fields: readonly string[];
}

/** What an import wrote; all of it is committed. */
export interface ImportResult {
	/** Rows that did not exist. */
	readonly inserted: number;
	/** Rows that took the place of a stored row of their id that differed. */
	readonly updated: number;
	/** Rows whose stored row is equal, vectors included, which were not written. */
	readonly unchanged: number;
	readonly vectors: number;
	/** Always 0: no provider is asked. */
	readonly embeddingsGenerated: number;
	readonly edges: number;
	/** Texts that came without a vector: the worker or `sync` embeds those whose row has none. */
	readonly embeddingsQueued: number;
	/** The counts of each table, by its name. */
	readonly tables: Readonly<Record<string, ImportedCount>>;
}

export interface ImportedCount {
	readonly inserted: number;
	readonly updated: number;
	readonly unchanged: number;
	readonly vectors: number;
	readonly embeddingsQueued: number;
	/** Edges of the rows. */
	readonly edges: number;
}
