import { pipeline, Readable } from "node:stream";
import { CsvError, type Info, parse } from "csv-parse";
import type { InputFile } from "./input-file.ts";
import { LineEnds } from "./line-ends.ts";
import { readText } from "./read-text.ts";
import { fileError, type SourceRow } from "./source.ts";

interface CsvRecord {
	readonly record: readonly string[];
	/** The record as it is in the file. */
	readonly raw: string;
	readonly info: Info & { readonly bytes: number };
}

/** With the offset of the cell that is wrong. */
type BrokenRecord = CsvError & { readonly bytes: number };

/**
 * Rows by the names of the first line. An empty cell is an absent value. Lines
 * may end with LF, CRLF or CR, mixed in one file; blank ones are passed over. A
 * record that cannot be read is a row with its problem.
 */
export async function* readCsv(file: InputFile): AsyncGenerator<SourceRow> {
	const ends = new LineEnds();
	const broken: BrokenRecord[] = [];
	const parser = parse({
		bom: true,
		info: true,
		raw: true,
		record_delimiter: ["\r\n", "\n", "\r"],
		relax_column_count: true,
		skip_records_with_error: true,
		on_skip(error) {
			if (error !== undefined) broken.push(error as BrokenRecord);
			return undefined;
		},
	});
	// Errors arrive below: pipeline destroys the parser with them.
	pipeline(Readable.from(bytesOf(file, ends)), parser, () => {});
	let header: readonly string[] | undefined;
	try {
		for await (const found of parser as AsyncIterable<CsvRecord>) {
			// The parser is ahead of this loop.
			while ((broken[0]?.bytes ?? Number.POSITIVE_INFINITY) < found.info.bytes)
				yield brokenRow(file, ends, broken.shift() as BrokenRecord);
			const line = ends.lineAt(found.info.bytes - Buffer.byteLength(found.raw));
			if (isBlank(found)) continue;
			if (header === undefined)
				header = checkHeader(file.name, line, found.record);
			else yield toRow(header, found.record, line);
		}
	} catch (error) {
		throw error instanceof CsvError
			? fileError(file.name, undefined, "is not valid CSV", { cause: error })
			: error;
	}
	for (const error of broken) yield brokenRow(file, ends, error);
}

/** The parser counts bytes; so does whatever finds the line of a record. */
async function* bytesOf(
	file: InputFile,
	ends: LineEnds,
): AsyncGenerator<Buffer> {
	for await (const piece of readText(file)) {
		const bytes = Buffer.from(piece);
		ends.add(bytes);
		yield bytes;
	}
}

function isBlank({ record, raw }: CsvRecord): boolean {
	return record.length <= 1 && raw.trim() === "";
}

function toRow(
	header: readonly string[],
	cells: readonly string[],
	line: number,
): SourceRow {
	if (cells.length !== header.length)
		return {
			value: undefined,
			line,
			problem: `has ${cells.length} cells, the first line has ${header.length}`,
		};
	const filled = header.flatMap((name, at) => {
		const cell = cells[at] ?? "";
		return cell === "" ? [] : [[name, cell]];
	});
	return { value: Object.fromEntries(filled), line };
}

function checkHeader(
	file: string,
	line: number,
	cells: readonly string[],
): string[] {
	const names = cells.map((cell) => cell.trim());
	const first = new Map(names.map((name, at) => [name, at]));
	const twice = names.find((name, at) => first.get(name) !== at);
	if (twice !== undefined)
		throw fileError(file, line, `two columns are named "${twice}"`);
	if (names.length === 1 && /[;\t|]/.test(names[0] ?? ""))
		throw fileError(file, line, "cells are not separated by commas", {
			hint: "save the file as comma-separated values",
		});
	return names;
}

const reasons: Readonly<Record<string, string>> = {
	CSV_QUOTE_NOT_CLOSED: "a quotation mark that opens here is never closed",
	CSV_INVALID_CLOSING_QUOTE:
		"a quotation mark stands inside a quoted cell: double it",
	INVALID_OPENING_QUOTE:
		"a quotation mark stands inside a cell: quote the cell and double it",
};

/** The parser's own messages quote the file. */
function brokenRow(
	{ name }: InputFile,
	ends: LineEnds,
	{ code, bytes }: BrokenRecord,
): SourceRow {
	const line = ends.lineAt(bytes);
	const problem = reasons[code] ?? "is not valid CSV";
	// It took all that follows into its cell: there is nothing left to go on with.
	if (code === "CSV_QUOTE_NOT_CLOSED") throw fileError(name, line, problem);
	return { value: undefined, line, problem };
}
