import { setTimeout as sleep } from "node:timers/promises";

const pauseMs = 100;

/**
 * Keeps those who wait for a server that is away from storming it: one of them
 * tries, at most every 100 ms, and the others go by what it found.
 */
export class ConnectGate {
	readonly #probe: () => Promise<void>;
	#isSuspect = false;
	#notBefore = 0;
	#probing: Promise<void> | undefined;

	/** @param probe connects and lets go again */
	constructor(probe: () => Promise<void>) {
		this.#probe = probe;
	}

	/** A connection was lost, or could not be made. */
	suspect(): void {
		this.#isSuspect = true;
	}

	/** Returns when the server may be asked; throws what the one who tried was told. */
	pass(): Promise<void> {
		if (!this.#isSuspect) return Promise.resolve();
		this.#probing ??= this.#try().finally(() => {
			this.#probing = undefined;
		});
		return this.#probing;
	}

	async #try(): Promise<void> {
		const pause = Math.max(0, this.#notBefore - performance.now());
		await sleep(pause, undefined, { ref: false });
		this.#notBefore = performance.now() + pauseMs;
		await this.#probe();
		this.#isSuspect = false;
	}
}
