import { ident, type Sql, sql } from "../../sql.ts";
import { shortPendingList } from "../pending-list.ts";
import { hasPairs, pairsOfName } from "../word-function.ts";
import type { IndexDeclaration, IndexTypeDefinition } from "./definition.ts";

/** The index of the summaries. */
export const contentIndex = { name: "kv_store_content" } as const;

/** What FUZZY searches in the cache; all entities share it. Beside these, names have an index from the start. */
export function kvIndexes(schema: string): readonly IndexDeclaration[] {
	return [
		{
			...contentIndex,
			tableName,
			isUnique: false,
			definition: sql`USING gin (tenant_id, content_summary gin_trgm_ops) ${shortPendingList}`,
		},
		pairsIndex(schema, "kv_store_key_pairs", "entity_key"),
		pairsIndex(schema, "kv_store_content_pairs", "content_summary"),
	];
}

/** The pairs of letters of texts without spaces; empty, and next to no work, where all texts are ASCII. */
function pairsIndex(
	schema: string,
	name: string,
	column: string,
): IndexDeclaration {
	const text: Sql = ident(column);
	return {
		name,
		tableName,
		isUnique: false,
		definition: sql`USING gin (tenant_id, ${pairsOfName(schema, text)}) ${shortPendingList} WHERE ${hasPairs(text)}`,
	};
}

const tableName = "kv_store";

export const trigram: IndexTypeDefinition = {
	accessMethod: "gin",
	builtBy: "indexer",
	namePrefixes: ["kv_store_content", "kv_store_key_pairs"],
	declare: ({ entity, schema }) =>
		entity.createKvTrigger ? [...kvIndexes(schema)] : [],
};
