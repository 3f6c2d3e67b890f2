import { isUsable } from "../db/catalogue/indexes.ts";
import type { Handle } from "../db/database.ts";
import { tableRef, wordSourcesRef, wordsRef } from "../db/tables.ts";
import { sharedTenant } from "../models/limits.ts";
import type { EntityTable } from "../models/registry.ts";
import { wordsIndex } from "../schema/word-indexes.ts";
import { empty, type Sql, sql } from "../sql.ts";
import { ExpiringCache } from "../util/expiring-cache.ts";
import { estimatedRows, UsualSizes } from "./usual-size.ts";

/** What a search of words is planned by. */
export interface WordStatistics {
	/** The language that the stored words are of; `undefined`: none are stored. */
	readonly language: string | undefined;
	readonly columns: readonly string[];
	readonly version: number;
	/** Whether every row has its words; while the indexer is at it, the others are computed. */
	readonly isFilled: boolean;
	/** While not every row has them: whether the tenant has too many rows for those of the others to be computed for each search. */
	readonly isPartial: boolean;
	readonly isIndexed: boolean;
	/** Of a tenant of more rows than are counted for each search. */
	readonly large: LargeTenant | undefined;
	/** Whether a plan made for any tenant suits this one. */
	readonly isUsual: boolean;
}

export interface LargeTenant {
	readonly rows: number;
	readonly averageLength: number;
	/** Words of a sample of its rows that are in more rows than are read of a word, by their first letters, and in how many rows they are. */
	readonly frequent: ReadonlyMap<string, readonly FrequentWord[]>;
}

export interface FrequentWord {
	readonly word: string;
	readonly rows: number;
}

/** Rows of one word that are read; of a word that is in more, those that have it often or with the other words. */
export const maxRowsOfWord = 200;

/** Up to so many rows of a tenant are read for each search: that takes as long as to plan by what is known of them. */
const smallTenantRows = 2000;
/** Beyond it PostgreSQL's estimate is taken. */
const maxCounted = 20_000;
/** To compute the words of so many rows takes a second. */
const maxComputed = 5000;
const sampleRows = 1000;
/** A word in fewer rows of the sample is not known to be frequent. */
const minInSample = 3;
const maxAgeMs = 30_000;

/**
 * What searches know of a table's words and of a tenant's, for half a minute.
 * Statistics that are out of date shift the weights of words a little and take no row
 * away.
 */
export class TextStatistics {
	readonly #sizes = new UsualSizes();
	readonly #sources = new ExpiringCache<SourceStatistics>({ maxAgeMs });
	readonly #tenants = new ExpiringCache<TenantStatistics>({
		maxAgeMs,
		maxEntries: 1000,
	});

	async read(
		db: Handle,
		table: EntityTable,
		tenantId: string,
	): Promise<WordStatistics> {
		const { tableName, tenantScoped } = table.entity;
		const tenant = tenantScoped ? tenantId : sharedTenant;
		const source = await this.#source(db, table);
		const ofTenant = await this.#tenants.getOrRead(
			JSON.stringify([tableName, tenant]),
			async () => ({
				large: await readTenant(db, table, tenant),
				isUsual: await this.#sizes.isUsual(db, {
					ref: wordsRef(table),
					tenant,
				}),
				isPartial: !source.isFilled && (await hasManyRows(db, table, tenant)),
			}),
		);
		const isPartial = ofTenant.isPartial && !source.isFilled;
		return { ...source, ...ofTenant, isPartial };
	}

	/** Whether every row has its words. */
	async isFilled(db: Handle, table: EntityTable): Promise<boolean> {
		const { isFilled } = await this.#source(db, table);
		return isFilled;
	}

	#source(db: Handle, table: EntityTable): Promise<SourceStatistics> {
		return this.#sources.getOrRead(table.entity.tableName, () =>
			readSource(db, table),
		);
	}

	forget(): void {
		this.#sizes.forget();
		this.#sources.clear();
		this.#tenants.clear();
	}
}

type TenantStatistics = Pick<WordStatistics, "large" | "isUsual" | "isPartial">;
type SourceStatistics = Omit<WordStatistics, keyof TenantStatistics>;

async function readSource(db: Handle, table: EntityTable) {
	const { schema, entity } = table;
	const { rows } = await db.query<{
		language: string;
		columns: string[];
		version: number;
		isFilled: boolean;
		isIndexed: boolean;
	}>(
		sql`SELECT language, columns, version, is_filled AS "isFilled", ${isUsable(schema, wordsIndex(table))} AS "isIndexed"
FROM ${wordSourcesRef(schema)} WHERE entity_type = ${entity.tableName}`,
		{ idempotent: true },
	);
	const [source] = rows;
	return (
		source ?? {
			language: undefined,
			columns: [],
			version: 0,
			isFilled: false,
			isIndexed: false,
		}
	);
}

async function readTenant(
	db: Handle,
	table: EntityTable,
	tenant: string,
): Promise<LargeTenant | undefined> {
	const words = sql`${wordsRef(table)} WHERE tenant_id = ${tenant}`;
	const { rows } = await db.query<{ rows: number; averageLength: number }>(
		sql`SELECT count(*)::float8 AS rows, avg(c.length)::float8 AS "averageLength"
FROM (SELECT length FROM ${words} LIMIT ${maxCounted + 1}) AS c`,
		{ idempotent: true },
	);
	const counted = rows[0]?.rows ?? 0;
	if (counted <= smallTenantRows) return undefined;
	const total =
		counted <= maxCounted
			? counted
			: Math.max(counted, await estimatedRows(db, sql`SELECT FROM ${words}`));
	return {
		rows: total,
		averageLength: rows[0]?.averageLength ?? 1,
		frequent: await readFrequent(db, words, total),
	};
}

/** Whether the tenant has more rows than words are computed of. */
async function hasManyRows(
	db: Handle,
	table: EntityTable,
	tenant: string,
): Promise<boolean> {
	const own = table.entity.tenantScoped
		? sql`WHERE r.tenant_id = ${tenant}`
		: empty;
	const { rows } = await db.query<{ isMany: boolean }>(
		sql`SELECT count(*) > ${maxComputed} AS "isMany" FROM (SELECT FROM ${tableRef(table)} AS r ${own} LIMIT ${maxComputed + 1}) AS c`,
		{ idempotent: true },
	);
	return rows[0]?.isMany === true;
}

/** Half of the sample are the tenant's first rows, half its last. */
async function readFrequent(
	db: Handle,
	words: Sql,
	total: number,
): Promise<Map<string, FrequentWord[]>> {
	const half = (order: Sql) =>
		sql`(SELECT words FROM ${words} ORDER BY entity_id ${order} LIMIT ${sampleRows / 2})`;
	const { rows } = await db.query<{ lexeme: string; rows: number }>(
		sql`SELECT u.lexeme, count(*)::float8 AS rows
FROM (${half(sql`ASC`)} UNION ALL ${half(sql`DESC`)}) AS s, unnest(s.words) AS u
GROUP BY u.lexeme HAVING count(*) >= ${minInSample}`,
		{ idempotent: true },
	);
	const share = total / Math.min(sampleRows, total);
	const known = rows.map(({ lexeme: word, rows }) => ({
		word,
		rows: Math.round(rows * share),
	}));
	const frequent = new Map<string, FrequentWord[]>();
	for (const one of known) {
		if (one.rows <= maxRowsOfWord) continue;
		const start = startOf(one.word);
		frequent.set(start, [...(frequent.get(start) ?? []), one]);
	}
	return frequent;
}

/** Stems begin as their words do; one that does not is counted like a word that is not known. */
export function startOf(word: string): string {
	return word.slice(0, 2);
}
