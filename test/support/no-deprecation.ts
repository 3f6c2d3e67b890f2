import { afterAll, expect } from "vitest";

// For all test files: what a driver has deprecated it removes in its next major
// version. Whatever the tests themselves do with it is their own affair.

const found: string[] = [];

process.on("warning", ({ name, message, stack = "" }) => {
	const isOurs = /[\\/]src[\\/]\w+[\\/][\w-]+\.ts/.test(stack);
	if (name === "DeprecationWarning" && isOurs) found.push(message);
});

afterAll(() => {
	expect(found, "deprecated calls of a dependency").toEqual([]);
});
