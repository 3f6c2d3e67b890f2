import { pipeline, Readable } from "node:stream";
import { CsvError, type Info, parse } from "csv-parse";
import { readText } from "./read-text.ts";
import { fileError, type SourceRow } from "./source.ts";

interface CsvRecord {
	readonly record: readonly string[];
	readonly info: Info;
}

/** Rows by the names of the first line. An empty cell is an absent value. */
export async function* readCsv(file: string): AsyncGenerator<SourceRow> {
	const parser = parse({ info: true, skip_empty_lines: true });
	// What goes wrong arrives below: pipeline destroys the parser with it.
	pipeline(Readable.from(readText(file)), parser, () => {});
	let header: readonly string[] | undefined;
	try {
		for await (const { record, info } of parser as AsyncIterable<CsvRecord>) {
			if (header === undefined) header = checkHeader(file, record);
			else yield { value: toRow(header, record), line: info.lines };
		}
	} catch (error) {
		throw error instanceof CsvError ? csvError(file, error) : error;
	}
}

function toRow(
	header: readonly string[],
	cells: readonly string[],
): Record<string, string> {
	return Object.fromEntries(
		header.flatMap((name, at) => {
			const cell = cells[at] ?? "";
			return cell === "" ? [] : [[name, cell]];
		}),
	);
}

function checkHeader(file: string, cells: readonly string[]): string[] {
	const names = cells.map((cell) => cell.trim());
	const first = new Map(names.map((name, at) => [name, at]));
	const twice = names.find((name, at) => first.get(name) !== at);
	if (twice !== undefined)
		throw fileError(file, 1, `two columns are named "${twice}"`);
	if (names.length === 1 && /[;\t|]/.test(names[0] ?? ""))
		throw fileError(file, 1, "cells are not separated by commas", {
			hint: "save the file as comma-separated values",
		});
	return names;
}

const reasons: Readonly<Record<string, string>> = {
	CSV_RECORD_INCONSISTENT_FIELDS_LENGTH:
		"has another number of cells than the first line",
	CSV_QUOTE_NOT_CLOSED: "a quotation mark that opens here is never closed",
	CSV_INVALID_CLOSING_QUOTE:
		"a quotation mark stands inside a quoted cell: double it",
	INVALID_OPENING_QUOTE:
		"a quotation mark stands inside a cell: quote the cell and double it",
};

/** The parser's own messages quote the file. */
function csvError(file: string, error: CsvError) {
	const { lines } = error as CsvError & { lines?: number };
	return fileError(file, lines, reasons[error.code] ?? "is not valid CSV", {
		cause: error,
	});
}
