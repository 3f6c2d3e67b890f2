import { pipeline, Readable } from "node:stream";
import { CsvError, type Info, parse } from "csv-parse";
import type { RemError } from "../../errors.ts";
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

/**
 * Rows by the names of the first line. An empty cell is an absent value. Lines
 * may end with LF, CRLF or CR, mixed in one file; blank ones are passed over. A
 * record that cannot be read is a row with its problem.
 */
export async function* readCsv(file: InputFile): AsyncGenerator<SourceRow> {
	const ends = new LineEnds();
	const parser = parse({
		bom: true,
		info: true,
		raw: true,
		record_delimiter: ["\r\n", "\n", "\r"],
		relax_column_count: true,
		// Misplaced quotation marks are found below: the parser's own errors quote all of the cell, each time.
		relax_quotes: true,
	});
	// Errors arrive below: pipeline destroys the parser with them.
	pipeline(Readable.from(bytesOf(file, ends)), parser, () => {});
	let header: readonly string[] | undefined;
	try {
		for await (const found of parser as AsyncIterable<CsvRecord>) {
			const { record, raw, info } = found;
			const line = ends.lineAt(info.bytes - Buffer.byteLength(raw));
			if (isBlank(found)) continue;
			const problem = quoteProblem(raw);
			if (header !== undefined) yield toRow(header, record, line, problem);
			else if (problem !== undefined) throw fileError(file.name, line, problem);
			else header = checkHeader(file.name, line, record);
		}
	} catch (error) {
		throw error instanceof CsvError ? csvError(file.name, ends, error) : error;
	}
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
	problem: string | undefined,
): SourceRow {
	if (problem !== undefined) return { value: undefined, line, problem };
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

/** A quotation mark that neither begins nor ends a cell. */
function quoteProblem(raw: string): string | undefined {
	let state: "start" | "plain" | "quoted" | "closed" = "start";
	for (const character of raw) {
		if (state === "quoted") {
			if (character === '"') state = "closed";
		} else if (state === "closed" && character === '"') state = "quoted";
		else if (character === "," || character === "\n" || character === "\r")
			state = "start";
		else if (state === "closed")
			return "a quotation mark stands inside a quoted cell: double it";
		else if (character !== '"') state = "plain";
		else if (state === "plain")
			return "a quotation mark stands inside a cell: quote the cell and double it";
		else state = "quoted";
	}
	return undefined;
}

/** The parser's own messages quote the file. */
function csvError(name: string, ends: LineEnds, error: CsvError): RemError {
	const { code, bytes } = error as CsvError & { readonly bytes: number };
	const problem =
		code === "CSV_QUOTE_NOT_CLOSED"
			? "a quotation mark that opens here is never closed"
			: "is not valid CSV";
	return fileError(name, ends.lineAt(bytes), problem, { cause: error });
}
