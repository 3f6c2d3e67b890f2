import { sql } from "../../sql.ts";
import type { IndexDeclaration, IndexTypeDefinition } from "./definition.ts";

/** What FUZZY searches in the cache's summaries; all entities share it. */
export const kvContentIndex: IndexDeclaration = {
	name: "kv_store_content",
	tableName: "kv_store",
	isUnique: false,
	definition: sql`USING gin (tenant_id, content_summary gin_trgm_ops)`,
};

export const trigram: IndexTypeDefinition = {
	accessMethod: "gin",
	builtBy: "indexer",
	namePrefixes: [kvContentIndex.name],
	declare: ({ entity }) => (entity.createKvTrigger ? [kvContentIndex] : []),
};
