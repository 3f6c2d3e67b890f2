import { pipeline, Readable } from "node:stream";
import { CsvError, type Info, parse } from "csv-parse";
import type { InputFile } from "./input-file.ts";
import { LineEnds } from "./line-ends.ts";
import { readText } from "./read-text.ts";
import { fileError, type SourceRow, shellArgument } from "./source.ts";

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
	let count = 0;
	try {
		for await (const row of readRecords(file)) {
			count++;
			yield row;
		}
	} catch (error) {
		if (!(error instanceof UnclosedQuote)) throw error;
		// The parser dropped the rows that it had read and not given out yet.
		for await (const row of readRecords(file, error.offset))
			if (--count < 0) yield row;
		yield { value: undefined, line: error.line, problem: error.message };
	}
}

/** A quotation mark that takes the rest of the file. */
class UnclosedQuote extends Error {
	/** Of the first byte of the record. */
	readonly offset: number;
	readonly line: number;

	constructor(offset: number, line: number, lastLine: number) {
		super(
			`a quotation mark that opens here is never closed${upTo(line, lastLine)}`,
		);
		this.offset = offset;
		this.line = line;
	}
}

/** What a record takes besides its first line. */
function upTo(line: number, last: number): string {
	return last > line ? `: lines ${line} to ${last} are one row so far` : "";
}

/** The rows of the file, or of its first bytes. */
async function* readRecords(
	file: InputFile,
	bytes?: number,
): AsyncGenerator<SourceRow> {
	const ends = new LineEnds();
	let emptyLines = 0;
	const parser = parse({
		bom: true,
		info: true,
		raw: true,
		record_delimiter: ["\r\n", "\n", "\r"],
		relax_column_count: true,
		// For a line with another number of cells the parser makes an error, 40 µs: blank ones may be many.
		skip_empty_lines: true,
		// Misplaced quotation marks are found below: the parser's own errors quote all of the cell, each time.
		relax_quotes: true,
		on_record: (record, { empty_lines }) => {
			emptyLines = empty_lines;
			return record;
		},
	});
	// Errors arrive below: pipeline destroys the parser with them.
	pipeline(Readable.from(bytesOf(file, ends, bytes)), parser, () => {});
	let header: readonly string[] | undefined;
	try {
		for await (const found of parser as AsyncIterable<CsvRecord>) {
			const { record, info } = found;
			// The empty lines before it, which the parser passed over, are part of what it read.
			const raw = found.raw.replace(/^[\r\n]+/, "");
			const line = ends.lineAt(info.bytes - Buffer.byteLength(raw));
			if (isBlank(record, raw)) continue;
			// The part of a record before the end that was asked for.
			if (bytes !== undefined && !/[\r\n]$/.test(raw)) break;
			const problem = quoteProblem(raw, line);
			if (header !== undefined)
				yield problem === undefined
					? toRow(header, record, line)
					: { value: undefined, line, problem };
			else if (problem !== undefined)
				throw fileError({ file: file.name, line }, problem);
			else if (!namesSeparator(file.name, line, raw))
				header = checkHeader(file.name, line, record);
		}
	} catch (error) {
		if (!(error instanceof CsvError)) throw error;
		const { code, bytes: offset, column, empty_lines } = error;
		// Up to the end of the last cell: empty lines before the first one are not counted.
		const passedOver = column === 0 ? Number(empty_lines) - emptyLines : 0;
		const line = ends.lineAt(Number(offset)) + passedOver;
		throw code === "CSV_QUOTE_NOT_CLOSED"
			? new UnclosedQuote(Number(offset), line, ends.lastLine)
			: fileError({ file: file.name, line }, "is not valid CSV", {
					cause: error,
				});
	}
}

/** The parser counts bytes; so does whatever finds the line of a record. */
async function* bytesOf(
	file: InputFile,
	ends: LineEnds,
	limit = Number.POSITIVE_INFINITY,
): AsyncGenerator<Buffer> {
	let rest = limit;
	for await (const piece of readText(file)) {
		const bytes = Buffer.from(piece).subarray(0, rest);
		ends.add(bytes);
		yield bytes;
		rest -= bytes.length;
		if (rest <= 0) return;
	}
}

/** Of spaces alone. */
function isBlank(record: readonly string[], raw: string): boolean {
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
	const names = cells.map(
		(cell, at) => cell.trim() || `column ${at + 1} (no name)`,
	);
	const last = new Map(names.map((name, at) => [name, at]));
	const twice = names.findIndex((name, at) => last.get(name) !== at);
	const name = names[twice];
	if (name !== undefined)
		throw fileError({ file, line }, `two columns are named "${name}"`, {
			hint: `give the columns ${twice + 1} and ${(last.get(name) ?? 0) + 1} different names, or delete one`,
		});
	const separator = names.length === 1 && /[;\t|]/.exec(names[0] ?? "")?.[0];
	if (separator) throw otherSeparator(file, line, separator);
	return names;
}

/** Excel's own first line; true where it names the comma. */
function namesSeparator(file: string, line: number, raw: string): boolean {
	const [, separator] = /^(?:\ufeff)?sep=(.)[\r\n]*$/i.exec(raw) ?? [];
	if (separator === undefined || separator === ",")
		return separator !== undefined;
	throw otherSeparator(file, line, separator);
}

function otherSeparator(file: string, line: number, separator: string) {
	const names: Readonly<Record<string, string>> = {
		";": "semicolon",
		"\t": "tab",
		"|": "pipe",
	};
	const name = names[separator] ?? separator;
	return fileError(
		{ file, line },
		`cells are not separated by commas but by ${names[separator] === undefined ? `"${separator}"` : `${name}s`}`,
		{
			hint: `save the file as comma-separated values, as in: mlr --icsv --ifs ${name} --ocsv cat ${shellArgument(file)}`,
		},
	);
}

/** A quotation mark that neither begins nor ends a cell. */
function quoteProblem(raw: string, line: number): string | undefined {
	const problem = misplacedQuote(raw);
	if (problem === undefined) return undefined;
	const lines = raw.replace(/(?:\r\n|\n|\r)$/, "").split(/\r\n|\n|\r/).length;
	return `${problem}${upTo(line, line + lines - 1)}`;
}

function misplacedQuote(raw: string): string | undefined {
	let state: "start" | "plain" | "quoted" | "closed" = "start";
	for (const character of raw) {
		if (state === "quoted") {
			if (character === '"') state = "closed";
		} else if (state === "closed" && character === '"') state = "quoted";
		else if (character === "," || character === "\n" || character === "\r")
			state = "start";
		else if (state === "closed")
			return "a quotation mark is inside a quoted cell: double it";
		else if (character !== '"') state = "plain";
		else if (state === "plain")
			return "a quotation mark is inside a cell: quote the cell and double it";
		else state = "quoted";
	}
	return undefined;
}
