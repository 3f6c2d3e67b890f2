import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CallFailure } from "../../../src/embeddings/failure.ts";
import { Pace } from "../../../src/embeddings/pace.ts";
import {
	retryAfterMs,
	retryDelayMs,
	retryPolicy,
} from "../../../src/embeddings/retry.ts";

describe("retryAfterMs", () => {
	const read = (headers: Record<string, string>) =>
		retryAfterMs((name) => headers[name]);

	test.each([
		[{ "retry-after-ms": "1500" }, 1500],
		[{ "retry-after-ms": "250", "retry-after": "9" }, 250],
		[{ "retry-after": "2" }, 2000],
		[{ "retry-after": "0.05" }, 50],
		[{ "retry-after": "0" }, 0],
		[{ "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }, 0],
		[{ "retry-after": "soon" }, undefined],
		[{ "retry-after": "-5" }, undefined],
		[{ "retry-after": "" }, undefined],
		[{}, undefined],
	])("%j is %s", (headers, expected) => {
		expect(read(headers)).toBe(expected);
	});

	test("reads an HTTP date", () => {
		const date = new Date(Date.now() + 60_000).toUTCString();
		const wait = read({ "retry-after": date });
		expect(wait).toBeGreaterThan(58_000);
		expect(wait).toBeLessThanOrEqual(60_000);
	});
});

describe("retryDelayMs", () => {
	const policy = retryPolicy("document", { baseMs: 100, maxMs: 1000 });
	const down = new CallFailure("down", "");
	afterEach(() => vi.restoreAllMocks());

	test("doubles its upper bound, up to maxMs", () => {
		vi.spyOn(Math, "random").mockReturnValue(1);
		const delays = [1, 2, 3, 4, 5].map((attempt) =>
			retryDelayMs(down, attempt, 0, policy),
		);
		expect(delays).toEqual([100, 200, 400, 800, 1000]);
	});

	test("is drawn from the whole range", () => {
		vi.spyOn(Math, "random").mockReturnValue(0);
		expect(retryDelayMs(down, 3, 0, policy)).toBe(0);
	});

	test("is never less than the provider asks for", () => {
		vi.spyOn(Math, "random").mockReturnValue(0);
		const busy = new CallFailure("busy", "", { retryAfterMs: 5000 });
		expect(retryDelayMs(busy, 1, 0, policy)).toBe(5000);
	});

	test("is none when the attempts or the time are used up", () => {
		expect(retryDelayMs(down, 6, 0, policy)).toBeUndefined();
		expect(retryDelayMs(down, 1, 120_001, policy)).toBeUndefined();
		const busy = new CallFailure("busy", "", { retryAfterMs: 120_001 });
		expect(retryDelayMs(busy, 1, 0, policy)).toBeUndefined();
	});

	test("is none for what will not pass, and soon none for bad answers", () => {
		for (const kind of ["setup", "broken", "text"] as const)
			expect(
				retryDelayMs(new CallFailure(kind, ""), 1, 0, policy),
			).toBeUndefined();
		const answer = new CallFailure("answer", "");
		expect(retryDelayMs(answer, 2, 0, policy)).toBeDefined();
		expect(retryDelayMs(answer, 3, 0, policy)).toBeUndefined();
	});

	test("a user waits for a query: it has an earlier deadline", () => {
		expect(retryPolicy("query")).toMatchObject({
			deadlineMs: 20_000,
			timeoutMs: 20_000,
		});
		expect(retryPolicy("document")).toMatchObject({
			deadlineMs: 120_000,
			timeoutMs: 60_000,
		});
	});
});

describe("Pace", () => {
	beforeEach(() => {
		vi.useFakeTimers();
	});
	afterEach(() => {
		vi.useRealTimers();
	});

	/** The seconds at which each of the calls was let through. */
	async function timesOf(
		pace: Pace,
		tokens: readonly number[],
	): Promise<number[]> {
		const started = performance.now();
		const times: number[] = [];
		const calls = tokens.map(async (count) => {
			await pace.take(count, undefined);
			times.push(Math.round((performance.now() - started) / 1000));
		});
		await vi.advanceTimersByTimeAsync(600_000);
		await Promise.all(calls);
		return times;
	}

	test("without limits nothing waits", async () => {
		expect(await timesOf(new Pace(), [1e9, 1e9, 1e9])).toEqual([0, 0, 0]);
	});

	test("respects requests per minute", async () => {
		const pace = new Pace({ requestsPerMinute: 2 });
		expect(await timesOf(pace, [1, 1, 1, 1, 1])).toEqual([0, 0, 60, 60, 120]);
	});

	test("respects tokens per minute", async () => {
		const pace = new Pace({ tokensPerMinute: 100 });
		expect(await timesOf(pace, [60, 40, 50, 50, 1])).toEqual([
			0, 0, 60, 60, 120,
		]);
	});

	test("lets a call through that is larger than the whole budget, alone", async () => {
		const pace = new Pace({ tokensPerMinute: 100 });
		expect(await timesOf(pace, [500, 500])).toEqual([0, 60]);
	});

	test("makes every call wait when one has to", async () => {
		const pace = new Pace();
		pace.pause(5000);
		pace.pause(1000);
		expect(await timesOf(pace, [1, 1])).toEqual([5, 5]);
	});

	test("stops waiting when the signal is aborted", async () => {
		const pace = new Pace();
		pace.pause(5000);
		const controller = new AbortController();
		const call = pace.take(1, controller.signal);
		controller.abort();
		await expect(call).rejects.toMatchObject({ code: "CANCELLED" });
		expect(vi.getTimerCount()).toBe(0);
	});
});
