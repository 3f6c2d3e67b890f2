import { expect, test } from "vitest";
import { isUuid, uuidv7 } from "../../src/util/uuid.ts";

test("uuidv7 has version 7, variant 10 and the time in front", () => {
	const before = Date.now();
	const id = uuidv7();
	expect(id).toMatch(
		/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
	);
	expect(isUuid(id)).toBe(true);
	const time = Number.parseInt(id.replace("-", "").slice(0, 12), 16);
	expect(time).toBeGreaterThanOrEqual(before);
	expect(time).toBeLessThan(before + 60_000);
});

test("uuidv7s come in the order in which they were asked for, also within a millisecond", () => {
	const ids = Array.from({ length: 20_000 }, () => uuidv7());
	expect(new Set(ids).size).toBe(ids.length);
	expect([...ids].sort()).toEqual(ids);
});

test.each(["00000000-0000-0000-0000-000000000000", uuidv7().toUpperCase()])(
	"%s is a UUID",
	(text) => {
		expect(isUuid(text)).toBe(true);
	},
);

test.each([
	"",
	"x",
	"00000000000000000000000000000000",
	"{00000000-0000-0000-0000-000000000000}",
	"00000000-0000-0000-0000-00000000000g",
	"00000000-0000-0000-0000-000000000000\n",
	" 00000000-0000-0000-0000-000000000000",
])("%j is none", (text) => {
	expect(isUuid(text)).toBe(false);
});
