import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { errorCodes, RemError } from "../../src/errors.ts";

test("an error has its code, message, hint, state, issues and cause", () => {
	const cause = new Error("why");
	const issues = [{ index: 1, field: "year", message: "expected number" }];
	const error = new RemError("DATABASE", "no", {
		hint: "try",
		cause,
		sqlState: "23502",
		issues,
	});
	expect(error).toBeInstanceOf(Error);
	expect(error).toMatchObject({
		name: "RemError",
		code: "DATABASE",
		message: "no",
		hint: "try",
		sqlState: "23502",
		issues,
		cause,
	});
});

test("an error without options has no cause and no issues", () => {
	const error = new RemError("CANCELLED", "stopped");
	expect("cause" in error).toBe(false);
	expect(error.issues).toEqual([]);
});

test("as JSON it leaves out what it lacks, and its cause always", () => {
	const cause = new Error("secret");
	expect(
		JSON.parse(JSON.stringify(new RemError("CANCELLED", "stopped", { cause }))),
	).toEqual({ code: "CANCELLED", message: "stopped" });
	const full = new RemError("DATABASE", "no", {
		hint: "try",
		sqlState: "23502",
		issues: [{ message: "x" }],
	});
	expect(full.toJSON()).toEqual({
		code: "DATABASE",
		message: "no",
		hint: "try",
		sql_state: "23502",
		issues: [{ message: "x" }],
	});
});

test("codes are written once each, in capitals", () => {
	expect(new Set(errorCodes).size).toBe(errorCodes.length);
	for (const code of errorCodes) expect(code).toMatch(/^[A-Z_]+$/);
});

const docs = new URL("../../docs/errors.md", import.meta.url);

// TODO: docs/errors.md is being written; without it there is nothing to check.
test.skipIf(!existsSync(docs))(
	"docs/errors.md has a heading for every code, and for no other",
	() => {
		const headings = [
			...readFileSync(docs, "utf8").matchAll(/^#{2,3} `?([A-Z_]+)`?\s*$/gm),
		].map(([, code]) => code);
		expect(headings.sort()).toEqual([...errorCodes].sort());
	},
);
