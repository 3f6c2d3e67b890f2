/** How long a call under way may take when the process is to stop. */
const patienceMs = 10_000;

/** Calls under way: what stops waits for them. */
export class RunningCalls {
	readonly #running = new Set<Promise<unknown>>();
	/** What has these among its own. */
	readonly #parent: RunningCalls | undefined;

	constructor(parent?: RunningCalls) {
		this.#parent = parent;
	}

	get count(): number {
		return this.#running.size;
	}

	track<T>(call: Promise<T>): Promise<T> {
		const settled = call
			.catch(() => {
				// The caller gets the error.
			})
			.finally(() => this.#running.delete(settled));
		this.#running.add(settled);
		return this.#parent === undefined ? call : this.#parent.track(call);
	}

	/** Resolves when all have ended, or when waiting longer is of no use. */
	async ended(): Promise<void> {
		if (this.#running.size === 0) return;
		let timer: NodeJS.Timeout | undefined;
		const timeUp = new Promise<void>((resolve) => {
			timer = setTimeout(resolve, patienceMs);
		});
		await Promise.race([Promise.all(this.#running), timeUp]);
		clearTimeout(timer);
	}
}
