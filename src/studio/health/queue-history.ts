import type { EmbeddingHealth } from "../api/health.ts";

interface Sample {
	readonly time: number;
	readonly embedded: number;
	readonly queued: number;
	readonly dead: number;
}

const maxSamples = 300;
const rateMs = 60_000;

/** How the queue of texts went, as long as it was looked at. */
export class QueueHistory {
	readonly #samples: Sample[] = [];
	readonly #now: () => number;

	constructor(now: () => number = Date.now) {
		this.#now = now;
	}

	add(fields: readonly Omit<Sample, "time">[]): void {
		const sum = (name: "embedded" | "queued" | "dead") =>
			fields.reduce((total, field) => total + field[name], 0);
		this.#samples.push({
			time: this.#now(),
			embedded: sum("embedded"),
			queued: sum("queued"),
			dead: sum("dead"),
		});
		if (this.#samples.length > maxSamples) this.#samples.shift();
	}

	figures(): Pick<EmbeddingHealth, "history" | "perSecond" | "etaMs"> {
		const perSecond = this.#rate();
		const queued = this.#samples.at(-1)?.queued ?? 0;
		return {
			history: this.#samples.map(({ time, ...counts }) => ({
				at: new Date(time).toISOString(),
				...counts,
			})),
			perSecond,
			etaMs:
				perSecond === null || perSecond <= 0
					? null
					: Math.round((queued / perSecond) * 1000),
		};
	}

	/** Over the last minute. */
	#rate(): number | null {
		const last = this.#samples.at(-1);
		if (last === undefined) return null;
		const first = this.#samples.find(({ time }) => last.time - time <= rateMs);
		if (first === undefined || first.time === last.time) return null;
		const seconds = (last.time - first.time) / 1000;
		return Math.max(0, (last.embedded - first.embedded) / seconds);
	}
}
