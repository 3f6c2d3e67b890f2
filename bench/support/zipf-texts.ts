import type { SearchText } from "./films.ts";
import { randomFrom } from "./random.ts";

const syllables =
	"ba be bi bo da de di do ga ge gi go ka ke ki ko la le li lo ma me mi mo na ne ni no pa pe pi po ra re ri ro sa se si so ta te ti to va ve vi vo".split(
		" ",
	);
const vocabulary = 50_000;
const wordsOfText = 60;

/** Texts of 60 invented words, as often as words of a language are (Zipf), and a name of three: one after the other. */
export function* zipfTexts(count: number, seed = 3): Generator<SearchText> {
	const random = randomFrom(seed);
	const words = (length: number) =>
		Array.from({ length }, () => word(rank(random()))).join(" ");
	for (let at = 0; at < count; at++)
		yield { name: `${words(3)} ${at}`, content: words(wordsOfText) };
}

/** Rank 0 is the most frequent word: the share of a rank falls as 1 / rank. */
function rank(part: number): number {
	return Math.floor(vocabulary ** part) - 1;
}

function word(rank: number): string {
	let rest = rank;
	let text = "";
	do {
		text += syllables[rest % syllables.length];
		rest = Math.floor(rest / syllables.length);
	} while (rest > 0);
	// Two letters would be a word of English here and there.
	return `${text}x`;
}
