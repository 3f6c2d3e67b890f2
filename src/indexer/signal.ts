/** Something has changed: every waiting caller checks again. */
export class Signal {
	#waiting = new Set<() => void>();

	raise(): void {
		const waiting = this.#waiting;
		this.#waiting = new Set();
		for (const resume of waiting) resume();
	}

	/** Until it is raised, at most so long; does not keep the process alive. */
	wait(ms: number): Promise<void> {
		return new Promise((resolve) => {
			const resume = () => {
				clearTimeout(timer);
				this.#waiting.delete(resume);
				resolve();
			};
			const timer = setTimeout(resume, ms);
			timer.unref();
			this.#waiting.add(resume);
		});
	}
}
