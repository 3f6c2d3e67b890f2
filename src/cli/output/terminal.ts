import { styleText } from "node:util";
import type { Logger } from "../../logger.ts";
import { jsonText } from "./json-text.ts";
import { oneLine, plainText } from "./plain-text.ts";
import {
	clearLine,
	type Progress,
	startProgress,
	takesEscapes,
} from "./progress.ts";

export interface OutputOptions {
	/** Results as JSON. */
	readonly json?: boolean;
	/** Nothing on stderr but warnings and errors. */
	readonly quiet?: boolean;
}

interface LateProgress {
	readonly onProgress: (step: { done: number; total: number }) => void;
	readonly stop: () => void;
}

/** A line of output, as it is or in a style. */
export type Line = string | { readonly text: string; readonly style: Style };

type Style = "bold" | "dim";

export function heading(text: string): Line {
	return { text, style: "bold" };
}

const usualWidth = 100;

/**
 * Where a command prints: results on stdout, everything else on stderr. Every
 * line passes through here, so that no data can drive the terminal.
 */
export class Terminal {
	readonly isJson: boolean;
	/** Columns of a line of results. */
	readonly width: number;
	/** Whether notices are printed at all. */
	readonly hasNotices: boolean;
	#hasBar = false;

	constructor({ json = false, quiet = false }: OutputOptions) {
		this.isJson = json;
		this.width = process.stdout.columns || usualWidth;
		// A program that reads JSON reads the error on stderr as JSON as well.
		this.hasNotices = !quiet && (!json || process.stderr.isTTY === true);
	}

	/** The result: as JSON, or as the lines for people. */
	show(value: unknown, lines: readonly Line[]): void {
		if (this.isJson) process.stdout.write(`${jsonText(value, 2)}\n`);
		else this.print(lines);
	}

	print(lines: readonly Line[]): void {
		for (const line of lines) write(process.stdout, line);
	}

	/** A generated file's text, as it is. */
	raw(text: string): void {
		process.stdout.write(text);
	}

	notice(text: string): void {
		if (this.hasNotices) this.#error({ text, style: "dim" });
	}

	warn(text: string): void {
		this.#error(text);
	}

	progress(label: string, total: number | undefined): Progress {
		if (!this.hasNotices) return { update: () => {}, stop: () => {} };
		const progress = startProgress(process.stderr, plainText(label), total);
		this.#hasBar = takesEscapes(process.stderr);
		return {
			update: progress.update,
			stop: () => {
				progress.stop();
				this.#hasBar = false;
			},
		};
	}

	/** A bar for work whose first step reports the total. */
	lateProgress(label: string): LateProgress {
		let bar: Progress | undefined;
		return {
			onProgress: ({ done, total }) => {
				bar ??= this.progress(label, total);
				bar.update(done);
			},
			stop: () => bar?.stop(),
		};
	}

	/** A line on stderr, over the bar if one stands there. */
	#error(line: Line): void {
		if (this.#hasBar) process.stderr.write(clearLine);
		write(process.stderr, line);
	}

	/** What the library logs, on stderr. */
	get logger(): Logger {
		return {
			debug: () => {},
			info: (_, message) => this.notice(oneLine(message)),
			warn: (_, message) => this.warn(oneLine(message)),
			error: (_, message) => this.warn(oneLine(message)),
		};
	}
}

function write(stream: NodeJS.WriteStream, line: Line): void {
	const { text, style } =
		typeof line === "string" ? { text: line, style: undefined } : line;
	const plain = plainText(text);
	const isStyled = style !== undefined && takesEscapes(stream);
	// The stream was asked already; styleText itself would ask stdout only.
	const options = { validateStream: false };
	stream.write(`${isStyled ? styleText(style, plain, options) : plain}\n`);
}
