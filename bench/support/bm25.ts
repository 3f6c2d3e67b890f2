/** Ids of the documents that share words with a query, best first, at most `limit`. */
export type Ranking = (query: string, limit: number) => string[];

const k1 = 1.2;
const b = 0.75;

/** BM25 (Robertson and Zaragoza 2009) over all texts in memory, to hold searches against. */
export function bm25(texts: ReadonlyMap<string, string>): Ranking {
	const documents = [...texts].map(([id, text]) => ({ id, ...counted(text) }));
	const average =
		documents.reduce((sum, { length }) => sum + length, 0) / documents.length;
	const postings = new Map<string, { at: number; count: number }[]>();
	for (const [at, { counts }] of documents.entries())
		for (const [word, count] of counts)
			postings.set(word, [...(postings.get(word) ?? []), { at, count }]);
	return (query, limit) => {
		const scores = new Map<number, number>();
		for (const word of counted(query).counts.keys()) {
			const found = postings.get(word) ?? [];
			const rest = documents.length - found.length;
			const idf = Math.log(1 + (rest + 0.5) / (found.length + 0.5));
			for (const { at, count } of found) {
				const share = (documents[at]?.length ?? 0) / average;
				const weight = (count * (k1 + 1)) / (count + k1 * (1 - b + b * share));
				scores.set(at, (scores.get(at) ?? 0) + idf * weight);
			}
		}
		return [...scores]
			.sort(([at, score], [other, more]) => more - score || at - other)
			.slice(0, limit)
			.map(([at]) => documents[at]?.id ?? "");
	};
}

function counted(text: string) {
	const words = wordsOf(text);
	const counts = new Map<string, number>();
	for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
	return { counts, length: words.length };
}

const withoutSpaces =
	/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}ー]+/gu;

/** Stems of words, and pairs of characters of languages that do not separate words. */
function wordsOf(text: string): string[] {
	const lower = text.toLowerCase();
	const pairs = [...lower.matchAll(withoutSpaces)].flatMap(([run]) => {
		const characters = [...run];
		return characters.length === 1
			? characters
			: characters.slice(1).map((next, at) => `${characters[at]}${next}`);
	});
	const words = lower.replace(withoutSpaces, " ").match(/[\p{L}\p{N}]+/gu);
	const kept = (words ?? []).filter((word) => !stopWords.has(word));
	return [...kept.map(stem), ...pairs];
}

/** Endings of plurals and verbs: enough for a reference. */
function stem(word: string): string {
	if (word.length < 4) return word;
	const singular = word
		.replace(/ies$/, "y")
		.replace(/(ss|x|ch|sh)es$/, "$1")
		.replace(/([^su])s$/, "$1");
	return singular
		.replace(/^(.{3,})(ing|ed|ly)$/, "$1")
		.replace(/^(.{3,})e$/, "$1");
}

const stopWords = new Set(
	"a about above after again all also am an and any are as at be because been before being below between both but by can cannot could did do does doing down during each few for from further had has have having he her here hers him his how i if in into is it its itself just me more most my no nor not of off on once only or other our out over own same she should so some such than that the their them then there these they this those through to too under until up very was we were what when where which while who whom why will with would you your".split(
		" ",
	),
);
