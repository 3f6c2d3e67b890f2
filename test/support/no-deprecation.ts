import { afterAll, expect } from "vitest";

// For all test files: what a driver has deprecated it removes in its next major
// version. Whatever the tests themselves do with it is their own affair.

const found: string[] = [];

const onWarning = ({ name, message, stack = "" }: Error) => {
	const isOurs = /[\\/]src[\\/]\w+[\\/][\w-]+\.ts/.test(stack);
	if (name === "DeprecationWarning" && isOurs) found.push(message);
};
process.on("warning", onWarning);

afterAll(() => {
	process.off("warning", onWarning);
	expect(found, "deprecated calls of a dependency").toEqual([]);
});
