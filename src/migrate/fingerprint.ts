import {
	type RelationTrace,
	readRelationTraces,
} from "../db/catalogue/relations.ts";
import type { Handle } from "../db/database.ts";
import { arrayLiteral } from "../db/encode.ts";
import type { EntityTable } from "../models/registry.ts";
import type { BaseOptions } from "../schema/base.ts";
import { isBuiltByIndexer } from "../schema/index-types.ts";
import { ident, sql, toText } from "../sql.ts";
import { sha256 } from "./ledger.ts";
import { baseNames, relationsOf } from "./ownership.ts";

/** Which rows of the catalogue describe our relations and functions, by name. */
interface Fingerprints {
	readonly relations: ReadonlyMap<string, RelationTrace>;
	readonly functions: string;
}

export async function readFingerprints(
	tx: Handle,
	tables: readonly EntityTable[],
	base: BaseOptions,
): Promise<Fingerprints> {
	const own = baseNames(base);
	const names = [...own.relations, ...tables.flatMap(relationsOf)];
	const relations = await readRelationTraces(tx, base.schema, names);
	return {
		relations: new Map(relations.map((one) => [one.name, one])),
		functions: await readFunctionTraces(tx, base),
	};
}

/** Which rows describe our functions; empty: there is none. */
export async function readFunctionTraces(
	tx: Pick<Handle, "query">,
	base: BaseOptions,
): Promise<string> {
	const found = await tx.query<{ rows: string | null }>(sql`
SELECT string_agg(p.oid || ' ' || p.xmin, ',' ORDER BY p.oid) AS rows FROM pg_proc p
WHERE p.pronamespace = to_regnamespace(${toText(ident(base.schema))})
  AND p.proname = ANY (${arrayLiteral(baseNames(base).functions)}::text[])`);
	return found.rows[0]?.rows ?? "";
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
				(index) => !isBuiltByIndexer(index.name),
			);
			return [relation?.rows, indexes];
		}),
	);
}
