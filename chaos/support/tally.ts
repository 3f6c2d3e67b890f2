/** What the actors of a run did and found, in one place. */
export class Tally {
	readonly figures: Record<string, number> = {};
	readonly violations: string[] = [];

	count(what: string, by = 1): void {
		this.figures[what] = (this.figures[what] ?? 0) + by;
	}

	/** A broken promise; after the first hundred only the number grows. */
	violate(what: string): void {
		this.count("broken promises");
		if (this.violations.length < 100) this.violations.push(what);
	}
}
