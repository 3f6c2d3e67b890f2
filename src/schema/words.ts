import { dropIndexesNamed } from "../db/catalogue/indexes.ts";
import { rowById, tableRef, wordSourcesRef, wordsRef } from "../db/tables.ts";
import type { Entity } from "../models/entity.ts";
import { boundedName } from "../models/names.ts";
import type { EntityTable } from "../models/registry.ts";
import {
	empty,
	ident,
	join,
	literal,
	raw,
	type Sql,
	sql,
	toText,
} from "../sql.ts";
import { unlessCitus } from "./citus.ts";
import { createIndex } from "./indexes.ts";
import { type EntityDdlOptions, ours, ownershipMark } from "./ownership.ts";
import {
	createTriggers,
	functionSettings,
	replicaTrigger,
	statementTriggers,
	type TableTrigger,
} from "./statement-triggers.ts";
import { wordsOfColumn } from "./word-function.ts";
import { hasWords, wordsScopeIndex } from "./word-indexes.ts";

// A tsvector of more than 1 MB is an error, which a trigger would turn into a
// refused write: even 4 bytes a character, each stored twice, stay below it.
const maxCharacters = 50_000;

/** What the triggers of words go by: the language of each table, and how far its older rows have their words. */
export function wordSourcesDdl(schema: string): Sql {
	const sources = wordSourcesRef(schema);
	return sql`
-- rem_word_sources: what the words of each table are made from. Rows that were
-- there before get theirs in the background, in the order of their ids.
CREATE TABLE IF NOT EXISTS ${sources} (
  entity_type VARCHAR(100) PRIMARY KEY,
  language TEXT NOT NULL,
  columns TEXT[] NOT NULL,
  -- Rows of an older version are made again.
  version INTEGER NOT NULL DEFAULT 1,
  -- While it is being filled: rows up to this id have their words. NULL with is_filled false: none of them.
  filled_to UUID,
  is_filled BOOLEAN NOT NULL DEFAULT false,
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
${ours(sources)}
`;
}

/**
 * The table of each row's words, the triggers that maintain it, and what they go
 * by. Earlier releases computed the words for an index on the entity's own table:
 * nothing reads it any more, and each write paid for it.
 */
export function wordsDdl(
	table: EntityTable,
	{ isNew = false }: EntityDdlOptions = {},
): Sql {
	const { entity, schema } = table;
	if (!hasWords(entity)) return empty;
	const words = wordsRef(table);
	const fn = ident(schema, wordsFunctionName(entity.tableName));
	const dropFormer = isNew
		? empty
		: dropIndexesNamed(
				schema,
				entity.tableName,
				`gin_${entity.tableName}__words__`,
			);
	return sql`CREATE TABLE IF NOT EXISTS ${words} (
  entity_id UUID PRIMARY KEY,
  tenant_id VARCHAR(100) NOT NULL,
  user_id VARCHAR(100),
  -- Which version of rem_word_sources made them.
  version INTEGER NOT NULL,
  -- Words of the text, each as often as it occurs.
  length INTEGER NOT NULL,
  -- Those that occur three times or more: the best rows of a word that very many have.
  often TEXT[],
  words TSVECTOR STORAGE EXTERNAL NOT NULL
) WITH (
  -- Words stay in the row: they are read for each row that a search ranks.
  toast_tuple_target = 8160,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_analyze_scale_factor = 0.02
);
-- Statistics on them take long to gather, and the queries bring their own.
${unlessCitus(sql`ALTER TABLE ${words} ALTER COLUMN words SET STATISTICS 0, ALTER COLUMN often SET STATISTICS 0;`)}${dropFormer}COMMENT ON TABLE ${words} IS ${literal(`${ownershipMark}: words of ${entity.tableName}`)};
${createIndex(schema, wordsScopeIndex(table))}${wordsFunction(table)}-- Else any role could attach it to a table of its own and change other rows by it.
REVOKE ALL ON FUNCTION ${fn}() FROM PUBLIC;
${createTriggers(table, wordsTriggers(entity.tableName), fn)}${registerWords(table)}`;
}

export function wordsFunctionName(tableName: string): string {
	return boundedName(`fn_${tableName}_words`);
}

export function wordsTriggers(tableName: string): readonly TableTrigger[] {
	return [
		...statementTriggers(tableName, "words"),
		replicaTrigger(tableName, "words"),
	];
}

/** Columns with words: the text columns of the key, then those of the embedded fields. */
export function wordColumns({ keyFields, embedFields }: Entity): string[] {
	const fields = [...(keyFields ?? []), ...embedFields];
	return [
		...new Set(
			fields.flatMap(({ type, column }) => (type === "text" ? column : [])),
		),
	];
}

/**
 * What the words are to be made from now. A table without rows has all of its
 * words. Columns of another version of the model stay, those of this one come
 * last: both versions find their words.
 */
export function registerWords(table: EntityTable): Sql {
	const { entity, schema, language = "english" } = table;
	const sources = wordSourcesRef(schema);
	const columns = sql`ARRAY[${join(wordColumns(entity).map((column) => literal(column)))}]::text[]`;
	return sql`WITH source AS MATERIALIZED (
  SELECT ${literal(entity.tableName)}, ${literal(language)}, ${columns}, NOT EXISTS (SELECT FROM ${tableRef(table)})
)
INSERT INTO ${sources} AS s (entity_type, language, columns, is_filled) SELECT * FROM source
ON CONFLICT (entity_type) DO UPDATE SET
  language = excluded.language, version = s.version + 1, filled_to = NULL, is_filled = excluded.is_filled, updated_at = excluded.updated_at,
  columns = s.columns || ARRAY(SELECT c FROM unnest(excluded.columns) AS c WHERE c <> ALL (s.columns))
WHERE s.language <> excluded.language OR NOT s.columns @> excluded.columns;
`;
}

/** All rows get their words again, in the background. */
export function refillWords({ entity, schema }: EntityTable): Sql {
	return sql`UPDATE ${wordSourcesRef(schema)} SET version = version + 1, filled_to = NULL, is_filled = false, updated_at = now()
WHERE entity_type = ${literal(entity.tableName)};
`;
}

/**
 * The trigger's function. Like the one of the cache it takes ids from the
 * transition tables and reads the rows again. The columns are in a table: so it
 * is the same for every version of a model, and one that was dropped is no error.
 */
function wordsFunction(table: EntityTable): Sql {
	const { entity, schema } = table;
	const words = wordsRef(table);
	const fn = ident(schema, wordsFunctionName(entity.tableName));
	const type = literal(entity.tableName);
	const tenant = entity.tenantScoped ? "%1$s.tenant_id, " : "";
	const scope = literal(`ROW(${tenant}%1$s.user_id, %1$s.deleted_at IS NULL)`);
	return sql`CREATE OR REPLACE FUNCTION ${fn}() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER
${functionSettings(schema)}AS $fn$
DECLARE
  rem_ids UUID[];
  rem_changed TEXT;
  rem_columns TEXT[];
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    DELETE FROM ${words};
    RETURN NULL;
  ELSIF TG_LEVEL = 'ROW' THEN
    SELECT array_agg(DISTINCT id ORDER BY id) INTO rem_ids FROM unnest(ARRAY[OLD.id, NEW.id]) AS changed (id) WHERE id IS NOT NULL;
  ELSIF TG_OP = 'DELETE' THEN
    SELECT array_agg(id) INTO rem_ids FROM old_rows;
    DELETE FROM ${words} WHERE entity_id = ANY (rem_ids);
    RETURN NULL;
  ELSIF TG_OP = 'INSERT' THEN
    SELECT array_agg(id ORDER BY id) INTO rem_ids FROM new_rows WHERE deleted_at IS NULL;
  ELSE
    -- Texts are compared by their bytes, whatever the column's collation calls equal.
    SELECT s.columns INTO rem_columns FROM ${wordSourcesRef(schema)} AS s WHERE s.entity_type = ${type};
    SELECT string_agg(format(' OR o.%1$I::text COLLATE "C" IS DISTINCT FROM n.%1$I::text COLLATE "C"', a.attname), '' ORDER BY a.attnum) INTO rem_changed
    FROM pg_attribute AS a WHERE a.attname = ANY (rem_columns) AND a.attrelid = TG_RELID AND a.attnum > 0 AND NOT a.attisdropped;
    EXECUTE format('SELECT array_agg(DISTINCT c.id ORDER BY c.id) FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
      CROSS JOIN LATERAL (VALUES (o.id), (n.id)) AS c (id) WHERE c.id IS NOT NULL AND (%s IS DISTINCT FROM %s%s)',
      format(${scope}, 'o'), format(${scope}, 'n'), rem_changed) INTO rem_ids;
  END IF;
  IF rem_ids IS NULL THEN RETURN NULL; END IF;
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM ${words} AS w WHERE w.entity_id = ANY (rem_ids)
      AND NOT EXISTS (SELECT FROM ${rowById(table, "r", ident("w", "entity_id"))} WHERE r.deleted_at IS NULL);
  END IF;
  PERFORM ${storeWordsRef(schema)}(${type}, ${literal(toText(tableRef(table)))}::regclass, ${literal(toText(words))}::regclass, rem_ids, true);
  RETURN NULL;
END $fn$;
`;
}

/** Removes what {@link wordsDdl} made, of a model that has no texts to search any more. */
export function dropWordsDdl(table: EntityTable): Sql {
	const { tableName } = table.entity;
	const triggers = wordsTriggers(tableName).map(
		({ name }) =>
			sql`DROP TRIGGER IF EXISTS ${ident(name)} ON ${tableRef(table)};\n`,
	);
	return sql`${join(triggers, "")}DROP FUNCTION IF EXISTS ${ident(table.schema, wordsFunctionName(tableName))}();
DROP TABLE IF EXISTS ${wordsRef(table)};
DELETE FROM ${wordSourcesRef(table.schema)} WHERE entity_type = ${literal(tableName)};
`;
}

export function storeWordsRef(schema: string): Sql {
	return ident(schema, "rem_store_words");
}

/** The text of a row that its words are made from: each column as far as its share of 50,000 characters goes. */
export function textOfColumns(columns: readonly string[], alias: string): Sql {
	const share = raw(String(Math.floor(maxCharacters / columns.length)));
	const texts = columns.map(
		(column) => sql`left(${ident(alias, column)}::text, ${share})`,
	);
	return sql`concat_ws(' ', ${join(texts)})`;
}

/** Length of a text of these words, and those that occur often in it: a row of one. */
function measuredWords(words: Sql): Sql {
	// Not ordered: a tsvector has its words in the same order each time, and sorting takes a quarter of this.
	return sql`SELECT coalesce(sum(cardinality(u.positions)), 0)::integer AS length,
    array_agg(u.lexeme) FILTER (WHERE cardinality(u.positions) >= 3) AS often FROM unnest(${words}) AS u`;
}

/**
 * Stores the words of live rows. To overwrite, as a writer's trigger does, puts
 * them in the place of those that are there; the indexer does not: a row that has
 * words by now has those of its writer.
 */
export function storeWordsDdl(schema: string): Sql {
	const words = wordsOfColumn(schema, {
		language: raw("%2$L"),
		text: ident("t", "text"),
	});
	// The ids are sorted, not the texts: a nested loop preserves their order.
	const insert = sql`WITH entries AS MATERIALIZED (
SELECT t.id, t.tenant_id, t.user_id, ${raw("%1$s")}, l.length, l.often, t.words FROM (
  SELECT t.*, ${words} AS words FROM (
    SELECT r.id, ${raw("%6$s")} AS tenant_id, r.user_id, concat_ws(' ', ${raw("%3$s")}) AS text
    FROM (SELECT c.id FROM unnest($1) AS c (id) ORDER BY c.id) AS changed CROSS JOIN LATERAL (SELECT * FROM ${raw("%4$s")} AS r WHERE r.id = changed.id OFFSET 0) AS r
    WHERE r.deleted_at IS NULL ORDER BY changed.id OFFSET 0
  ) AS t OFFSET 0
) AS t CROSS JOIN LATERAL (${measuredWords(sql`t.words`)}) AS l
)
INSERT INTO ${raw("%5$s")} AS w (entity_id, tenant_id, user_id, version, length, often, words)
SELECT * FROM entries ON CONFLICT (entity_id) DO ${raw("%7$s")}`;
	return sql`
CREATE OR REPLACE FUNCTION ${storeWordsRef(schema)}(rem_type TEXT, rem_table REGCLASS, rem_words REGCLASS, rem_ids UUID[], rem_overwrite BOOLEAN) RETURNS VOID
LANGUAGE plpgsql
${functionSettings(schema)}AS $fn$
DECLARE
  rem_text TEXT;
  rem_source RECORD;
BEGIN
  SELECT s.language, s.version, s.columns INTO rem_source FROM ${wordSourcesRef(schema)} AS s WHERE s.entity_type = rem_type;
  IF NOT FOUND THEN RETURN; END IF;
  SELECT string_agg(format('left(r.%I::text, %s)', a.attname, ${raw(String(maxCharacters))} / cardinality(rem_source.columns)), ', ' ORDER BY array_position(rem_source.columns, a.attname::text)) INTO rem_text
  FROM pg_attribute AS a
  WHERE a.attrelid = rem_table AND a.attname = ANY (rem_source.columns) AND a.attnum > 0 AND NOT a.attisdropped;
  EXECUTE format(${literal(toText(insert))},
    rem_source.version, rem_source.language, coalesce(rem_text, quote_literal('')), rem_table, rem_words,
    CASE WHEN EXISTS (SELECT FROM pg_attribute WHERE attrelid = rem_table AND attname = 'tenant_id' AND NOT attisdropped) THEN 'r.tenant_id' ELSE quote_literal('*') END,
    CASE WHEN rem_overwrite THEN 'UPDATE SET tenant_id = excluded.tenant_id, user_id = excluded.user_id, version = excluded.version, length = excluded.length, often = excluded.often, words = excluded.words' ELSE 'NOTHING' END)
  USING rem_ids;
END $fn$;
`;
}
