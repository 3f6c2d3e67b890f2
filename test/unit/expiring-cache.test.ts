import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ExpiringCache } from "../../src/util/expiring-cache.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("a value is returned until it is as old as the limit", () => {
	const cache = new ExpiringCache<number>({ maxAgeMs: 100 });
	cache.set("a", 1);
	vi.advanceTimersByTime(99);
	expect(cache.get("a")).toBe(1);
	vi.advanceTimersByTime(1);
	expect(cache.get("a")).toBeUndefined();
});

test("the entry used least recently is dropped first", () => {
	const cache = new ExpiringCache<number>({ maxEntries: 2 });
	cache.set("a", 1);
	cache.set("b", 2);
	cache.get("a");
	cache.set("c", 3);
	expect(["a", "b", "c"].map((key) => cache.get(key))).toEqual([
		1,
		undefined,
		3,
	]);
});

test("a key beyond the limit is not stored", () => {
	const cache = new ExpiringCache<number>({ maxKeyLength: 2 });
	for (const key of ["ab", "abc"]) cache.set(key, 1);
	expect(["ab", "abc"].map((key) => cache.get(key))).toEqual([1, undefined]);
});

test("a value is read once, also undefined; a failure is read again", async () => {
	const cache = new ExpiringCache<string | undefined>({ maxAgeMs: 100 });
	const read = vi
		.fn<() => Promise<string | undefined>>()
		.mockRejectedValueOnce(new Error("down"))
		.mockResolvedValue(undefined);
	await expect(cache.getOrRead("a", read)).rejects.toThrow("down");
	for (const _ of [1, 2])
		expect(await cache.getOrRead("a", read)).toBeUndefined();
	expect(read).toHaveBeenCalledTimes(2);
	cache.clear();
	await cache.getOrRead("a", read);
	cache.delete("a");
	await cache.getOrRead("a", read);
	expect(read).toHaveBeenCalledTimes(4);
});
