import { errorMessages } from "./error-reason.ts";

const maxLength = 160;

/**
 * What of a server's error message may be repeated: the first sentence that quotes
 * nothing and contains no part of the key, no code that may be one, and no words of
 * the texts that were sent. Why that is safe: docs/decisions/0059.
 */
export function quotable(
	body: unknown,
	texts: readonly string[],
	apiKey = "",
): string | undefined {
	const sentences = errorMessages(body)
		.flatMap(sentencesOf)
		.filter((sentence) => isPlain(sentence, apiKey))
		.slice(0, 5);
	if (sentences.length === 0) return undefined;
	const sent = texts.map((text) => text.replace(/\s+/g, " ").toLowerCase());
	const sentence = sentences.find((sentence) =>
		isOwn(sentence.toLowerCase(), sent),
	);
	return sentence?.slice(0, maxLength);
}

/** Those before the first quotation: a text that is quoted has sentences of its own. */
function sentencesOf(message: string): string[] {
	const [before = "", quotation] = message.split(
		/["`<>{}«»“”]|(?<!\w)'|'(?!\w)/,
		2,
	);
	const sentences = before
		.split(/(?<=[.!?;])\s+|[\r\n]+/)
		.map((sentence) => sentence.replace(/\s+/g, " ").trim());
	return quotation === undefined ? sentences : sentences.slice(0, -1);
}

/** At least two words, and none as long as a key or with a part of it. */
function isPlain(sentence: string, apiKey: string): boolean {
	if (!/[a-z]{2}\s+[a-z]{2}/i.test(sentence)) return false;
	if (/\w{25}|\*{2}|\bsk-|bearer/i.test(sentence)) return false;
	return !parts(apiKey, 6).some((part) => sentence.includes(part));
}

function parts(text: string, length: number): string[] {
	return Array.from(
		{ length: Math.max(0, text.length - length + 1) },
		(_, at) => text.slice(at, at + length),
	);
}

/** Whether it shares no two words in a row with a text, and is not around a short one. */
function isOwn(sentence: string, sent: readonly string[]): boolean {
	const words = sentence.split(" ");
	const pairs = words
		.slice(1)
		.map((word, at) => `${words[at]} ${word}`)
		.filter((pair) => pair.length > 5);
	return !sent.some(
		(text) =>
			(text.length > 2 && sentence.includes(text)) ||
			pairs.some((pair) => text.includes(pair)),
	);
}
