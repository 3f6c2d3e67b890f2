import type { Figure } from "./case.ts";
import { describeTarget, show, verdict } from "./report.ts";
import { median } from "./statistics.ts";

/** What `npm run bench -- --json=FILE` writes. */
export interface BenchRun {
	readonly at: string;
	readonly quick: boolean;
	readonly node: string;
	readonly processors: readonly string[];
	readonly load: readonly number[];
	readonly server: { readonly version: string };
	readonly figures: readonly Figure[];
}

const begin = "<!-- Figures: written by npm run bench:page. -->";
const end = "<!-- End of the figures. -->";

/** The page with the figures of these runs; of a figure that several have, the last one's. */
export function withFigures(page: string, runs: readonly BenchRun[]): string {
	const [before, rest] = page.split(begin);
	const [, after] = rest?.split(end) ?? [];
	if (before === undefined || after === undefined)
		throw new Error(`the page has no part between "${begin}" and "${end}"`);
	return `${before}${begin}\n\n${figuresOf(runs)}\n${end}${after}`;
}

function figuresOf(runs: readonly BenchRun[]): string {
	const figures = new Map(
		runs.flatMap((run) => run.figures.map((figure) => [figure.name, figure])),
	);
	const rows = [...figures.values()].map((figure) => {
		const { name, values, unit, target } = figure;
		const value = show(median(values), unit);
		const cells = [
			name.replaceAll("|", "\\|"),
			target === undefined ? "–" : describeTarget(figure),
			verdict(figure) === "MISSED" ? `**${value}**` : value,
			values.length === 1
				? ""
				: `${show(Math.min(...values))} – ${show(Math.max(...values))}`,
		];
		return `| ${cells.join(" | ")} |`;
	});
	return `${describeRuns(runs)}

| what | target | median | range |
| ---- | ------ | ------ | ----- |
${rows.join("\n")}

Missed targets are in bold.
`;
}

/** The machines that were measured on, each with its days and its load averages. */
function describeRuns(runs: readonly BenchRun[]): string {
	const groups = new Map<string, BenchRun[]>();
	for (const run of runs) {
		const { quick, node, processors, server } = run;
		const machine = `${server.version}, Node.js ${node}, ${processors.length} × ${processors[0]}${quick ? ", with `--quick`" : ""}`;
		groups.set(machine, [...(groups.get(machine) ?? []), run]);
	}
	return [...groups]
		.map(([machine, runs]) => {
			const days = [...new Set(runs.map(({ at }) => at.slice(0, 10)))].sort();
			const loads = runs.map(({ load }) => load[0] ?? 0);
			return `${days.join(", ")}: ${machine}; load averages at the end of the runs ${range(loads)}.`;
		})
		.join("\n");
}

function range(values: readonly number[]): string {
	const [min, max] = [Math.min(...values), Math.max(...values)].map((value) =>
		value.toFixed(1),
	);
	return min === max ? `${min}` : `${min} to ${max}`;
}
