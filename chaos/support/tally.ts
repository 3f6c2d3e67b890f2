/** What the actors of a run did and found, in one place. */
export class Tally {
	readonly figures: Record<string, number> = {};
	readonly violations: string[] = [];

	count(what: string, by = 1): void {
		this.figures[what] = (this.figures[what] ?? 0) + by;
	}

	/** For whoever watches a long run. */
	summary(): string {
		const changes = this.figures["acknowledged row changes"] ?? 0;
		const broken = this.figures["broken promises"] ?? 0;
		const megabytes = process.memoryUsage().rss / 1024 / 1024;
		return `${changes.toLocaleString("en-US")} changes acknowledged, ${broken} promises broken, ${megabytes.toFixed(0)} MB`;
	}

	/** A broken promise; after the first hundred only the number grows. */
	violate(what: string): void {
		this.count("broken promises");
		if (this.violations.length < 100) this.violations.push(what);
	}
}
