/** What each relevant item is worth, by its name: 1 unless relevance is graded. */
export type Gains = ReadonlyMap<string, number>;

/**
 * Normalised discounted cumulative gain of the first `k` items (Järvelin and
 * Kekäläinen 2002): the sum of gain / log2(rank + 1), divided by that of the best
 * possible order. From 0 to 1.
 */
export function ndcgAt(
	k: number,
	ranked: readonly string[],
	gains: Gains,
): number {
	const best = [...gains.values()].sort((a, b) => b - a);
	const found = ranked.map((item) => gains.get(item) ?? 0);
	return share(dcgAt(k, found), dcgAt(k, best));
}

function dcgAt(k: number, gains: readonly number[]): number {
	let sum = 0;
	for (const [at, gain] of gains.slice(0, k).entries())
		sum += gain / Math.log2(at + 2);
	return sum;
}

/** The part of the relevant items that is among the first `k`. */
export function recallAt(
	k: number,
	ranked: readonly string[],
	gains: Gains,
): number {
	const found = ranked.slice(0, k).filter((item) => gains.has(item));
	return share(found.length, gains.size);
}

/** 1 / the rank of the first relevant item among the first `k`; 0 without one. */
export function reciprocalRankAt(
	k: number,
	ranked: readonly string[],
	gains: Gains,
): number {
	const at = ranked.slice(0, k).findIndex((item) => gains.has(item));
	return at < 0 ? 0 : 1 / (at + 1);
}

/** The arithmetic mean; 0 of no values. */
export function mean(values: readonly number[]): number {
	return share(
		values.reduce((sum, value) => sum + value, 0),
		values.length,
	);
}

/** The smallest value that `percent` of the values do not exceed (nearest rank); 0 of no values. */
export function percentile(percent: number, values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	const rank = Math.ceil((percent / 100) * sorted.length);
	return sorted[Math.max(0, rank - 1)] ?? 0;
}

function share(part: number, whole: number): number {
	return whole === 0 ? 0 : part / whole;
}
