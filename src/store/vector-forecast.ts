import type { Prepared, VectorCounts } from "./prepare.ts";

/** How many vectors a call will have written: those of its chunks so far, and in proportion for the rest where its size is known. */
export class VectorForecast {
	readonly #total: number | undefined;
	readonly #counts = new Map<string, number>();
	#rows = 0;

	/** @param total rows of the call; `undefined`: nobody knows */
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
