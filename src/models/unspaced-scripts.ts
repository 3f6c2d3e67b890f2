import { classOf, type Range, sqlClass } from "./key-characters.ts";

/**
 * Letters and marks of scripts that put no spaces between words, in NFKC:
 * compatibility forms (half-width katakana, CJK radicals) are written with these.
 */
const unspaced: readonly Range[] = [
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

/** One or more such letters, for PostgreSQL. */
export const unspacedRunSql = `[${sqlClass(unspaced)}]+`;

/** The same for JavaScript. */
export const unspacedRun = new RegExp(
	`[${classOf(unspaced, (code) => `\\u{${code.toString(16)}}`)}]+`,
	"gu",
);
