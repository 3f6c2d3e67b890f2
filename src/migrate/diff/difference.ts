import type { Relation } from "../../db/catalogue/relations.ts";
import type { SchemaText } from "./schema-text.ts";

/** One way in which a table is not like its model, and the SQL that repairs it. */
export interface Difference {
	readonly table: string;
	/** `column "year" is text, expected bigint`; several where one change repairs them all. */
	readonly messages: readonly string[];
	/** Complete statements, in order. */
	readonly statements: readonly string[];
	/** `online`: one by one outside a transaction, without blocking readers and writers. */
	readonly phase: "transaction" | "online";
	/** Why it should be reviewed first; absent: nothing is lost, rewritten or locked for long. */
	readonly risk?: Risk;
	/** Statement that records that the difference stays as it is; `migrate` runs it when it continues. */
	readonly whenLeft?: string;
	/** Whether remdb cannot work with the table as it is. */
	readonly blocks: boolean;
	/** Its schema, where tenants are spread over several. */
	readonly bucket?: string;
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

/** A difference that is repaired safely in a transaction, unless the repair states otherwise. */
export function difference(
	table: string,
	message: string,
	repair: Pick<Difference, "statements"> & Partial<Difference>,
): Difference {
	return {
		table,
		messages: [message],
		phase: "transaction",
		blocks: false,
		...repair,
	};
}

/** A table of the database beside the one that the models make. */
export interface TableDiff {
	/** The table's name, on both sides. */
	readonly table: string;
	/** `ALTER TABLE "public"."documents"` */
	readonly alter: string;
	readonly expected: Relation;
	readonly live: Relation;
	readonly hasRows: boolean;
	/** The index that decides upserts: without it, or with different columns, nothing can be written. */
	readonly key: string | undefined;
	/** What reads the table's columns by their types, and the text that recreates it. */
	readonly dependents: Dependents;
	readonly schemaText: SchemaText;
}

interface Dependents {
	/** Views to drop before a column changes its type. */
	readonly views: readonly string[];
	/** Recreates them, and the triggers that go with them. */
	readonly text: string;
	/** Triggers that the text makes: they are not compared by themselves. */
	readonly triggers: ReadonlySet<string>;
}

export function tableDiff(
	sides: Pick<TableDiff, "expected" | "live" | "hasRows" | "schemaText"> &
		Partial<Pick<TableDiff, "key" | "dependents">>,
): TableDiff {
	const table = sides.expected.name;
	return {
		table,
		alter: `ALTER TABLE ${sides.schemaText.name(table)}`,
		key: undefined,
		dependents: { views: [], text: "", triggers: new Set() },
		...sides,
	};
}
