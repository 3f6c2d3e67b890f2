/** What JSON may be. */
export type Json =
	| null
	| boolean
	| number
	| string
	| readonly Json[]
	| { readonly [name: string]: Json };

export type JsonObject = { readonly [name: string]: Json };

export interface ErrorResponse {
	readonly error: {
		/** A code of remdb's errors, or `UNAUTHORIZED`, `FORBIDDEN`, `READ_ONLY`, `NOT_FOUND`, `TOO_LARGE`, `INTERNAL`. */
		readonly code: string;
		readonly message: string;
		/** The remedy. */
		readonly hint?: string;
		/** Of a text that cannot be read (filter, query): the character where, from 1, as JavaScript counts. */
		readonly position?: number;
		/** Every problem, where there are several: of an edit, by field. */
		readonly issues?: readonly {
			readonly field?: string;
			readonly message: string;
		}[];
	};
}

/** Whose rows a request is about. */
export interface Scope {
	/** @default the studio's. Of a studio whose tenant is fixed, any other is 403. */
	readonly tenantId?: string;
	/** That user's and shared rows; `null`: shared only; omitted: the whole tenant. */
	readonly userId?: string | null;
}

export interface EntityRef {
	/** The table. */
	readonly entityType: string;
	readonly entityId: string;
}
