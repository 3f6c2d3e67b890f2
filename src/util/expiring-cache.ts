export interface CacheLimits {
	/** The entry used least recently is dropped first. @default no limit */
	readonly maxEntries?: number;
	/** @default no limit */
	readonly maxAgeMs?: number;
	/** A longer key is not stored: keys take memory, too. @default no limit */
	readonly maxKeyLength?: number;
}

interface Entry<V> {
	readonly value: V;
	readonly expiresAt: number;
}

/** Values by key, limited in number and age. */
export class ExpiringCache<V> {
	/** In the order of their last use. */
	readonly #entries = new Map<string, Entry<V>>();
	readonly #maxEntries: number;
	readonly #maxAgeMs: number;
	readonly #maxKeyLength: number;

	constructor({
		maxEntries = Number.POSITIVE_INFINITY,
		maxAgeMs = Number.POSITIVE_INFINITY,
		maxKeyLength = Number.POSITIVE_INFINITY,
	}: CacheLimits) {
		this.#maxEntries = maxEntries;
		this.#maxAgeMs = maxAgeMs;
		this.#maxKeyLength = maxKeyLength;
	}

	get(key: string): V | undefined {
		return this.#find(key)?.value;
	}

	set(key: string, value: V): void {
		if (key.length > this.#maxKeyLength) return;
		this.#entries.delete(key);
		this.#entries.set(key, {
			value,
			expiresAt: performance.now() + this.#maxAgeMs,
		});
		const [oldest] = this.#entries.keys();
		if (this.#entries.size > this.#maxEntries && oldest !== undefined)
			this.#entries.delete(oldest);
	}

	/** The stored value, else the one that is read now; what fails is not stored. */
	async getOrRead(key: string, read: () => Promise<V>): Promise<V> {
		const entry = this.#find(key);
		if (entry !== undefined) return entry.value;
		const value = await read();
		this.set(key, value);
		return value;
	}

	delete(key: string): void {
		this.#entries.delete(key);
	}

	clear(): void {
		this.#entries.clear();
	}

	#find(key: string): Entry<V> | undefined {
		const entry = this.#entries.get(key);
		if (entry === undefined) return undefined;
		this.#entries.delete(key);
		if (entry.expiresAt <= performance.now()) return undefined;
		this.#entries.set(key, entry);
		return entry;
	}
}
