/**
 * The instant of a text such as `2026-01-31 12:00:00+00` or `….123+00`, by its
 * digits: the driver reads it with two expressions. `undefined`: any other form,
 * such as of another zone, of more digits or before the year 100.
 */
export function utcTimestamp(text: string): Date | undefined {
	const fraction = text.length - secondsEnd - zone.length;
	if (fraction < 0 || fraction === 1 || fraction > 4) return undefined;
	const isUsual =
		text.endsWith(zone) &&
		text[4] === "-" &&
		text[7] === "-" &&
		text[10] === " " &&
		text[13] === ":" &&
		text[16] === ":" &&
		(fraction === 0 || text[secondsEnd] === ".");
	if (!isUsual) return undefined;
	const year = digits(text, 0, 4);
	// The driver's own way with years that Date.UTC takes for those of the 20th century.
	if (year < 100) return undefined;
	const ms =
		fraction > 0
			? digits(text, secondsEnd + 1, fraction - 1) * 10 ** (4 - fraction)
			: 0;
	const time = Date.UTC(
		year,
		digits(text, 5, 2) - 1,
		digits(text, 8, 2),
		digits(text, 11, 2),
		digits(text, 14, 2),
		digits(text, 17, 2),
		ms,
	);
	return Number.isNaN(time) ? undefined : new Date(time);
}

const secondsEnd = "2026-01-31 12:00:00".length;
const zone = "+00";

/** The number of so many digits; NaN where a character is not one. */
function digits(text: string, start: number, count: number): number {
	let number = 0;
	for (let at = start; at < start + count; at++) {
		const digit = text.charCodeAt(at) - 0x30;
		if (digit < 0 || digit > 9) return Number.NaN;
		number = 10 * number + digit;
	}
	return number;
}
