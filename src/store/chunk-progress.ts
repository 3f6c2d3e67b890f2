import { isRemError, markCallersOwn, withParts } from "../errors.ts";
import type { Prepared, VectorCounts } from "./prepare.ts";
import type { UpsertProgress, UpsertResult } from "./upsert-result.ts";

/** The progress of a batch that is committed in chunks. */
export class ChunkProgress {
	readonly #onProgress: ((progress: UpsertProgress) => void) | undefined;
	readonly #total: number | undefined;
	/** Stored for arrays only: those of a stream may not fit into memory. */
	readonly #ids: string[] = [];
	#sum = nothingWritten;
	#done = 0;

	constructor(
		onProgress: ((progress: UpsertProgress) => void) | undefined,
		total: number | undefined,
	) {
		this.#onProgress = onProgress;
		this.#total = total;
	}

	get result(): UpsertResult {
		return { ...this.#sum, ids: this.#ids };
	}

	committed(count: number, result: UpsertResult): void {
		this.#sum = add(this.#sum, result);
		this.#done += count;
		if (this.#total !== undefined) this.#ids.push(...result.ids);
		this.#onProgress?.({
			done: this.#done,
			total: this.#total,
			ids: result.ids,
		});
	}

	/** Adds to the error how many entities are committed, also to one that the source of the entities threw. */
	describe(error: unknown): unknown {
		if (!isRemError(error)) return withCommitted(error, this.#done);
		const hint =
			this.#done === 0
				? "nothing was committed"
				: `the first ${this.#done} entities are committed, the rest is not`;
		const rest = withoutOutcome(error.hint);
		return withParts(error, {
			hint: rest === "" ? hint : `${hint}; ${rest}`,
			committed: this.#done,
		});
	}
}

/** A chunk's "nothing was written" is about the chunk, not the batch. */
function withoutOutcome(hint = ""): string {
	return hint
		.split("; ")
		.filter((part) => part !== "nothing was written")
		.join("; ");
}

/** An error of another class was thrown by the source of the entities, and its class stays. */
function withCommitted(error: unknown, committed: number): unknown {
	if (typeof error !== "object" || error === null) return error;
	markCallersOwn(error);
	if (Object.isExtensible(error)) Object.assign(error, { committed });
	return error;
}

export const nothingWritten: UpsertResult = {
	inserted: 0,
	updated: 0,
	unchanged: 0,
	duplicates: 0,
	embeddingsGenerated: 0,
	embeddingsReused: 0,
	embeddingsQueued: 0,
	kvEntries: 0,
	ids: [],
};

/** The sums of both, without ids. */
export function add(a: UpsertResult, b: UpsertResult): UpsertResult {
	return {
		inserted: a.inserted + b.inserted,
		updated: a.updated + b.updated,
		unchanged: a.unchanged + b.unchanged,
		duplicates: a.duplicates + b.duplicates,
		embeddingsGenerated: a.embeddingsGenerated + b.embeddingsGenerated,
		embeddingsReused: a.embeddingsReused + b.embeddingsReused,
		embeddingsQueued: a.embeddingsQueued + b.embeddingsQueued,
		kvEntries: a.kvEntries + b.kvEntries,
		ids: [],
	};
}

/** How many vectors a call will have written: those of its chunks so far, and in proportion for the rest where its size is known. */
export class VectorForecast {
	readonly #total: number | undefined;
	readonly #counts = new Map<string, number>();
	#rows = 0;

	/** @param total rows of the call, where it is known */
	constructor(total: number | undefined) {
		this.#total = total;
	}

	/** With a chunk that is about to be written. */
	add({ input, rows, vectors }: Prepared): VectorCounts {
		this.#rows += input.length;
		for (const { texts } of rows)
			for (const { field, hash, ready } of texts) {
				const count =
					ready === undefined ? (vectors.get(hash)?.length ?? 0) : 1;
				this.#counts.set(field, (this.#counts.get(field) ?? 0) + count);
			}
		const share = this.#rows / (this.#total ?? this.#rows);
		return new Map(
			[...this.#counts].map(([field, count]) => [
				field,
				Math.round(count / share),
			]),
		);
	}
}
