import { expect, test } from "vitest";
import {
	embedTexts,
	generateForTexts,
} from "../../../src/embeddings/embed-texts.ts";
import { estimateTokens } from "../../../src/embeddings/pack.ts";
import type { EmbeddingProvider } from "../../../src/embeddings/provider.ts";
import { splitText } from "../../../src/embeddings/split-text.ts";

const options = { purpose: "document", retry: { baseMs: 1 } } as const;

/** A provider whose vectors contain the length of their text, and which reports why not. */
function lengths(
	refuses: (text: string) => boolean = () => false,
	maxTokensPerText = 16,
) {
	const calls: string[][] = [];
	const provider: EmbeddingProvider = {
		name: "lengths",
		model: "m",
		dimensions: 2,
		limits: {
			maxTexts: 100,
			...(maxTokensPerText === 0 ? {} : { maxTokensPerText }),
		},
		embed: async (texts) => {
			calls.push([...texts]);
			if (texts.some(refuses))
				throw Object.assign(new Error("too long or bad"), { status: 400 });
			return texts.map((text) => Float32Array.of(text.length, 1));
		},
	};
	return { provider, calls };
}

const long =
	"One sentence is here. Another follows it. And a third one. The end.";

test("a short text has one vector and no place, a long one a vector for each passage", async () => {
	const { provider, calls } = lengths();
	const outcomes = await embedTexts(provider, ["short", long], options);
	const passages = splitText(long, 16);
	expect(passages.length).toBe(2);
	expect(outcomes).toEqual([
		{ passages: [{ vector: Float32Array.of(5, 1), start: null, end: null }] },
		{
			passages: passages.map(({ text, start, end }) => ({
				vector: Float32Array.of(text.length, 1),
				start,
				end,
			})),
		},
	]);
	expect(calls).toEqual([["short", ...passages.map(({ text }) => text)]]);
});

test("one bad passage costs only its text the vectors, and is reported by its position", async () => {
	const isBad = (text: string) => text.includes("third");
	const { provider } = lengths(isBad);
	const [bad, good] = await embedTexts(provider, [long, "good"], options);
	expect(good).toMatchObject({ passages: [{ start: null }] });
	expect(bad).toMatchObject({
		kind: "text",
		error: {
			code: "PROVIDER_FAILED",
			hint: expect.stringMatching(/the characters \d+ to \d+ of the text/),
		},
	});
	const all = generateForTexts(provider, ["good", long], {
		...options,
		issueOf: (index) => ({ index, field: "content" }),
	});
	await expect(all).rejects.toMatchObject({
		code: "PROVIDER_FAILED",
		issues: [{ index: 1, field: "content" }],
	});
});

test("a text that was estimated too short for its tokens is cut finer when it is refused", async () => {
	// Every character a token, which is as far from the estimate as can be.
	const { provider, calls } = lengths((text) => text.length > 16);
	const dense = "#$%&!?*+".repeat(4);
	expect(estimateTokens(dense)).toBeLessThan(16);
	const outcomes = await embedTexts(provider, [dense, long], options);
	for (const [at, text] of [dense, long].entries()) {
		const outcome = outcomes[at];
		const passages = outcome && "passages" in outcome ? outcome.passages : [];
		expect(passages.length).toBeGreaterThan(2);
		expect(passages.at(-1)?.end).toBe(text.length);
	}
	const sent = calls.flat().length;
	expect(sent).toBeLessThan(40);
});

test("a refused text that cannot be too long is not tried in parts", async () => {
	const { provider, calls } = lengths((text) => text === "bad");
	await embedTexts(provider, ["bad", "good"], options);
	expect(calls.flat()).not.toContain("b");
	const unlimited = lengths((text) => text === long, 0);
	const outcomes = await embedTexts(
		unlimited.provider,
		[long, "good"],
		options,
	);
	expect(outcomes).toMatchObject([{ kind: "text" }, { passages: [{}] }]);
});

test("a setting makes passages shorter, never longer than the model takes", async () => {
	const count = async (limit: number, maxTokensPerText: number) => {
		const { provider } = lengths(undefined, limit);
		const [outcome] = await embedTexts(provider, [long], {
			...options,
			maxTokensPerText,
		});
		return outcome && "passages" in outcome ? outcome.passages.length : 0;
	};
	expect(await count(0, 16)).toBe(2);
	expect(await count(100, 16)).toBe(2);
	expect(await count(16, 100)).toBe(2);
	expect(await count(100, 100)).toBe(1);
});

test("a failure that is not of the text is reported as it is", async () => {
	const { provider } = lengths();
	const down: EmbeddingProvider = {
		...provider,
		embed: async () => {
			throw Object.assign(new Error("down"), { status: 503 });
		},
	};
	const outcomes = await embedTexts(down, [long], {
		...options,
		retry: { attempts: 1 },
	});
	expect(outcomes).toMatchObject([{ kind: "down" }]);
});
