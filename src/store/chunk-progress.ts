import { isRemError, markCallersOwn, RemError } from "../errors.ts";
import type { UpsertProgress, UpsertResult } from "./upsert-result.ts";

/** How far a batch that is committed in chunks has come. */
export class ChunkProgress {
	readonly #onProgress: ((progress: UpsertProgress) => void) | undefined;
	readonly #total: number | undefined;
	/** Kept for arrays only: a stream may not fit into memory. */
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

	/** States in the error how far the batch came, also in one that the source of the entities threw. */
	describe(error: unknown): unknown {
		if (!isRemError(error)) return withCommitted(error, this.#done);
		const { code, message, cause, issues, sqlState, position } = error;
		const hint =
			this.#done === 0
				? "nothing was committed"
				: `the first ${this.#done} entities are committed, the rest is not`;
		const rest = withoutOutcome(error.hint);
		return new RemError(code, message, {
			hint: rest === "" ? hint : `${hint}; ${rest}`,
			cause,
			issues,
			position,
			committed: this.#done,
			...(sqlState === undefined ? {} : { sqlState }),
		});
	}
}

/** What a part of the work knows is that itself wrote nothing; the batch is more than that. */
function withoutOutcome(hint = ""): string {
	return hint
		.split("; ")
		.filter((part) => part !== "nothing was written")
		.join("; ");
}

/** An error that is not ours was thrown by the source of the entities, and stays what it is. */
function withCommitted(error: unknown, committed: number): unknown {
	if (typeof error !== "object" || error === null) return error;
	markCallersOwn(error);
	if (Object.isExtensible(error)) Object.assign(error, { committed });
	return error;
}

const nothingWritten: UpsertResult = {
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

function add(a: UpsertResult, b: UpsertResult): UpsertResult {
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
