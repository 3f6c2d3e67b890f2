import type { Entity } from "../models/entity.ts";
import { boundedName, indexName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import { sql } from "../sql.ts";
import type { IndexDeclaration } from "./index-types/definition.ts";
import { shortPendingList } from "./pending-list.ts";

/** Whether rows of the entity have words to find them by. */
export function hasWords({ createEmbeddings, embedFields }: Entity): boolean {
	return createEmbeddings && embedFields.length > 0;
}

/** Rows of a tenant, for what is not in the index of words, and the length of its texts. */
export function wordsScopeIndex({ entity }: EntityTable): IndexDeclaration {
	return {
		name: boundedName(`idx_${entity.wordsTableName}_scope`),
		tableName: entity.wordsTableName,
		isUnique: false,
		definition: sql`USING btree (tenant_id, entity_id) INCLUDE (length)`,
	};
}

/** What finds rows by their words, once there are so many that reading all takes longer. */
export function wordsIndex({ entity }: EntityTable): IndexDeclaration {
	return {
		name: indexName("gin", entity.wordsTableName, ["words"]),
		tableName: entity.wordsTableName,
		isUnique: false,
		definition: sql`USING gin (tenant_id, words, often) ${shortPendingList}`,
	};
}
