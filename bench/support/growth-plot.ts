import {
	type Curve,
	curveOf,
	type GrowthFigures,
	tenantsOf,
} from "./growth-page.ts";
import { whole } from "./numbers.ts";

const columns = 5;
const panel = {
	width: 196,
	height: 128,
	left: 40,
	top: 26,
	right: 12,
	bottom: 22,
};
const header = 44;
const colours = ["#0b62c4", "#d9480f", "#2b8a3e", "#862e9c"];

interface Range {
	readonly from: number;
	readonly to: number;
}

/** A panel for each call, all with the same axes, both logarithmic. */
export function growthPlot(
	figures: GrowthFigures,
	calls: readonly string[],
): string {
	const tenants = tenantsOf(figures);
	const curves = calls.map((name) =>
		tenants.map((count) => curveOf(figures, name, count)),
	);
	const points = curves.flat().flatMap((curve) => curve.points);
	const x = decades(points.map(({ rows }) => rows));
	const y = decades(points.map(({ ms }) => ms));
	const lines = Math.ceil(calls.length / columns);
	const width = columns * panel.width;
	const height = header + lines * panel.height;
	const panels = calls.map((name, at) => {
		const left = (at % columns) * panel.width;
		const top = header + Math.floor(at / columns) * panel.height;
		return `<g transform="translate(${left} ${top})">${onePanel(name, curves[at] ?? [], { x, y })}</g>`;
	});
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="10" fill="#333" role="img" aria-label="Milliseconds of each call by rows">
<rect width="100%" height="100%" fill="#fff"/>
<text x="12" y="20" font-size="14" font-weight="600">Milliseconds of processor time by rows</text>
${tenants.map(legend).join("\n")}
${panels.join("\n")}
</svg>
`;
}

function legend(tenants: number, at: number): string {
	const x = 330 + 130 * at;
	const name = tenants === 1 ? "one tenant" : `${whole(tenants)} tenants`;
	return `<line x1="${x}" y1="16" x2="${x + 22}" y2="16" stroke="${colours[at]}" stroke-width="2"/><text x="${x + 28}" y="20" font-size="12">${name}</text>`;
}

function decades(values: readonly number[]): Range {
	return {
		from: Math.floor(Math.log10(Math.min(...values))),
		to: Math.ceil(Math.log10(Math.max(...values))),
	};
}

function onePanel(
	name: string,
	curves: readonly Curve[],
	{ x, y }: { readonly x: Range; readonly y: Range },
): string {
	const { width, height, left, top, right, bottom } = panel;
	const place = (
		value: number,
		range: Range,
		[from, to]: readonly [number, number],
	) =>
		(
			from +
			((Math.log10(value) - range.from) / (range.to - range.from)) * (to - from)
		).toFixed(1);
	const across = (rows: number) => place(rows, x, [left, width - right]);
	const up = (ms: number) => place(ms, y, [height - bottom, top]);
	const powers = ({ from, to }: Range) =>
		Array.from({ length: to - from + 1 }, (_, at) => 10 ** (from + at));
	const grid = [
		...powers(y).map(
			(ms) =>
				`<line x1="${left}" x2="${width - right}" y1="${up(ms)}" y2="${up(ms)}" stroke="#e3e6ea"/><text x="${left - 4}" y="${Number(up(ms)) + 3}" text-anchor="end" font-size="8" fill="#777">${short(ms)}</text>`,
		),
		...powers(x).map(
			(rows) =>
				`<text x="${across(rows)}" y="${height - bottom + 11}" text-anchor="middle" font-size="8" fill="#777">${short(rows)}</text>`,
		),
	];
	const lines = curves.map(({ points }, at) => {
		const path = points.map(({ rows, ms }) => `${across(rows)},${up(ms)}`);
		const dots = points.map(
			({ rows, ms }) =>
				`<circle cx="${across(rows)}" cy="${up(ms)}" r="2" fill="${colours[at]}"/>`,
		);
		return `<polyline points="${path.join(" ")}" fill="none" stroke="${colours[at]}" stroke-width="1.6"/>${dots.join("")}`;
	});
	const exponents = curves.flatMap(({ exponent }, at) =>
		exponent === undefined
			? []
			: [`<tspan fill="${colours[at]}" dx="5">${exponent.toFixed(2)}</tspan>`],
	);
	return `<text x="10" y="16" font-weight="600" font-size="10">${name}<tspan font-weight="400" font-size="9">${exponents.join("")}</tspan></text>${grid.join("")}${lines.join("")}`;
}

/** `10k`, `1M`, `0.1`. */
function short(value: number): string {
	if (value >= 1e6) return `${value / 1e6}M`;
	if (value >= 1e3) return `${value / 1e3}k`;
	return String(value);
}
