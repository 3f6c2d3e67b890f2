import type { Handle } from "../db/database.ts";
import type { EntityTable } from "../models/registry.ts";
import type { BaseOptions } from "../schema/base.ts";
import { baseNames } from "./base-names.ts";
import { type Catalogue, readCatalogue } from "./catalogue.ts";
import { isBackground, relationsOf } from "./diff/diff-entity.ts";
import { sha256 } from "./ledger.ts";

/** What the catalogue says of the models' tables and of our own, in one read. */
export async function readOwnCatalogue(
	tx: Handle,
	tables: readonly EntityTable[],
	base: BaseOptions,
): Promise<Catalogue> {
	const { relations, functions } = baseNames(base);
	return readCatalogue(tx, base.schema, {
		relations: [...relations, ...tables.flatMap(relationsOf)],
		functions,
	});
}

/** In short: any change of a column, key, check, trigger, function or index changes it. */
export function entityFingerprint(live: Catalogue, table: EntityTable): string {
	return fingerprint(live, relationsOf(table));
}

export function baseFingerprint(live: Catalogue, base: BaseOptions): string {
	const functions = JSON.stringify([...live.functions].sort());
	return sha256(fingerprint(live, baseNames(base).relations) + functions);
}

/** Background indexes come and go by themselves. */
function fingerprint(live: Catalogue, names: readonly string[]): string {
	const relations = names.map((name) => {
		const relation = live.relations.get(name);
		return relation === undefined
			? null
			: {
					...relation,
					indexes: relation.indexes.filter(
						(index) => !isBackground(index.name),
					),
				};
	});
	return sha256(JSON.stringify(relations));
}
