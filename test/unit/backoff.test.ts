import { afterEach, expect, test, vi } from "vitest";
import { backoffMs } from "../../src/util/backoff.ts";

afterEach(() => void vi.restoreAllMocks());

const pauses = (random: number, jitter?: number) => {
	vi.spyOn(Math, "random").mockReturnValue(random);
	return [0, 1, 2, 5, 5000].map((failures) =>
		backoffMs(failures, {
			firstMs: 100,
			maxMs: 1000,
			...(jitter === undefined ? {} : { jitter }),
		}),
	);
};

test("a pause doubles with each failure, up to the longest", () => {
	expect(pauses(1)).toEqual([100, 200, 400, 1000, 1000]);
});

test("a pause is random from nothing up to its bound, or in the share that is given", () => {
	expect(pauses(0)).toEqual([0, 0, 0, 0, 0]);
	expect(pauses(0, 0.5)).toEqual([50, 100, 200, 500, 500]);
	expect(pauses(0, 0)).toEqual([100, 200, 400, 1000, 1000]);
});
