const maxNames = 10_000;

/** How many rows were written for each name, of the names that were written for last. */
export class RowCounts {
	readonly #counts = new Map<string, number>();

	/** Returns the sum. */
	add(name: string, rows: number): number {
		const sum = (this.#counts.get(name) ?? 0) + rows;
		this.#counts.delete(name);
		this.#counts.set(name, sum);
		const [oldest] = this.#counts.keys();
		if (this.#counts.size > maxNames && oldest !== undefined)
			this.#counts.delete(oldest);
		return sum;
	}

	delete(name: string): void {
		this.#counts.delete(name);
	}
}
