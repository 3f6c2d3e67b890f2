import { randomInt } from "node:crypto";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";

/** Two texts that embed, and a number that does not. */
const Note = defineEntity(
	"notes",
	{
		name: z.string(),
		content: z.string().optional(),
		summary: z.string().optional(),
		rev: z.int().default(0),
	},
	{ entityKeyField: "name" },
);

export type NoteService = PostgresService<readonly [typeof Note]>;

/** What must be found nowhere but in the notes themselves. */
export const secrets = {
	apiKey: "sk-chaos-0123456789abcdef",
	/** A word of every text. */
	word: "Confidential",
};

export const dimensions = 64;

/** Texts with this word are refused by the provider, always. */
const impossible = "unspeakable";

export function isImpossible(text: string): boolean {
	return text.includes(impossible);
}

/** Calls are small, so that there are many, and end soon. */
export function connectNotes(
	url: string,
	baseUrl: string,
): Promise<NoteService> {
	return PostgresService.connect({
		connectionString: url,
		models: [Note],
		embedding: {
			provider: "openai",
			model: "text-embedding-3-small",
			dimensions,
			apiKey: secrets.apiKey,
			baseUrl,
			batchSize: 32,
			maxTokensPerText: 40,
			retry: { attempts: 3, baseMs: 20, maxMs: 200, timeoutMs: 500 },
		},
		poolSize: 4,
		connectTimeoutMs: 3000,
	});
}

/** Of every kind: short, of several passages, the same as others', blank, none, impossible. */
export function randomText(): string | null {
	const drawn = randomInt(100);
	if (drawn < 4) return null;
	if (drawn < 7) return " \n\t";
	if (drawn < 15) return `${secrets.word} remark ${randomInt(40)} of many`;
	const words = Array.from({ length: drawn < 25 ? 60 : 4 }, randomWord);
	if (drawn === 99) words.splice(randomInt(words.length), 0, impossible);
	return `${secrets.word} ${words.join(" ")}.`;
}

function randomWord(): string {
	return `${syllables[randomInt(syllables.length)]}${randomInt(10_000)}`;
}

// Beyond ASCII, too: places in a text are counted in characters.
const syllables = ["note", "wörd", "語", "🦜", "deploy", "Straße"];

export function noteName(number: number): string {
	return `Note ${number}`;
}
