import { indexName } from "../../models/names.ts";
import { empty, ident, raw, type Sql, sql } from "../../sql.ts";
import { shortPendingList } from "../pending-list.ts";
import { hasWords, wordsIndex } from "../word-indexes.ts";
import type { IndexDeclaration, IndexTypeDefinition } from "./definition.ts";

/** What filters and searches find inside values: keys of JSON, tags, edges, words. */
export const gin: IndexTypeDefinition = {
	accessMethod: "gin",
	builtBy: "indexer",
	namePrefixes: ["gin_"],
	declare(table) {
		const { entity, schema } = table;
		const index = (column: string, expression: Sql): IndexDeclaration => ({
			name: indexName("gin", entity.tableName, [column]),
			tableName: entity.tableName,
			isUnique: false,
			definition: sql`USING gin (${expression}) ${shortPendingList}`,
		});
		const tenant = entity.tenantScoped ? raw("tenant_id, ") : empty;
		return [
			index("metadata", sql`metadata jsonb_path_ops`),
			index("graph_edges", sql`graph_edges jsonb_path_ops`),
			...(hasWords(entity) ? [wordsIndex(table)] : []),
			// With the tenant: tags and names are the same in many of them.
			index("tags", sql`${tenant}tags`),
			{
				...index(
					"edge_keys",
					sql`${tenant}(${ident(schema, "rem_edge_keys")}(graph_edges))`,
				),
				elementsOf: "graph_edges",
			},
		];
	},
	/** Of a JSON column's elements at least one for each row, so that counting ends soon. */
	entries(schema, { tableName, elementsOf }) {
		const table = ident(schema, tableName);
		if (elementsOf === undefined) return sql`FROM ${table}`;
		const column = ident("t", elementsOf);
		return sql`FROM ${table} AS t LEFT JOIN LATERAL jsonb_array_elements(
  CASE jsonb_typeof(${column}) WHEN 'array' THEN ${column} ELSE '[]' END) ON TRUE`;
	},
};
