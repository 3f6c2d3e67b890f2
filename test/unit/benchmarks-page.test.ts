import { expect, test } from "vitest";
import {
	type BenchRun,
	withFigures,
} from "../../bench/support/benchmarks-page.ts";

const run: BenchRun = {
	at: "2026-01-02T03:04:05.000Z",
	quick: false,
	node: "v22.0.0",
	processors: ["a processor", "a processor"],
	load: [0.5, 0, 0],
	server: { version: "PostgreSQL 18" },
	figures: [
		{
			name: "ours ÷ SQL",
			values: [1, 3, 2],
			unit: "×",
			target: { kind: "at most", bound: 1.5 },
		},
		{ name: "memory", values: [7], unit: "MB" },
	],
};

const page = `# Benchmarks

<!-- Figures: written by npm run bench:page. -->
earlier figures
<!-- End of the figures. -->

The end.
`;

test("the figures of a run take the place of those on the page", () => {
	const later = {
		...run,
		at: "2026-01-03T00:00:00.000Z",
		load: [1.25, 0, 0],
		figures: [{ ...run.figures[1], values: [8] }],
	};
	const written = withFigures(page, [run, later] as BenchRun[]);
	expect(written).toContain("| ours ÷ SQL | ≤ 1.5 × | **2 ×** | 1 – 3 |");
	expect(written).toContain("| memory | – | 8 MB |  |");
	expect(written).toContain(
		"2026-01-02, 2026-01-03: PostgreSQL 18, Node.js v22.0.0, 2 × a processor; load averages at the end of the runs 0.5 to 1.3.",
	);
	expect(written).not.toContain("earlier figures");
	expect(written.startsWith("# Benchmarks\n")).toBe(true);
	expect(written.endsWith("\nThe end.\n")).toBe(true);
	expect(withFigures(written, [run, later] as BenchRun[])).toBe(written);
});

test("a page without a place for figures is an error", () => {
	expect(() => withFigures("# Benchmarks", [run])).toThrow(
		"has no part between",
	);
});
