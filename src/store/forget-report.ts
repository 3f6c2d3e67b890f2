/** Whose data `forget` erases, and how it is followed. */
export interface ForgetOptions {
	readonly tenantId: string;
	/** Only what belongs to this user; shared rows of the tenant stay. @default the whole tenant */
	readonly userId?: string;
	/** Called after each batch, with the rows erased so far. */
	readonly onProgress?: (progress: { readonly done: number }) => void;
	/** Stops before the next batch; what is erased stays erased. */
	readonly signal?: AbortSignal;
}

/** What `forget` erased: all together, and of each table of which it erased something. */
export interface ForgetReport extends ForgottenRows {
	readonly tables: Readonly<Record<string, ForgottenRows>>;
}

/** What was erased of one table. */
export interface ForgottenRows {
	/** Rows, soft-deleted ones included. */
	readonly rows: number;
	/** Vectors of every model. */
	readonly vectors: number;
	/** Rows' stored words. */
	readonly words: number;
	/** Entries of kv_store. */
	readonly kvEntries: number;
	/** Texts in the embedding queue, dead-lettered ones included. */
	readonly queued: number;
}
