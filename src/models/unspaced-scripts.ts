import { classOf, type Range, sqlClass } from "./key-characters.ts";

// Scripts that put no spaces between words, by code points for PostgreSQL, whose
// bracket expressions know no scripts. Names are compared in NFKC, which writes
// half-width katakana and CJK radicals with these letters.

/** Letters and marks, each of which may be part of a name. */
const letters: readonly Range[] = [
	[0xe01, 0xe3a], // Thai
	[0xe40, 0xe4e],
	[0xe81, 0xece], // Lao
	[0xedc, 0xedf],
	[0x1000, 0x103f], // Myanmar
	[0x1050, 0x109d],
	[0x1780, 0x17d3], // Khmer
	[0x3005, 0x3007], // ideographic iteration mark, closing mark, zero
	[0x3041, 0x3096], // hiragana
	[0x309d, 0x309f],
	[0x30a1, 0x30fa], // katakana
	[0x30fc, 0x30ff],
	[0x31f0, 0x31ff],
	[0x3400, 0x4dbf], // Han
	[0x4e00, 0x9fff],
	[0xf900, 0xfaff],
	[0x20000, 0x3ffff],
];

/** What else is part of a word in a text that is not in NFKC, or whose words end in particles. */
const besides: readonly Range[] = [
	[0xe3b, 0xe3f], // Thai: currency sign, digits, signs
	[0xe4f, 0xe80],
	[0xecf, 0xedb], // Lao digits
	[0xee0, 0xeff],
	[0xf00, 0xfff], // Tibetan
	[0x1040, 0x104f], // Myanmar digits, signs
	[0x109e, 0x109f],
	[0x17d4, 0x17ff], // Khmer signs, digits
	[0x3097, 0x309c], // voiced sound marks
	[0x30a0],
	[0x30fb], // katakana middle dot
	[0xac00, 0xd7af], // Hangul: particles follow its words without a space
	[0xff66, 0xff9f], // half-width katakana
];

/** The punctuation of these scripts, which is alphabetic to a database of the locale C; and full-width letters. */
const wide: readonly Range[] = [
	[0x3000, 0x303f],
	[0xff00, 0xffef],
];

/** The inside of a class of PostgreSQL: what is read in pairs. */
export const pairedSql = sqlClass([...letters, ...besides]);

/** The same, and what is between runs of it. */
export const pairedOrWideSql = sqlClass([...letters, ...besides, ...wide]);

/** Runs of letters in a name, for JavaScript. */
export const unspacedRun = new RegExp(`[${scriptClass(letters)}]+`, "gu");

const paired = new RegExp(`[${scriptClass([...letters, ...besides])}]`, "u");

/** Whether a part of the text is read in pairs, whose letters `pairedSql` has. */
export function hasPairedLetters(text: string): boolean {
	return paired.test(text);
}

/** The inside of a class of JavaScript. */
function scriptClass(ranges: readonly Range[]): string {
	return classOf(ranges, (code) => `\\u{${code.toString(16)}}`);
}

/** The inside of a class of JavaScript: the same scripts by their names. */
export const unspacedScripts =
	"\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}";
