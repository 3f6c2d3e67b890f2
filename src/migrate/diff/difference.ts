/** One way in which a table is not like its model, and the SQL that repairs it. */
export interface Difference {
	readonly table: string;
	/** `column "year" is text, expected bigint`; several where one change repairs them all. */
	readonly messages: readonly string[];
	/** Complete statements, in order. */
	readonly statements: readonly string[];
	/** `online`: one by one outside a transaction, so that readers and writers go on. */
	readonly phase: "transaction" | "online";
	/** Why it should be reviewed first; absent: nothing is lost, rewritten or locked for long. */
	readonly risk?: Risk;
	/** Statement that records that the difference stays as it is; `migrate` runs it when it goes on. */
	readonly whenLeft?: string;
	/** Whether remdb cannot work with the table as it is. */
	readonly blocks: boolean;
}

export interface Risk {
	readonly kind: RiskKind;
	readonly reason: string;
}

export type RiskKind =
	| "data-loss"
	| "rename"
	| "rewrite"
	| "long-lock"
	| "may-fail"
	| "behaviour";

/** A difference that is repaired safely in a transaction, unless said otherwise. */
export function difference(
	table: string,
	message: string,
	statements: readonly string[],
	rest: Partial<Difference> = {},
): Difference {
	return {
		table,
		messages: [message],
		statements,
		phase: "transaction",
		blocks: false,
		...rest,
	};
}
