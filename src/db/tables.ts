import type { EntityTable } from "../models/registry.ts";
import { ident, type Sql } from "../sql.ts";

/** The entity's table, with its schema: no statement depends on a search_path. */
export function tableRef({ schema, entity }: EntityTable): Sql {
	return ident(schema, entity.tableName);
}

/** The table of the entity's vectors. */
export function embeddingsRef({ schema, entity }: EntityTable): Sql {
	return ident(schema, entity.embeddingsTableName);
}
