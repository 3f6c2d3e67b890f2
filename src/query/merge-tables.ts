/** What a search of one table found, best first. */
export interface FoundInTable<Hit> {
	readonly tableName: string;
	readonly hits: readonly Hit[];
	/** Whether the query's vector was compared with the table's. */
	readonly isCompared: boolean;
}

/** A hit of a search of several tables: `entityType` is the table that its row is of. */
export type WithTable<Hit> = Hit & { readonly entityType: string };

export interface MergeOptions<Hit> {
	readonly limit: number;
	/** Comparable between tables; the higher, the better. */
	readonly scoreOf: (hit: Hit) => number;
}

/**
 * The best hits of all tables, by score; of equal ones in the order of the
 * tables' names, then in that of their own list, whose ties are by id.
 */
export function mergeTables<Hit extends object>(
	found: readonly FoundInTable<Hit>[],
	{ limit, scoreOf }: MergeOptions<Hit>,
): WithTable<Hit>[] {
	return [...found]
		.sort((a, b) => (a.tableName < b.tableName ? -1 : 1))
		.flatMap((table) =>
			table.hits.map((hit) => ({
				score: scoreOf(hit),
				hit: { ...hit, entityType: table.tableName },
			})),
		)
		.sort((a, b) => b.score - a.score)
		.slice(0, limit)
		.map(({ hit }) => hit);
}
