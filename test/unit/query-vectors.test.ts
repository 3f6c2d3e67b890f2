import { expect, test } from "vitest";
import { QueryVectors } from "../../src/core/query-vectors.ts";

const provider = () => ({
	name: "p",
	model: "m",
	dimensions: 1,
	limits: { maxTexts: 1 },
	embed: async () => [],
});

/** What was asked of the provider, in order. */
function counting() {
	const vectors = new QueryVectors();
	const asked: string[] = [];
	const ask = (text: string, from: ReturnType<typeof provider>) =>
		vectors.get(from, text, async () => {
			asked.push(text);
			return Float32Array.of(1);
		});
	return { asked, ask };
}

test("a query is asked for once, and by each provider by itself", async () => {
	const { asked, ask } = counting();
	const [one, other] = [provider(), provider()];
	await Promise.all([ask("q", one), ask("q", one)]);
	await ask("q", one);
	expect(asked).toEqual(["q"]);
	await ask("q", other);
	expect(asked).toEqual(["q", "q"]);
});

test("the 256 used last are kept", async () => {
	const { asked, ask } = counting();
	const from = provider();
	for (let at = 0; at < 256; at++) await ask(`${at}`, from);
	await ask("0", from);
	await ask("256", from);
	await ask("0", from);
	expect(asked).toHaveLength(257);
	await ask("1", from);
	expect(asked).toHaveLength(258);
});

test("a long text is not kept", async () => {
	const { asked, ask } = counting();
	const from = provider();
	for (const text of ["x".repeat(2000), "x".repeat(2001)])
		for (const _ of [1, 2]) await ask(text, from);
	expect(asked.map((text) => text.length)).toEqual([2000, 2001, 2001]);
});

test("what failed is asked again", async () => {
	const vectors = new QueryVectors();
	const from = provider();
	const failing = vectors.get(from, "q", async () => {
		throw new Error("down");
	});
	await expect(failing).rejects.toThrow("down");
	const vector = Float32Array.of(1);
	expect(await vectors.get(from, "q", async () => vector)).toBe(vector);
});
