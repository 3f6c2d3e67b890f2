import type { EntityTable } from "../../models/registry.ts";
import { type EntryRow, readCached, toEntry } from "../cached-read.ts";
import { namedSql } from "../graph/graph-sql.ts";
import type { GraphNode } from "../graph/traversal.ts";
import type { GraphReader } from "../graph/traverse.ts";
import { type RecordTexts, readRecord, recordSql } from "../hydrate.ts";
import type { ReadScope } from "../scope.ts";

/** Which entities of the scope may be found by their names. */
export interface NamedScope {
	readonly scope: ReadScope;
	/** The tables whose entities count, with their rows. */
	readonly tables: readonly EntityTable[];
	/** Only entities that were written at that time or later. */
	readonly since: Date | undefined;
	/** Of one text, so many entities at most. */
	readonly perText: number;
}

/** An entity that a text names, with its row. */
export interface NamedEntity {
	/** The text's place in the list. */
	readonly place: number;
	readonly node: GraphNode;
	readonly row: Readonly<Record<string, unknown>>;
}

/** The entities that texts name, by id, by key in any spelling or as `table/key`, in the order of the texts: one statement. */
export async function findNamed(
	reader: GraphReader,
	texts: readonly string[],
	{ scope, tables, since, perText }: NamedScope,
): Promise<NamedEntity[]> {
	const { schema } = reader;
	if (texts.length === 0 || tables.length === 0) return [];
	const record = recordSql(tables, { since });
	const rows = await readCached<NamedRow>(
		reader,
		(entries) => namedSql(entries, texts, { schema, scope, record, perText }),
		since === undefined ? { name: "named" } : {},
	);
	const byName = new Map(
		tables.map((table) => [table.entity.tableName, table]),
	);
	return rows.flatMap((row) => {
		const table = byName.get(row.entity_type);
		// No row: of another table, written before, or the cache was wrong about it.
		if (table === undefined || row.rem_record === null) return [];
		return [
			{
				place: row.rem_ord - 1,
				node: toEntry(row),
				row: readRecord(table, row.rem_record),
			},
		];
	});
}

interface NamedRow extends EntryRow {
	readonly rem_ord: number;
	readonly rem_record: RecordTexts;
}
