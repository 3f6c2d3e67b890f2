/** Code points from the first to the last; one where there is no last. */
export type Range = readonly [first: number, last?: number];

/**
 * Unicode's property Dash, and the characters that look like one (bullets,
 * minus signs, lines of boxes). Compatibility forms are left out: NFKC writes
 * them with these.
 */
export const dashes: readonly Range[] = [
	[0x2d], // hyphen-minus
	[0x2d7], // modifier letter minus sign
	[0x58a], // Armenian hyphen
	[0x5be], // Hebrew maqaf
	[0x1400], // Canadian syllabics hyphen
	[0x1806], // Mongolian todo soft hyphen
	[0x2010, 0x2015], // hyphen, non-breaking hyphen, dashes, horizontal bar
	[0x2043], // hyphen bullet
	[0x2052, 0x2053], // commercial minus sign, swung dash
	[0x2212], // minus sign
	[0x23af], // horizontal line extension
	[0x2448], // OCR dash
	[0x2500, 0x2501], // lines of boxes
	[0x2796], // heavy minus sign
	[0x2e17], // double oblique hyphen
	[0x2e1a], // hyphen with diaeresis
	[0x2e3a, 0x2e3b], // two- and three-em dash
	[0x2e40], // double hyphen
	[0x2e5d], // oblique hyphen
	[0x301c], // wave dash
	[0x3030], // wavy dash
	[0x30a0], // Katakana-Hiragana double hyphen
	[0x10d6e], // Garay hyphen
	[0x10ead], // Yezidi hyphenation mark
];

/** Forms of an apostrophe: grave and acute, quotation marks, primes, modifier letters. */
export const apostrophes: readonly Range[] = [
	[0x60], // grave accent
	[0x2b9], // modifier letter prime
	[0x2bb, 0x2bf], // modifier letters: commas, apostrophe, half rings
	[0x2c8], // modifier letter vertical line
	[0x2ca, 0x2cb], // modifier letters: acute and grave accent
	[0x2f4], // modifier letter middle grave accent
	[0x559, 0x55a], // Armenian half ring and apostrophe
	[0x5f3], // Hebrew geresh
	[0x7f4, 0x7f5], // N'Ko apostrophes
	[0x2018, 0x201b], // single quotation marks
	[0x2032], // prime
	[0x2035], // reversed prime
	[0x275b, 0x275c], // heavy single quotation marks
	[0xa78b, 0xa78c], // saltillo
];

/**
 * Marks that NFKC makes of a spacing accent, behind a space: the acute accent and
 * the Greek tonos, koronis, psili and dasia, all of which look like an apostrophe.
 */
export const apostropheMarks: readonly Range[] = [[0x301], [0x313, 0x314]];

/** The inside of a bracket expression of PostgreSQL. */
export function sqlClass(ranges: readonly Range[]): string {
	return classOf(ranges, (code) =>
		code > 0xffff
			? `\\U${code.toString(16).padStart(8, "0")}`
			: `\\u${code.toString(16).padStart(4, "0")}`,
	);
}

const isUnnamed = new RegExp(
	`^[\\s_\\p{White_Space}\\p{Default_Ignorable_Code_Point}${classOf(dashes, (code) => `\\u{${code.toString(16)}}`)}]*$`,
	"u",
);

/**
 * Whether the key's normal form, as `rem_normalize_key` makes it, is empty: it
 * has nothing but spaces, underscores, dashes and invisible characters.
 */
export function isNameless(key: string): boolean {
	// Up to the first other character, and each alone: NFKC takes the square of marks.
	for (const one of key)
		if (!isUnnamed.test(one) && !isUnnamed.test(one.normalize("NFKC")))
			return false;
	return true;
}

/** The inside of a class, each code point as `write` has it. */
export function classOf(
	ranges: readonly Range[],
	write: (code: number) => string,
): string {
	return ranges
		.map(([first, last]) =>
			last === undefined ? write(first) : `${write(first)}-${write(last)}`,
		)
		.join("");
}
