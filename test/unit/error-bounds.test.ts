import { expect, test } from "vitest";
import { longestMessage, RemError } from "../../src/errors.ts";
import { hostileValues } from "../support/hostile-values.ts";

test.each([
	["letters", "x"],
	["letters of three bytes", "王"],
	["characters of four bytes", "🐤"],
	["lone surrogates", "\ud800"],
])("a message, a hint and an issue of 64 KiB of %s are cut", (_, letter) => {
	const text = `begin ${letter.repeat(65_536)} end`;
	const error = new RemError("VALIDATION", text, {
		hint: text,
		issues: [{ index: 3, field: text, message: text }],
	});
	const [issue] = error.issues;
	for (const part of [
		error.message,
		error.hint,
		issue?.field,
		issue?.message,
	]) {
		expect(Buffer.byteLength(part as string)).toBeLessThanOrEqual(
			longestMessage,
		);
		expect(part).toMatch(/^begin .* end$/s);
		expect(part).toContain(`${text.length} characters`);
	}
	expect(issue?.index).toBe(3);
});

test("a message that is not too long stays as it is", () => {
	for (const text of ["", "x".repeat(2048), "王".repeat(682)])
		expect(new RemError("VALIDATION", text, { hint: text })).toMatchObject({
			message: text,
			hint: text,
		});
});

test("whatever it is made of, it is made", () => {
	for (const [name, value] of hostileValues)
		for (const given of [
			[value, "m"],
			["VALIDATION", value],
			["VALIDATION", "m", value],
			["VALIDATION", "m", { hint: value, issues: value, cause: value }],
			[
				"VALIDATION",
				"m",
				{ issues: [value, { message: value, field: value }] },
			],
		]) {
			const error = Reflect.construct(RemError, given);
			expect(error, name).toBeInstanceOf(RemError);
			expect(typeof error.message, name).toBe("string");
		}
});
