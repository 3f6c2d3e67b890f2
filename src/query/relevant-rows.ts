import type { Handle } from "../db/database.ts";
import { arrayLiteral } from "../db/encode.ts";
import { tableRef } from "../db/tables.ts";
import type { EntityTable } from "../models/registry.ts";
import { keyExpression } from "../schema/key.ts";
import { type Sql, sql } from "../sql.ts";
import { isUuid } from "../util/uuid.ts";
import type { ReadScope } from "./scope.ts";
import { eligibleRows } from "./vector-scope.ts";

/** A table, and whose rows of it. */
export interface ScopedTable extends ReadScope {
	readonly table: EntityTable;
}

/** Names that one statement looks for. */
const namesAtOnce = 10_000;

/**
 * The ids of the rows that the names are keys or ids of, by name: the rows of the
 * table itself, whether or not the cache is ready. A key goes
 * before an id. Names of no row are missing.
 */
export async function findRelevantRows(
	db: Handle,
	scope: ScopedTable,
	names: readonly string[],
): Promise<Map<string, string[]>> {
	const found = new Map<string, string[]>();
	for (let at = 0; at < names.length; at += namesAtOnce) {
		const some = names.slice(at, at + namesAtOnce);
		for (const statement of [byKey(scope, some), byId(scope, some)]) {
			const { rows } = await db.query<{ name: string; ids: string[] }>(
				statement,
				{ idempotent: true },
			);
			for (const { name, ids } of rows)
				if (!found.has(name)) found.set(name, ids);
		}
	}
	return found;
}

function byKey(scope: ScopedTable, names: readonly string[]): Sql {
	const { entity } = scope.table;
	const key =
		(entity.keyFields ?? []).length === 0
			? sql`NULL::text`
			: keyExpression(entity, "r");
	return namedRows(scope, names, sql`${key} = q.name`);
}

/** Ids may be in capitals. */
function byId(scope: ScopedTable, names: readonly string[]): Sql {
	return namedRows(scope, names.filter(isUuid), sql`r.id = q.name::uuid`);
}

function namedRows(
	scope: ScopedTable,
	names: readonly string[],
	isNamed: Sql,
): Sql {
	return sql`SELECT q.name, array_agg(r.id::text ORDER BY r.id) AS ids
FROM unnest(${arrayLiteral(names)}::text[]) AS q (name)
JOIN ${tableRef(scope.table)} AS r ON ${isNamed}
WHERE ${eligibleRows({ ...scope, where: undefined })}
GROUP BY q.name`;
}
