import { cpus, loadavg } from "node:os";
import type { BenchServer } from "./bench-server.ts";
import type { Figure, Target, Unit } from "./case.ts";
import { median } from "./statistics.ts";

/** What stands above the figures: without it they mean nothing. */
export function describeMachine(server: BenchServer): string {
	const processors = cpus();
	const settings = Object.entries(server.settings)
		.map(([name, value]) => `${name}=${value}`)
		.join(" ");
	return [
		`${server.version}; Node.js ${process.version}; ${processors.length} × ${processors[0]?.model}, load ${loadavg()[0]?.toFixed(1)}`,
		`settings: ${settings}`,
	].join("\n");
}

/** The figures as a table: medians of paired rounds with least and most, held against their targets. */
export function table(figures: readonly Figure[]): string {
	const rows = [
		["", "target", "median", "min – max", "", ""],
		...figures.map((figure) => [
			figure.name,
			figure.target === undefined ? "" : describeTarget(figure),
			show(median(figure.values), figure.unit),
			figure.values.length === 1
				? ""
				: `${show(Math.min(...figure.values))} – ${show(Math.max(...figure.values))}`,
			verdict(figure),
			figure.detail ?? "",
		]),
	];
	const widths = rows[0]?.map((_, column) =>
		Math.max(...rows.map((row) => row[column]?.length ?? 0)),
	);
	return rows
		.map((row) =>
			row
				.map((cell, column) => cell.padEnd(widths?.[column] ?? 0))
				.join("  ")
				.trimEnd(),
		)
		.join("\n");
}

/** "pass", "MISSED", or nothing where there is no target. */
export function verdict({ values, target }: Figure): string {
	if (target === undefined) return "";
	return isReached(median(values), target) ? "pass" : "MISSED";
}

function isReached(value: number, { kind, bound }: Target): boolean {
	switch (kind) {
		case "at most":
			return value <= bound;
		case "at least":
			return value >= bound;
		case "below":
			return value < bound;
	}
}

export function describeTarget({ target, unit }: Figure): string {
	if (target === undefined) return "";
	const sign = { "at most": "≤", "at least": "≥", below: "<" }[target.kind];
	return `${sign} ${target.bound} ${unit}`;
}

export function show(value: number, unit?: Unit): string {
	const digits = Math.abs(value) < 100 && !Number.isInteger(value) ? 2 : 0;
	const text =
		value !== 0 && Math.abs(value) < 0.005
			? value.toPrecision(2)
			: value.toLocaleString("en", {
					minimumFractionDigits: digits,
					maximumFractionDigits: digits,
				});
	return unit === undefined ? text : `${text} ${unit}`;
}

/** The same for programs. */
export function toJson(
	server: BenchServer,
	quick: boolean,
	figures: readonly Figure[],
): string {
	const { version, settings } = server;
	return `${JSON.stringify(
		{
			at: new Date().toISOString(),
			quick,
			node: process.version,
			processors: cpus().map(({ model }) => model),
			load: loadavg(),
			server: { version, settings },
			figures: figures.map((figure) => ({
				...figure,
				median: median(figure.values),
				verdict: verdict(figure),
			})),
		},
		null,
		2,
	)}\n`;
}
