import type { SqlNode } from "../../sql-grammar.ts";

export interface Finding {
	readonly rule: string;
	readonly message: string;
	readonly hint: string;
}

export interface LintContext {
	/** Whether the file is one transaction. */
	readonly isTransaction: boolean;
	/** Tables that the file makes: nobody waits for them. */
	readonly newTables: ReadonlySet<string>;
}

/** What a statement does wrong, if anything. */
export type Rule = (node: SqlNode, context: LintContext) => readonly Finding[];

/** The last part of a name: `trg_documents_kv_store_insert`. */
export function lastName(node: SqlNode | undefined): string {
	if (node === undefined) return "";
	if ("String" in node) return node.String.sval ?? "";
	if ("List" in node) return lastName(node.List.items?.at(-1));
	if ("ObjectWithArgs" in node)
		return lastName(node.ObjectWithArgs.objname?.at(-1));
	return "";
}

/** Made by remdb, by its name: what keeps the cache and the vectors true. */
export function isOurs(name: string): boolean {
	return /^(?:trg_.*_(?:kv_store|embedding)|fn_.*_(?:kv_store|embedding)|kv_source_|kv_st|rem_)/.test(
		name,
	);
}
