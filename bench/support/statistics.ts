/** The middle value; of an even number of values, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	const upper = sorted[sorted.length >> 1];
	const lower = sorted[(sorted.length - 1) >> 1];
	if (upper === undefined || lower === undefined)
		throw new Error("there is no median of no values");
	return (lower + upper) / 2;
}

/** Round by round: how many times longer `ours` took than `other`. */
export function ratios(
	ours: readonly number[],
	other: readonly number[],
): number[] {
	return ours.map((time, round) => time / (other[round] ?? Number.NaN));
}
