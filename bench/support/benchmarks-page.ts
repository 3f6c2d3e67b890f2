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
	return `${runs.map(describe).join("\n")}

| what | target | median | range |
| ---- | ------ | ------ | ----- |
${rows.join("\n")}

Missed targets are in bold.
`;
}

function describe(run: BenchRun): string {
	const { at, quick, node, processors, load, server } = run;
	return `${at.slice(0, 10)}${quick ? ", with `--quick`" : ""}: ${server.version}, Node.js ${node}, ${processors.length} × ${processors[0]}, load average ${load[0]?.toFixed(1)}.`;
}
