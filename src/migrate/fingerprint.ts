import type { Handle } from "../db/database.ts";
import { arrayLiteral } from "../db/encode.ts";
import type { EntityTable } from "../models/registry.ts";
import type { BaseOptions } from "../schema/base.ts";
import { ident, sql, toText } from "../sql.ts";
import { baseNames } from "./base-names.ts";
import { isBackground, relationsOf } from "./diff/diff-entity.ts";
import { sha256 } from "./ledger.ts";
import type { OwnedRelation } from "./ownership.ts";

/** A relation, and which rows of the catalogue describe it. */
interface Traces extends OwnedRelation {
	/** All but its indexes. */
	readonly rows: string;
	readonly indexes: readonly { readonly name: string; readonly rows: string }[];
}

/** Which rows of the catalogue describe our relations and functions, by name. */
export interface Fingerprints {
	readonly relations: ReadonlyMap<string, Traces>;
	readonly functions: string;
}

/**
 * Every change of a column, default, key, check, trigger, its function, view,
 * comment or index writes a row of the catalogue anew, and its `xmin` is the
 * transaction that did. So nothing need be spelt out: 10 ms on a server where
 * definitions took 100. Of the tables themselves the columns are read instead:
 * a GRANT writes their rows, too.
 */
export async function readFingerprints(
	tx: Handle,
	tables: readonly EntityTable[],
	base: BaseOptions,
): Promise<Fingerprints> {
	const own = baseNames(base);
	const names = [...own.relations, ...tables.flatMap(relationsOf)];
	const { rows } = await tx.query<Traces>(sql`
SELECT c.relname AS name, c.relkind::text AS kind, obj_description(c.oid, 'pg_class') AS comment,
  concat_ws('|', c.oid, c.relkind, c.relpersistence, c.reloptions,
    (SELECT string_agg(a.attnum || ' ' || a.xmin, ',' ORDER BY a.attnum) FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0),
    (SELECT string_agg(d.oid || ' ' || d.xmin, ',' ORDER BY d.oid) FROM pg_attrdef d WHERE d.adrelid = c.oid),
    (SELECT string_agg(k.oid || ' ' || k.xmin, ',' ORDER BY k.oid) FROM pg_constraint k WHERE k.conrelid = c.oid),
    (SELECT string_agg(t.oid || ' ' || t.xmin || ' ' || p.oid || ' ' || p.xmin, ',' ORDER BY t.oid)
      FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = c.oid AND NOT t.tgisinternal),
    (SELECT string_agg(r.oid || ' ' || r.xmin, ',' ORDER BY r.oid) FROM pg_rewrite r WHERE r.ev_class = c.oid),
    obj_description(c.oid, 'pg_class')) AS rows,
  (SELECT coalesce(jsonb_agg(jsonb_build_object('name', i.relname,
      'rows', concat_ws(' ', i.oid, x.xmin, i.reloptions)) ORDER BY i.oid), '[]')
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid) AS indexes
FROM pg_class c
WHERE c.relnamespace = to_regnamespace(${toText(ident(base.schema))})
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relname = ANY (${arrayLiteral(names)}::text[])`);
	const found = await tx.query<{ rows: string | null }>(sql`
SELECT string_agg(p.oid || ' ' || p.xmin, ',' ORDER BY p.oid) AS rows FROM pg_proc p
WHERE p.pronamespace = to_regnamespace(${toText(ident(base.schema))})
  AND p.proname = ANY (${arrayLiteral(own.functions)}::text[])`);
	return {
		relations: new Map(rows.map((row) => [row.name, row])),
		functions: found.rows[0]?.rows ?? "",
	};
}

export function entityFingerprint(
	live: Fingerprints,
	table: EntityTable,
): string {
	return sha256(tracesOf(live, relationsOf(table)));
}

export function baseFingerprint(live: Fingerprints, base: BaseOptions): string {
	return sha256(tracesOf(live, baseNames(base).relations) + live.functions);
}

/** Background indexes come and go by themselves. */
function tracesOf(live: Fingerprints, names: readonly string[]): string {
	return JSON.stringify(
		names.map((name) => {
			const relation = live.relations.get(name);
			const indexes = relation?.indexes.filter(
				(index) => !isBackground(index.name),
			);
			return [relation?.rows, indexes];
		}),
	);
}
