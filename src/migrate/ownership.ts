import type { RelationHead } from "../db/catalogue/relations.ts";
import { RemError } from "../errors.ts";
import type { EntityTable } from "../models/registry.ts";
import { ownershipMark } from "../schema/ownership.ts";
import { hasWords } from "../schema/word-indexes.ts";

/** Nothing is made around a stranger: a namesake of one of our tables is `TABLE_CONFLICT`. */
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
