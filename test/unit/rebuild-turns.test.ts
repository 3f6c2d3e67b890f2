import { expect, test } from "vitest";
import { RebuildTurns } from "../../src/kv/kv-cache.ts";

test("three rebuilds run at a time, the others in their order, whether one fails or not", async () => {
	const turns = new RebuildTurns();
	const running = new Set<number>();
	const begun: number[] = [];
	let most = 0;
	const all = await Promise.allSettled(
		Array.from({ length: 9 }, (_, number) =>
			turns.next(async () => {
				begun.push(number);
				running.add(number);
				most = Math.max(most, running.size);
				await new Promise((resolve) => setTimeout(resolve, 9 - number));
				running.delete(number);
				if (number % 4 === 0) throw new Error(`rebuild ${number}`);
				return number;
			}),
		),
	);
	expect(most).toBe(3);
	expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
	expect(
		all.map((one) =>
			one.status === "fulfilled" ? one.value : String(one.reason),
		),
	).toEqual([
		"Error: rebuild 0",
		1,
		2,
		3,
		"Error: rebuild 4",
		5,
		6,
		7,
		"Error: rebuild 8",
	]);
});
