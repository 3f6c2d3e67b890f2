import { sleep } from "./abort.ts";

/** What an account may use; without a number, nothing is counted. */
export interface PaceLimits {
	readonly requestsPerMinute?: number | undefined;
	/** Tokens are estimated, rather too many than too few. */
	readonly tokensPerMinute?: number | undefined;
}

const windowMs = 60_000;

interface Taken {
	readonly at: number;
	readonly tokens: number;
}

/**
 * Limits the calls of a provider to a minute's budget, and pauses all of them when
 * the provider asks one to wait. It counts the last 60 seconds exactly, so use one
 * for as long as the account is used.
 */
export class Pace {
	readonly #requests: number;
	readonly #tokens: number;
	#taken: Taken[] = [];
	#pausedUntil = 0;

	constructor({ requestsPerMinute, tokensPerMinute }: PaceLimits = {}) {
		this.#requests = requestsPerMinute ?? Number.POSITIVE_INFINITY;
		this.#tokens = tokensPerMinute ?? Number.POSITIVE_INFINITY;
	}

	/** Tokens a single call may have. */
	get maxTokens(): number {
		return this.#tokens;
	}

	/** Resolves when the call may be made, and counts it. */
	async take(tokens: number, signal: AbortSignal | undefined): Promise<void> {
		for (;;) {
			const now = performance.now();
			const wait = Math.max(this.#pausedUntil - now, this.#waitMs(tokens, now));
			if (wait <= 0) {
				if (this.#isCounting) this.#taken.push({ at: now, tokens });
				return;
			}
			await sleep(wait, signal);
		}
	}

	/** No call of this provider is made for so long. */
	pause(ms: number): void {
		this.#pausedUntil = Math.max(this.#pausedUntil, performance.now() + ms);
	}

	get #isCounting(): boolean {
		return Number.isFinite(this.#requests) || Number.isFinite(this.#tokens);
	}

	/** A call larger than the whole budget is made when nothing else counts any more. */
	#waitMs(tokens: number, now: number): number {
		this.#taken = this.#taken.filter(({ at }) => at > now - windowMs);
		const oldest = this.#taken[0];
		if (oldest === undefined) return 0;
		const sum = this.#taken.reduce((sum, taken) => sum + taken.tokens, 0);
		const isFull =
			this.#taken.length >= this.#requests || sum + tokens > this.#tokens;
		return isFull ? oldest.at + windowMs - now : 0;
	}
}
