import { expect, test } from "vitest";
import { usedWeights } from "../../src/studio/fused-places.ts";

const score = (vector: number, ranks: { vector?: number; text?: number }) =>
	(ranks.vector === undefined ? 0 : vector / (10 + ranks.vector)) +
	(ranks.text === undefined ? 0 : 1 / (10 + ranks.text));

function hits(vector: number, factor = 1) {
	return [{ vector: 2, text: 1 }, { text: 2 }, { vector: 1, text: 30 }].map(
		(ranks) => ({ ranks, score: factor * score(vector, ranks) }),
	);
}

test.each([1, 0.25, 0.1, 0.05, 0.137284])(
	"a weight of the vectors of %d is found by ranks and scores",
	(vector) => {
		expect(usedWeights(hits(vector), {})).toEqual({
			vector,
			text: 1,
			name: 0.5,
		});
	},
);

test("of several tables it is that of the nearest, whose scores are not multiplied", () => {
	const found = [...hits(0.25), ...hits(0.25, 0.7)];
	expect(usedWeights(found, {}).vector).toBe(0.25);
});

test("a weight that was set is that, and without vectors there is none", () => {
	expect(usedWeights(hits(0.25), { vector: 2, text: 3 })).toEqual({
		vector: 2,
		text: 3,
		name: 0.5,
	});
	expect(usedWeights([{ ranks: { text: 1 }, score: 1 / 11 }], {})).toEqual({
		text: 1,
		name: 0.5,
	});
});
