import * as z from "zod";
import { defineEntity } from "../../src/index.ts";

/** Two types, so that keys meet across tables, and a key of parts. */
const Item = defineEntity(
	"items",
	{
		name: z.string(),
		content: z.string().meta({ embed: false }),
		rev: z.int(),
	},
	{ entityKeyField: "name" },
);
const Part = defineEntity(
	"parts",
	{
		name: z.string(),
		ordinal: z.int(),
		content: z.string().meta({ embed: false }),
		rev: z.int(),
	},
	{ entityKeyField: ["name", "ordinal"] },
);

export const models = [Item, Part] as const;

export const tenants = ["north", "south"] as const;

/** A name of the load; every writer uses the same ones, as users of their own. */
export function itemName(number: number): string {
	return `Item ${number % 97} of ${number}`;
}

/**
 * What kv_store must hold, said once more and without the views and functions
 * that fill it: the comparison must not repeat their mistakes.
 */
export const truth = `
SELECT tenant_id::text, name AS entity_key, replace(lower(name), ' ', '-') AS normalized_key, 'items' AS entity_type,
  id AS entity_id, user_id::text, nullif(content, '') AS content_summary, metadata, graph_edges, created_at
FROM items WHERE deleted_at IS NULL
UNION ALL
SELECT tenant_id::text, name || '#' || ordinal, replace(lower(name || '#' || ordinal), ' ', '-'), 'parts',
  id, user_id::text, nullif(content, ''), metadata, graph_edges, created_at
FROM parts WHERE deleted_at IS NULL`;

/** Entries that are missing, extra or stale. */
export const comparison = `
SELECT coalesce(t.entity_type, k.entity_type) AS type, coalesce(t.entity_id, k.entity_id) AS id,
  CASE WHEN k IS NULL THEN 'missing' WHEN t IS NULL THEN 'extra' ELSE 'stale' END AS kind
FROM (${truth}) AS t FULL JOIN (
  SELECT tenant_id::text, entity_key::text, normalized_key::text, entity_type::text,
    entity_id, user_id::text, content_summary, metadata, graph_edges, created_at
  FROM kv_store
) AS k ON k.entity_id = t.entity_id AND k.entity_type = t.entity_type
WHERE t IS DISTINCT FROM k`;

export const readiness = `
SELECT EXISTS (SELECT FROM kv_state WHERE kind = 'ready' AND filenode = pg_relation_filenode('kv_store')) AS ready`;
