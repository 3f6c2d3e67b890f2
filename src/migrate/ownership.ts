import type {
	CatalogueNames,
	RelationHead,
} from "../db/catalogue/relations.ts";
import { RemError } from "../errors.ts";
import type { EntityTable } from "../models/registry.ts";
import { type BaseOptions, baseFiles } from "../schema/base.ts";
import { kvSourceName } from "../schema/kv-trigger.ts";
import { ownershipMark } from "../schema/ownership.ts";
import { hasWords } from "../schema/word-indexes.ts";

/** The tables and functions that the files of ours make, whatever the models. */
export function baseNames(base: BaseOptions): CatalogueNames {
	const names = known.get(base.kvPersistence) ?? readNames(base);
	known.set(base.kvPersistence, names);
	return names;
}

/** They are the same in every schema. */
const known = new Map<BaseOptions["kvPersistence"], CatalogueNames>();

function readNames(base: BaseOptions): CatalogueNames {
	const text = baseFiles(base)
		.map((file) => file.text)
		.join("\n");
	const names = (pattern: RegExp) => [
		...new Set([...text.matchAll(pattern)].map(([, name = ""]) => name)),
	];
	return {
		relations: names(
			/CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?"[^"]+"\."([^"]+)"/g,
		),
		functions: names(/CREATE OR REPLACE FUNCTION "[^"]+"\."([^"]+)"/g),
	};
}

/** All relations that an entity has or may have left behind. */
export function relationsOf(table: EntityTable): string[] {
	const { tableName, embeddingsTableName, wordsTableName } = table.entity;
	return [tableName, embeddingsTableName, wordsTableName, kvSourceName(table)];
}

/** A table of another program with the name of one of ours is `TABLE_CONFLICT`. */
export function checkOwnership(
	tables: readonly EntityTable[],
	baseNames: readonly string[],
	{ relations }: { readonly relations: ReadonlyMap<string, RelationHead> },
): void {
	const names = [
		...baseNames,
		...tables.flatMap(({ entity }) => [
			entity.tableName,
			...(entity.createEmbeddings ? [entity.embeddingsTableName] : []),
			...(hasWords(entity) ? [entity.wordsTableName] : []),
		]),
	];
	for (const name of names) {
		const relation = relations.get(name);
		if (relation !== undefined) checkRelation(relation);
	}
}

/** Tables of ours are known by their comment. */
export function checkRelation({ name, kind, comment }: RelationHead): void {
	if (kind === "r" && comment?.startsWith(ownershipMark)) return;
	throw new RemError(
		"TABLE_CONFLICT",
		`there is already a ${kind === "v" ? "view" : "table"} "${name}" that remdb did not make`,
		{
			hint: "give the entity another table name, set POSTGRES__SCHEMA to a schema of its own, or move the other away",
		},
	);
}
