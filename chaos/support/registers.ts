import { randomInt } from "node:crypto";
import type { PostgresService } from "../../src/index.ts";
import { RemError } from "../../src/index.ts";
import type { models } from "./items.ts";
import type { Tally } from "./tally.ts";

type Service = PostgresService<typeof models>;

const tenantId = "registers";

/** One row, whose number only grows. */
interface Register {
	readonly name: string;
	/** The last number whose writing was acknowledged. */
	acknowledged: number;
	/** The last number that was sent at all. */
	sent: number;
}

/**
 * Rows that hold a number which their one writer counts up, through the
 * library's own calls. Every read must give a number between the one
 * acknowledged before it began and the one sent before it ended: less is a lost
 * or stale answer, more is nobody's.
 */
export class Registers {
	readonly #rows: readonly Register[];
	readonly #tally: Tally;
	/** When the last write was acknowledged, and the last read answered. */
	readonly last = { write: 0, read: 0 };

	constructor(owners: readonly string[], each: number, tally: Tally) {
		this.#rows = owners.flatMap((owner) =>
			Array.from({ length: each }, (_, at) => ({
				name: `register ${owner} ${at}`,
				acknowledged: 0,
				sent: 0,
			})),
		);
		this.#tally = tally;
	}

	/** Counts up some of the owner's rows, in one batch. */
	async write(service: Service, owner: string): Promise<void> {
		const own = this.#rows.filter(({ name }) =>
			name.startsWith(`register ${owner} `),
		);
		const first = randomInt(own.length);
		const some = own.slice(first, first + 1 + randomInt(10));
		for (const row of some) row.sent++;
		try {
			await service.batchUpsert({
				tableName: "items",
				tenantId,
				entities: some.map(({ name, sent }) => ({
					name,
					rev: sent,
					content: `rev ${sent}`,
				})),
			});
		} catch (error) {
			this.#countFailure("write", error);
			throw error;
		}
		for (const row of some) row.acknowledged = row.sent;
		this.last.write = performance.now();
		this.#tally.count("acknowledged row changes", some.length);
		this.#tally.count("acknowledged writes");
	}

	/** One LOOKUP, and now and then a FUZZY. */
	async read(service: Service): Promise<void> {
		const row = this.#rows[randomInt(this.#rows.length)] as Register;
		const least = row.acknowledged;
		const isFuzzy = randomInt(5) === 0;
		try {
			const found = isFuzzy
				? await nearest(service, row.name)
				: await service.lookupEntity({ entityKey: row.name, tenantId });
			this.#expect(isFuzzy ? "FUZZY" : "LOOKUP", row, least, found);
		} catch (error) {
			this.#countFailure("read", error);
			throw error;
		}
		this.last.read = performance.now();
		this.#tally.count(isFuzzy ? "FUZZYs compared" : "LOOKUPs compared");
	}

	/** At the end: every row in the table, and by its name. */
	async expectAll(service: Service): Promise<void> {
		const rows = await service
			.repository(service.registry.get("items").entity as never)
			.find({ tenantId } as never);
		const stored = new Map(
			(rows as unknown as { name: string; content: string }[]).map((row) => [
				row.name,
				{ entityKey: row.name, contentSummary: row.content },
			]),
		);
		for (const row of this.#rows) {
			this.#expect("the table", row, row.acknowledged, stored.get(row.name));
			const entityKey = row.name;
			const hit = await service.lookupEntity({ entityKey, tenantId });
			this.#expect("LOOKUP at the end", row, row.acknowledged, hit);
		}
		this.#tally.count("rows compared at the end", this.#rows.length);
	}

	#expect(
		what: string,
		row: Register,
		least: number,
		found: { entityKey: string; contentSummary: string | null } | undefined,
	): void {
		const text = found?.contentSummary?.replace("rev ", "");
		const number = text === undefined ? 0 : Number(text);
		const isItsOwn = found === undefined || found.entityKey === row.name;
		if (isItsOwn && number >= least && number <= row.sent) return;
		this.#tally.violate(
			`${what} of "${row.name}" gave ${found?.entityKey} ${text}: acknowledged ${least}, sent ${row.sent}`,
		);
	}

	#countFailure(what: "read" | "write", error: unknown): void {
		const code = error instanceof RemError ? error.code : "no RemError";
		this.#tally.count(`${what}s that failed: ${code}`);
	}
}

async function nearest(service: Service, name: string) {
	const hits = await service.fuzzySearch({
		query: name,
		tenantId,
		threshold: 0.9,
		limit: 20,
	});
	return hits.find(({ entityKey }) => entityKey === name);
}
