/** Why a vector must not be stored or searched with, if so. */
export function vectorProblem(
	vector: Float32Array,
	dimensions: number,
): string | undefined {
	if (vector.length !== dimensions)
		return `${vector.length} dimensions, expected ${dimensions}`;
	let sum = 0;
	// By index: 4 µs for 1,536 dimensions, where the iterator took 20.
	for (let at = 0; at < vector.length; at++) {
		const value = vector[at] as number;
		sum += value * value;
	}
	// Infinity and NaN both end up here, so one pass is enough.
	if (!Number.isFinite(sum)) return "a value that is not finite";
	return sum === 0 ? "nothing but zeros" : undefined;
}
