import { median } from "./statistics.ts";

/** `9,876 rows/s`, of the median time. */
export function rowsPerSecond(
	rows: number,
	timesMs: readonly number[],
): string {
	return `${whole((rows / median(timesMs)) * 1000)} rows/s`;
}

/** `1,234 ms`, the median. */
export function milliseconds(timesMs: readonly number[]): string {
	const ms = median(timesMs);
	return ms < 20 ? `${ms.toFixed(1)} ms` : `${whole(ms)} ms`;
}

/** `10,000` */
export function whole(value: number): string {
	return Math.round(value).toLocaleString("en");
}
