import { oneLine, plainText } from "./plain-text.ts";
import { heading, type Line } from "./terminal.ts";
import { cut, pad, textWidth } from "./text-width.ts";

export interface Column<Row> {
	readonly title: string;
	readonly value: (row: Row) => string | number | null | undefined;
	readonly isRight?: boolean;
}

const gap = 2;
const narrowest = 6;

/** Aligned lines, the titles in bold first; the widest columns are cut until it fits. */
export function tableLines<Row>(
	rows: readonly Row[],
	columns: readonly Column<Row>[],
	width: number,
): Line[] {
	if (rows.length === 0) return [];
	const shown = columns.filter(({ value }) =>
		rows.some((row) => cell(value(row), width) !== ""),
	);
	const cells = [
		shown.map(({ title }) => title),
		...rows.map((row) => shown.map(({ value }) => cell(value(row), width))),
	];
	const widths = shrink(
		shown.map((_, at) =>
			Math.max(...cells.map((line) => textWidth(line[at] ?? ""))),
		),
		width,
	);
	const [titles = "", ...lines] = cells.map((line) =>
		line
			.map((text, at) => {
				const room = widths[at] ?? narrowest;
				return pad(cut(text, room), room, shown[at]?.isRight);
			})
			.join(" ".repeat(gap))
			.trimEnd(),
	);
	return [heading(titles), ...lines];
}

/** Of a long text only what can be seen: to segment 64 KiB takes seconds. */
function cell(
	value: string | number | null | undefined,
	width: number,
): string {
	return plainText(oneLine(String(value ?? "").slice(0, 16 * width)));
}

/** Takes from the widest column, one by one, what does not fit. */
function shrink(natural: readonly number[], width: number): number[] {
	const widths = [...natural];
	let excess = widths.reduce((sum, part) => sum + part + gap, -gap) - width;
	for (; excess > 0; excess--) {
		const widest = Math.max(...widths);
		if (widest <= narrowest) break;
		widths[widths.lastIndexOf(widest)] = widest - 1;
	}
	return widths;
}
