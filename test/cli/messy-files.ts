import { gzipSync } from "node:zlib";

/** Bytes as programs really write them, and what becomes of them. Add the next report here. */
export interface MessyFile {
	readonly title: string;
	readonly file: string;
	readonly bytes: string | Uint8Array;
	/** Line and value of each row, or the line and what is wrong with it. */
	readonly rows?: readonly (readonly [line: number, value: unknown])[];
	/** What is wrong with the whole file. */
	readonly problem?: string;
	readonly hint?: string;
}

const utf16 = (text: string, mark: boolean) =>
	Buffer.from((mark ? "\ufeff" : "") + text, "utf16le");

const row = (name: string, note?: string) =>
	note === undefined ? { name } : { name, note };

export const messyFiles: readonly MessyFile[] = [
	{
		title: "LF in the header, CRLF below",
		file: "a.csv",
		bytes: "name,note\nx,1\r\ny,2\r\n",
		rows: [
			[2, row("x", "1")],
			[3, row("y", "2")],
		],
	},
	{
		title: "CRLF in the header, LF below",
		file: "a.csv",
		bytes: "name,note\r\nx,1\ny,2\n",
		rows: [
			[2, row("x", "1")],
			[3, row("y", "2")],
		],
	},
	{
		title: "CR alone, as old spreadsheets write it",
		file: "a.csv",
		bytes: "name,note\rx,1\ry,2",
		rows: [
			[2, row("x", "1")],
			[3, row("y", "2")],
		],
	},
	{
		title: "a quoted cell keeps its CRLF, which is one line",
		file: "a.csv",
		bytes: 'name,note\r\nx,"1\r\n2\r\n3"\r\ny,4\r\n',
		rows: [
			[2, row("x", "1\r\n2\r\n3")],
			[5, row("y", "4")],
		],
	},
	{
		title: "blank lines, empty or of spaces, anywhere",
		file: "a.csv",
		bytes: "\r\nname,note\n\nx,1\n   \n\r\ny,2\n\n",
		rows: [
			[4, row("x", "1")],
			[7, row("y", "2")],
		],
	},
	{
		title: "too few and too many cells",
		file: "a.csv",
		bytes: "name,note\nx\ny,1\nz,1,2\nw,3\n",
		rows: [
			[2, "has 1 cells, the first line has 2"],
			[3, row("y", "1")],
			[4, "has 3 cells, the first line has 2"],
			[5, row("w", "3")],
		],
	},
	{
		title: "a quotation mark inside a cell",
		file: "a.csv",
		bytes: 'name,note\nx,5" disk\ny,1\n',
		rows: [
			[
				2,
				"a quotation mark stands inside a cell: quote the cell and double it",
			],
			[3, row("y", "1")],
		],
	},
	{
		title: "a quotation mark that is never closed takes the rest of the file",
		file: "a.csv",
		bytes: 'name,note\nx,1\ny,"2\nz,3\n',
		problem: "line 3: a quotation mark that opens here is never closed",
	},
	{
		title: "a byte order mark before the header",
		file: "a.csv",
		bytes: "\ufeffname,note\nx,1\n",
		rows: [[2, row("x", "1")]],
	},
	{
		title: "UTF-16 with a byte order mark",
		file: "a.csv",
		bytes: utf16("name,note\r\nx,1\r\n", true),
		problem: "line 1: is UTF-16 text, not UTF-8",
		hint: "iconv -f utf-16 -t utf-8",
	},
	{
		title: "UTF-16 without one",
		file: "a.jsonl",
		bytes: utf16('{"name":"x"}\n', false),
		problem: "line 1: is UTF-16LE text, not UTF-8",
		hint: "iconv -f utf-16le -t utf-8",
	},
	{
		title: "UTF-16, big-endian",
		file: "a.json",
		bytes: utf16('[{"name":"x"}]', false).swap16(),
		problem: "line 1: is UTF-16BE text, not UTF-8",
		hint: "iconv -f utf-16be -t utf-8",
	},
	{
		title: "a compressed file",
		file: "a.csv",
		bytes: gzipSync("name,note\nx,1\n"),
		problem: "is compressed (gzip)",
		hint: "gunzip -c",
	},
	{
		title: "an Excel workbook by the name of a CSV",
		file: "a.csv",
		bytes: Buffer.from("504b0304140006000800", "hex"),
		problem: "is a ZIP archive or an Excel workbook",
		hint: "save the sheet as comma-separated values",
	},
	{
		title: "JSON Lines with blank lines and CRLF",
		file: "a.jsonl",
		bytes: '{"name":"x"}\r\n\r\n   \n{"name":"y"}\r\n',
		rows: [
			[1, row("x")],
			[4, row("y")],
		],
	},
	{
		title: "a broken line between others",
		file: "a.ndjson",
		bytes: '{"name":"x"}\n{"name":\n{"name":"y"}\n',
		rows: [
			[1, row("x")],
			[2, "is not valid JSON, or only half of it"],
			[3, row("y")],
		],
	},
];
