import { setTimeout as sleep } from "node:timers/promises";

const pauseMs = 100;

/**
 * Limits the load on a server that comes back: of the callers that wait for it,
 * one connects, at most every 100 ms, and the others use its result.
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

	/** Whether the server may be asked at once. */
	get isOpen(): boolean {
		return !this.#isSuspect;
	}

	/** Returns when the server may be asked; throws the error of the attempt that was made. */
	pass(): Promise<void> {
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
