import { expect, test } from "vitest";
import { isUuid, uuidv7 } from "../../src/util/uuid.ts";

test("uuidv7 has version 7, variant 10 and the time in front", () => {
	const id = uuidv7(0x0123456789ab);
	expect(id).toMatch(
		/^01234567-89ab-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
	);
	expect(isUuid(id)).toBe(true);
});

test("uuidv7 of a later millisecond sorts later, of the same one differs", () => {
	expect(uuidv7(1000) < uuidv7(1001)).toBe(true);
	const ids = new Set(Array.from({ length: 1000 }, () => uuidv7(1)));
	expect(ids.size).toBe(1000);
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
