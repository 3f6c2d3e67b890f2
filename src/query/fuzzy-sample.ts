import { isUsable } from "../db/catalogue/indexes.ts";
import type { Handle } from "../db/database.ts";
import { arrayLiteral } from "../db/encode.ts";
import { RemError } from "../errors.ts";
import { sharedTenant } from "../models/limits.ts";
import { contentIndex } from "../schema/index-types/trigram.ts";
import { ident, literal, raw, sql, toText } from "../sql.ts";
import { ExpiringCache } from "../util/expiring-cache.ts";
import { type Having, havingOf } from "./fuzzy-plan.ts";
import { trigramForm } from "./trigram-thresholds.ts";
import { UsualSizes } from "./usual-size.ts";

/** What FUZZY compares with: names, or summaries. */
export type ComparedColumn = "entity_key" | "content_summary";

/** Up to so many entries every one that the index finds is compared. */
const fewEntries = 2000;

/**
 * Some texts of a large tenant, by which it is estimated how many entries have
 * something in common with a query: pg_trgm has no statistics of its trigrams.
 */
export class FuzzySample {
	/** Of the tenant, about. */
	readonly entries: number;
	/** Entries that one text of the sample stands for. */
	readonly scale: number;
	readonly size: number;
	readonly #texts: readonly string[];
	#trigramForms: readonly string[] | undefined;
	#normalForms: readonly string[] | undefined;
	readonly #found = new Map<string, Having>();

	constructor(texts: readonly string[], entries: number) {
		this.#texts = texts;
		this.entries = entries;
		this.size = texts.length;
		this.scale = entries / Math.max(1, texts.length);
	}

	/** Which texts have the trigram. */
	withTrigram(trigram: string): Having {
		this.#trigramForms ??= this.#texts.map(trigramForm);
		return this.#containing(this.#trigramForms, trigram, `3${trigram}`);
	}

	/** Which texts have the neighbouring letters. */
	withPair(pair: string): Having {
		this.#normalForms ??= this.#texts.map((text) => text.normalize("NFKC"));
		return this.#containing(this.#normalForms, pair, `2${pair}`);
	}

	#containing(forms: readonly string[], part: string, key: string) {
		const known = this.#found.get(key);
		if (known !== undefined) return known;
		const found = havingOf(forms, (form) => form.includes(part));
		if (this.#found.size >= maxParts) this.#found.clear();
		this.#found.set(key, found);
		return found;
	}
}

const maxParts = 5000;

/** Where the sample is from. */
export interface SampledNames {
	readonly schema: string;
	readonly tenantId: string;
	readonly column: ComparedColumn;
}

const maxAgeMs = 300_000;

/** Samples of the tenants that are searched, stored for five minutes: one that is out of date costs time, or marks a result without need. */
export class FuzzySamples {
	readonly #large = new ExpiringCache<FuzzySample>({
		maxAgeMs,
		maxEntries: 16,
	});
	readonly #small = new ExpiringCache<true>({
		maxAgeMs: 30_000,
		maxEntries: 1000,
	});

	readonly #sizes = new UsualSizes();

	readonly #hasContentIndex = new ExpiringCache<boolean>({ maxAgeMs: 30_000 });

	/** `undefined`: so few entries that all may be compared, or no cache to read them from. */
	async read(
		db: Handle,
		names: SampledNames,
	): Promise<FuzzySample | undefined> {
		const { tenantId } = names;
		const key = keyOf(names);
		const known = this.#large.get(key);
		if (known !== undefined || this.#small.get(tenantId)) return known;
		try {
			const size = await readSize(db, names);
			if (size.entries > fewEntries) {
				const sample = await readSample(db, names, size.pages);
				this.#large.set(key, sample);
				return sample;
			}
			this.#small.set(tenantId, true);
		} catch (error) {
			// A standby has no UNLOGGED tables: the answer comes from elsewhere.
			if (!(error instanceof RemError && error.sqlState === "0A000"))
				throw error;
		}
		return undefined;
	}

	/** Whether a plan made for any tenant suits this one. */
	async isUsual(
		db: Handle,
		{ schema, tenantId }: Omit<SampledNames, "column">,
	): Promise<boolean> {
		try {
			return await this.#sizes.isUsual(db, {
				ref: ident(schema, "kv_store"),
				tenant: tenantId,
				readsUnlogged: true,
			});
		} catch (error) {
			// A standby has no UNLOGGED tables.
			if (error instanceof RemError && error.sqlState === "0A000") return false;
			throw error;
		}
	}

	/** Whether summaries have their index, which is built in the background. */
	hasContentIndex(db: Handle, schema: string): Promise<boolean> {
		return this.#hasContentIndex.getOrRead(schema, async () => {
			const { rows } = await db.query<{ is: boolean }>(
				sql`SELECT ${isUsable(schema, contentIndex)} AS "is"`,
				{ idempotent: true },
			);
			return rows[0]?.is === true;
		});
	}

	/** After an index was built or dropped, or rows were loaded. */
	forgetIndexes(): void {
		this.#sizes.forget();
		this.#hasContentIndex.clear();
	}

	/** The next search reads the tenant's size again. */
	forget(names: SampledNames): void {
		this.#large.delete(keyOf(names));
		this.#small.delete(names.tenantId);
	}
}

function keyOf({ tenantId, column }: SampledNames): string {
	return JSON.stringify([tenantId, column]);
}

interface CacheSize {
	/** Of the tenant, counted up to one more than {@link fewEntries}. */
	readonly entries: number;
	/** Of the whole cache. */
	readonly pages: number;
}

async function readSize(
	db: Handle,
	{ schema, tenantId }: SampledNames,
): Promise<CacheSize> {
	const kvStore = ident(schema, "kv_store");
	const counted = (tenant: string) =>
		sql`(SELECT count(*) FROM (SELECT FROM ${kvStore} AS k WHERE k.tenant_id = ${tenant} ORDER BY k.entity_key LIMIT ${fewEntries + 1}) AS few)`;
	const { rows } = await db.query<{ entries: number; pages: number }>(
		sql`SELECT ${counted(tenantId)} + ${counted(sharedTenant)} AS entries,
  pg_relation_size(${literal(toText(kvStore))}) / current_setting('block_size')::int AS pages`,
		{ readsUnlogged: true, idempotent: true },
	);
	return rows[0] ?? { entries: 0, pages: 0 };
}

const maxTexts = 3000;
/** Pages to read: few first, more where the tenant has few entries among many. */
const sampledPages = [400, 4000];
const enoughTexts = 100;

async function readSample(
	db: Handle,
	names: SampledNames,
	pages: number,
): Promise<FuzzySample> {
	let sample: Sampled = { texts: [], entries: 0 };
	let share = 1;
	for (const wanted of sampledPages) {
		share = Math.min(1, wanted / Math.max(1, pages));
		sample = await readTexts(db, names, share);
		if (share === 1 || sample.texts.length >= enoughTexts) break;
	}
	const entries = Math.max(fewEntries, sample.entries / share);
	return new FuzzySample(sample.texts, entries);
}

interface Sampled {
	readonly texts: readonly string[];
	/** Entries of the tenant on the pages that were read. */
	readonly entries: number;
}

/** The same pages each time: a result shall not depend on chance. */
async function readTexts(
	db: Handle,
	{ schema, tenantId, column }: SampledNames,
	share: number,
): Promise<Sampled> {
	const { rows } = await db.query<{ text: string | null; entries: number }>(
		sql`SELECT ${raw(column)} AS text, count(*) OVER () AS entries
FROM ${ident(schema, "kv_store")} TABLESAMPLE SYSTEM (${raw(String(100 * share))}) REPEATABLE (0)
WHERE tenant_id = ANY (${arrayLiteral([tenantId, sharedTenant])}::text[])
LIMIT ${maxTexts}`,
		{ readsUnlogged: true, idempotent: true },
	);
	return {
		texts: rows.map(({ text }) => text ?? ""),
		entries: rows[0]?.entries ?? 0,
	};
}
