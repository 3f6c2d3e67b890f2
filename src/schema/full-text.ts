import type { Entity } from "../models/entity.ts";
import type { Field } from "../models/field.ts";
import { indexName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import { empty, ident, join, literal, raw, type Sql, sql } from "../sql.ts";
import type { IndexDeclaration } from "./index-types/definition.ts";

// A tsvector of more than 1 MB is an error, which an index would turn into a
// refused write: even 4 bytes a character, each stored twice, stay below it.
const maxCharacters = 50_000;

/** Characters of a run without spaces that are read as one word. */
export const maxWordLength = 255;

// PostgreSQL's parser of words takes the square of a run without spaces: 26 s for
// 32,768 characters of "a_a_…", 0.3 s where a space follows each 255 of them.
const longRun = literal(`\\S{${maxWordLength}}`);

/**
 * The words of a row: of its key and of its embedded texts, each as far as its
 * share of 50,000 characters goes. The index and the queries use the same text.
 */
export function fullText(
	{ keyFields, embedFields }: Entity,
	language: string,
	alias?: string,
): Sql {
	const fields = textFields([...(keyFields ?? []), ...embedFields]);
	const share = raw(String(Math.floor(maxCharacters / fields.length)));
	const texts = fields.map(({ column }) => {
		const name = alias === undefined ? ident(column) : ident(alias, column);
		return sql`regexp_replace(left(coalesce(${name}, ''), ${share}), ${longRun}, ${literal("\\& ")}, 'g')`;
	});
	return sql`to_tsvector(${literal(language)}::regconfig, ${join(texts, " || ' ' || ")})`;
}

function textFields(fields: readonly Field[]): Field[] {
	return [...new Set(fields)].filter(({ type }) => type === "text");
}

/** What finds words; for entities that have texts to search. */
export function fullTextIndex(
	{ entity, language: own }: EntityTable,
	language = own ?? "english",
): IndexDeclaration {
	const columns = textFields([
		...(entity.keyFields ?? []),
		...entity.embedFields,
	]);
	const tenant = entity.tenantScoped ? sql`tenant_id, ` : empty;
	return {
		name: indexName("gin", entity.tableName, [
			"words",
			language,
			...columns.map(({ column }) => column),
		]),
		tableName: entity.tableName,
		isUnique: false,
		definition: sql`USING gin (${tenant}(${fullText(entity, language)})) WHERE deleted_at IS NULL`,
	};
}
