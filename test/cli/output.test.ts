import { describe, expect, onTestFinished, test, vi } from "vitest";
import { describeFailure, failureText } from "../../src/cli/failure.ts";
import {
	columnNames,
	jsonText,
	snakeNames,
} from "../../src/cli/output/json-text.ts";
import { counted, duration } from "../../src/cli/output/numbers.ts";
import { plainText } from "../../src/cli/output/plain-text.ts";
import {
	progressBar,
	progressLine,
	startProgress,
} from "../../src/cli/output/progress.ts";
import { tableLines } from "../../src/cli/output/table.ts";
import { cut, textWidth } from "../../src/cli/output/text-width.ts";
import { RemError, Resource } from "../../src/index.ts";

test("control characters and marks of direction are shown, not obeyed", () => {
	expect(plainText("a\x1b[31mb\u009bc\nd\u202e")).toBe(
		"a\\x1b[31mb\\x9bc\\nd\\u202e",
	);
	expect(plainText("naïve 👩‍👩‍👧 日本")).toBe("naïve 👩‍👩‍👧 日本");
});

test("JSON stays JSON with control characters escaped and bigints written", () => {
	const text = jsonText({ a: "\x1b\u009b", big: 2n ** 60n, small: 5n }, 2);
	expect(text).toBe(
		'{\n  "a": "\\u001b\\u009b",\n  "big": "1152921504606846976",\n  "small": 5\n}',
	);
	expect(JSON.parse(text).a).toBe("\x1b\u009b");
});

test("our names are snake_case, the keys of the data are not touched", () => {
	expect(snakeNames({ entityKey: "x", metadata: { someKey: 1 } })).toEqual({
		entity_key: "x",
		metadata: { someKey: 1 },
	});
	expect(
		columnNames(Resource, { relatedEntities: [], matchedField: "x" }),
	).toEqual({
		related_entities: [],
		matched_field: "x",
	});
});

test("wide characters count two columns, joined ones once", () => {
	expect(textWidth("日本")).toBe(4);
	expect(textWidth("é")).toBe(1);
	expect(textWidth("👩‍👩‍👧")).toBe(2);
	expect(cut("日本語", 5)).toBe("日本…");
	expect(cut("short", 5)).toBe("short");
});

describe("tables", () => {
	const columns = [
		{ title: "NAME", value: (row: { a: string; b: number }) => row.a },
		{ title: "N", value: (row: { b: number }) => row.b, isRight: true },
	];

	test("are aligned and as wide as the terminal at most", () => {
		const rows = [
			{ a: "x", b: 1 },
			{ a: "a long name\nof two lines", b: 100 },
		];
		expect(tableLines(rows, columns, 15)).toEqual([
			{ text: "NAME          N", style: "bold" },
			"x             1",
			"a long na…  100",
		]);
	});

	test("leave out columns without a value, and are empty without rows", () => {
		expect(tableLines([{ a: "", b: 1 }], columns, 80)).toEqual([
			{ text: "N", style: "bold" },
			"1",
		]);
		expect(tableLines([], columns, 80)).toEqual([]);
	});
});

test("numbers and times read well", () => {
	expect(counted(1, "row")).toBe("1 row");
	expect(counted(2849, "row")).toBe("2,849 rows");
	expect([1.23, 850, 6200, 59_900, 200_000, 7_500_000].map(duration)).toEqual([
		"1.2 ms",
		"850 ms",
		"6.2 s",
		"1 min 0 s",
		"3 min 20 s",
		"2 h 5 min",
	]);
});

describe("progress", () => {
	test("the time left is that of the present rate, not of the mean since the start", () => {
		vi.useFakeTimers();
		onTestFinished(() => {
			vi.useRealTimers();
		});
		const lines: string[] = [];
		const write = (line: string) => lines.push(line);
		const progress = startProgress({ isTTY: false, write }, "a", 10_000);
		onTestFinished(progress.stop);
		// A minute for ten rows, then 100 rows a second.
		vi.advanceTimersByTime(60_000);
		progress.update(10);
		for (let second = 1; second <= 30; second++) {
			vi.advanceTimersByTime(1000);
			progress.update(10 + second * 100);
		}
		expect(lines.at(-1)).toMatch(/(9\d|100)\/s, 1 min 1\d s left/);
		// Nothing for ten minutes: no rate, and no end that could be promised.
		vi.advanceTimersByTime(600_000);
		expect(lines.at(-1)).not.toMatch(/left/);
	});

	const state = { label: "a.json", done: 1500, total: 3000, elapsedMs: 3000 };

	test("has a share, a rate and the time that is left", () => {
		expect(progressLine(state)).toBe(
			"a.json: 50 %, 1,500 of 3,000, 500/s, 3.0 s left",
		);
		expect(progressBar(state, 60)).toBe(
			"a.json  █████░░░░░  50 %  1,500 of 3,000  500/s  3.0 s left",
		);
	});

	test("without a total counts on", () => {
		expect(progressBar({ ...state, total: undefined }, 80)).toBe(
			"a.json  1,500  500/s",
		);
	});

	test("is removed from a terminal, and silent elsewhere for seconds", () => {
		const written: string[] = [];
		const write = (text: string) => written.push(text);
		startProgress({ isTTY: false, write }, "a", 10).stop();
		expect(written).toEqual([]);
		startProgress({ isTTY: true, write }, "a", 10).stop();
		expect(written).toEqual(["\r\x1b[K"]);
		const plain = { isTTY: true, hasColors: () => false, write };
		startProgress(plain, "a", 10).stop();
		expect(written).toHaveLength(1);
	});
});

describe("failures", () => {
	const error = new RemError("VALIDATION", "3 rows are bad", {
		hint: "mend them",
		issues: Array.from({ length: 12 }, (_, index) => ({
			index,
			field: "year",
			message: `no ${index}`,
		})),
	});

	test("are message, code, ten issues and hint", () => {
		const { exitCode, lines } = describeFailure(error, "rem load");
		expect(exitCode).toBe(1);
		expect(lines).toEqual([
			"error: 3 rows are bad [VALIDATION]",
			...Array.from(
				{ length: 10 },
				(_, at) => `  row ${at + 1}, year: no ${at}`,
			),
			"  and 2 more: --json lists them all",
			"hint: mend them",
		]);
	});

	test("are one line of JSON with everything", () => {
		const text = failureText(describeFailure(error, "rem load"), true);
		expect(text.split("\n")).toHaveLength(2);
		expect(JSON.parse(text).error.issues).toHaveLength(12);
	});

	test("of a kind nobody expected are told with their message", () => {
		expect(describeFailure(new TypeError("oh"), "rem")).toMatchObject({
			exitCode: 1,
			lines: ["error: oh"],
		});
	});
});
