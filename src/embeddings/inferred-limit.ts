import type { EmbeddingProvider } from "./provider.ts";

const sureAfter = 3;

/**
 * How many texts a provider takes in a call, found out by its refusals: between
 * a number that worked and one that did not, the next call tries the middle.
 */
export class InferredLimit {
	#works = 0;
	#fails = Number.POSITIVE_INFINITY;
	#suspected = Number.POSITIVE_INFINITY;
	#suspicions = 0;

	/** Whether the first call goes alone: what it finds out, others would find out at the same time. */
	beginsAlone = false;

	get isFirst(): boolean {
		return this.beginsAlone && this.#works === 0;
	}

	/** Texts for the next call. */
	get maxTexts(): number {
		if (this.#fails === Number.POSITIVE_INFINITY) return this.#fails;
		const gap = this.#fails - this.#works;
		return Math.max(1, this.#works + Math.ceil((gap - 1) / 2));
	}

	/** Where a call was refused: a number that is known to work, if there is one. */
	sizeBelow(count: number): number {
		return this.#fails < Number.POSITIVE_INFINITY && this.#works < count
			? Math.max(1, this.#works)
			: Math.max(1, count >> 1);
	}

	worked(count: number): void {
		if (count < this.#fails) this.#works = Math.max(this.#works, count);
		if (count >= this.#suspected) this.#forget();
	}

	/**
	 * So many were refused, and each of them taken in a smaller call. A refusal
	 * may be an accident: it counts when a larger call, which these texts were
	 * part of, was refused as well, or when it happens again and again.
	 */
	refused(count: number, isWithin: boolean): void {
		this.#suspected = Math.min(this.#suspected, count);
		this.#suspicions++;
		const isKnown = this.#fails < Number.POSITIVE_INFINITY;
		if (!isKnown && !isWithin && this.#suspicions < sureAfter) return;
		this.#fails = Math.min(
			this.#fails,
			Math.max(this.#suspected, this.#works + 1),
		);
		this.#forget();
	}

	#forget(): void {
		this.#suspected = Number.POSITIVE_INFINITY;
		this.#suspicions = 0;
	}

	/** The provider states it. */
	stated(count: number): void {
		this.#works = count;
		this.#fails = count + 1;
	}
}

const limits = new WeakMap<EmbeddingProvider, InferredLimit>();

/** The provider's, for as long as it is in use. */
export function inferredLimit(provider: EmbeddingProvider): InferredLimit {
	const limit = limits.get(provider) ?? new InferredLimit();
	limits.set(provider, limit);
	return limit;
}
