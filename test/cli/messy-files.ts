import { gzipSync } from "node:zlib";

/** Bytes as programs really write them, and what becomes of them. Add the next report here. */
export interface MessyFile {
	readonly title: string;
	readonly file: string;
	readonly bytes: string | Uint8Array;
	/** Line and value of each row, or the line and what is wrong with it. */
	readonly rows?: readonly (readonly [
		line: number | undefined,
		value: unknown,
	])[];
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
			[2, "a quotation mark is inside a cell: quote the cell and double it"],
			[3, row("y", "1")],
		],
	},
	{
		title: "a quotation mark that is never closed takes the rest of the file",
		file: "a.csv",
		bytes: 'name,note\nx,1\ny,"2\nz,3\n',
		rows: [
			[2, row("x", "1")],
			[
				3,
				"a quotation mark that opens here is never closed: lines 3 to 4 are one row so far",
			],
		],
	},
	{
		title: "a quotation mark that the next quoted cell closes",
		file: "a.csv",
		bytes: 'name,note\nx,"1\ny,"2"\nz,3\n',
		rows: [
			[
				2,
				"a quotation mark is inside a quoted cell: double it: lines 2 to 3 are one row so far",
			],
			[4, row("z", "3")],
		],
	},
	{
		title: "a quotation mark that opens in the first line and is never closed",
		file: "a.csv",
		bytes: '"name,note\nx,1\n',
		rows: [
			[
				1,
				"a quotation mark that opens here is never closed: lines 1 to 2 are one row so far",
			],
		],
	},
	{
		title: "a comma at the end of every line",
		file: "a.csv",
		bytes: "name,note,\nx,1,\ny,2,\n",
		rows: [
			[2, row("x", "1")],
			[3, row("y", "2")],
		],
	},
	{
		title: "a column without a name",
		file: "a.csv",
		bytes: ",name\n1,x\n2,y\n",
		rows: [
			[2, { "column 1 (no name)": "1", name: "x" }],
			[3, { "column 1 (no name)": "2", name: "y" }],
		],
	},
	{
		title: "two columns of one name",
		file: "a.csv",
		bytes: "name,note,name\nx,1,y\n",
		problem: 'line 1: two columns are named "name"',
		hint: "give the columns 1 and 3 different names",
	},
	{
		title: "Excel's sep= before the header, of commas",
		file: "a.csv",
		bytes: "\ufeffsep=,\r\nname,note\r\nx,1\r\n",
		rows: [[3, row("x", "1")]],
	},
	{
		title: "Excel's sep= before the header, of semicolons",
		file: "a.csv",
		bytes: "sep=;\r\nname;note\r\nx;1\r\n",
		problem: "line 1: cells are not separated by commas but by semicolons",
		hint: "--ifs semicolon",
	},
	{
		title: "cells between semicolons",
		file: "a.csv",
		bytes: "name;note\nx;1\n",
		problem: "line 1: cells are not separated by commas but by semicolons",
		hint: "--ifs semicolon",
	},
	{
		title: "cells between tabs",
		file: "a.csv",
		bytes: "name\tnote\nx\t1\n",
		problem: "line 1: cells are not separated by commas but by tabs",
		hint: "--ifs tab",
	},
	{
		title: "text that begins as a ZIP archive does",
		file: "a.csv",
		bytes: "PK,name\n1,x\n",
		rows: [[2, { PK: "1", name: "x" }]],
	},
	{
		title: "one line in latin-1 among UTF-8",
		file: "a.csv",
		bytes: Buffer.concat([
			Buffer.from("name,note\nx,\u00e9\ny,"),
			Buffer.from([0xe9]),
			Buffer.from("\nz,1\n"),
		]),
		problem: "line 3: is not UTF-8 text",
		hint: "where other lines are UTF-8, correct this line alone",
	},
	{
		title: "a line of eight megabytes, and one after it",
		file: "a.csv",
		bytes: `name,note\nx,${"1".repeat(8 << 20)}\ny,2\n`,
		rows: [
			[2, row("x", "1".repeat(8 << 20))],
			[3, row("y", "2")],
		],
	},
	{
		title: "an empty CSV",
		file: "a.csv",
		bytes: "",
		rows: [],
	},
	{
		title: "an empty JSON",
		file: "a.json",
		bytes: " \n",
		problem: "is empty",
		hint: "[]",
	},
	{
		title: "JSON Lines by the name of JSON",
		file: "a.json",
		bytes: '{"name":"x"}\n{"name":"y"}\n',
		problem: "line 2: a second JSON value begins",
		hint: "--format jsonl",
	},
	{
		title: "objects over several lines, one after the other",
		file: "a.json",
		bytes: '{\n"name":"x"\n}\n{\n"name":"y"\n}\n',
		problem: "line 4: a second JSON value begins",
		hint: "jq -s",
	},
	{
		title: "a JSON list by the name of JSON Lines",
		file: "a.jsonl",
		bytes: '[\n{"name":"x"}\n]\n',
		problem: "line 1: begins a list",
		hint: "--format json",
	},
	{
		title: "a JSON object over several lines by the name of JSON Lines",
		file: "a.jsonl",
		bytes: '{\n"name":"x"\n}\n',
		problem: "line 1: begins an object that goes on below",
		hint: "--format json",
	},
	{
		title: "JSON that is cut off, with lines that CR ends",
		file: "a.json",
		bytes: '[{"name":"x"},\r{"name":',
		problem: "line 2: the JSON ends too early",
	},
	{
		title: "JSON Lines that CR ends",
		file: "a.jsonl",
		bytes: '{"name":"x"}\r{"name":"y"}\r',
		rows: [
			[1, row("x")],
			[2, row("y")],
		],
	},
	{
		title: "YAML of several documents",
		file: "a.yaml",
		bytes: "name: x\n---\nname: y\n---\n- name: z\n",
		rows: [
			[1, row("x")],
			[3, row("y")],
			[5, row("z")],
		],
	},
	{
		title: "Markdown without front matter",
		file: "a.md",
		bytes: "# Title\n\nText.\n",
		rows: [[undefined, { name: "a", content: "# Title\n\nText." }]],
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
		title: "UTF-16 without a mark, of a script whose letters have no NULs",
		file: "a.csv",
		bytes: utf16(`名前,説明\n${"あいうえお,さしすせそ\n".repeat(20)}`, false),
		problem: "line 1: is UTF-16LE text, not UTF-8",
		hint: "iconv -f utf-16le -t utf-8",
	},
	{
		title: "the same, big-endian",
		file: "a.csv",
		bytes: utf16(
			`名前,説明\n${"あいうえお,さしすせそ\n".repeat(20)}`,
			false,
		).swap16(),
		problem: "line 1: is UTF-16BE text, not UTF-8",
		hint: "iconv -f utf-16be -t utf-8",
	},
	{
		title: "a NUL in a text of UTF-8",
		file: "a.csv",
		bytes: `name,note\nx,${"é".repeat(600)}a\0b\n`,
		rows: [[2, row("x", `${"é".repeat(600)}a\0b`)]],
	},
	{
		title: "a compressed file whose name a shell would take apart",
		file: "it's a.csv",
		bytes: gzipSync("name,note\nx,1\n"),
		problem: "is compressed (gzip)",
		hint: "it'\\''s a.csv' | rem load -",
	},
	{
		title: "a broken document of YAML among others",
		file: "a.yaml",
		bytes: "name: x\n---\nname: [\n---\n- name: y\n",
		rows: [
			[1, row("x")],
			[4, "is not valid YAML (BAD_INDENT)"],
			[5, row("y")],
		],
	},
	{
		title: "a list of YAML with one broken item",
		file: "a.yaml",
		bytes: "- name: x\n- name: [\n- name: y\n",
		problem: "is not valid YAML",
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

/** A cell of a CSV and what its field gets, or why it is refused. */
export interface MessyCell {
	readonly field: string;
	/** As it is in the file. */
	readonly cell: string;
	readonly value?: unknown;
	readonly problem?: string;
}

export const messyCells: readonly MessyCell[] = [
	{ field: "n", cell: " 5 ", value: 5 },
	{ field: "n", cell: "5.0", value: 5 },
	{ field: "n", cell: "abc", problem: "expected a whole number, such as 1234" },
	{ field: "n", cell: "1.5", problem: "expected a whole number, such as 1234" },
	{ field: "n", cell: '"1,234"', problem: "without thousands separators" },
	{ field: "n", cell: "1.234.567", problem: "without thousands separators" },
	{ field: "n", cell: "1'234", problem: "without thousands separators" },
	{ field: "n", cell: "NULL", problem: "leave the cell empty" },
	{ field: "n", cell: "N/A", problem: "leave the cell empty" },
	{ field: "n", cell: "" },
	{ field: "n", cell: '""' },
	{ field: "x", cell: "1e3", value: 1000 },
	{ field: "x", cell: '"1.234,50"', problem: "such as 1234.5" },
	{ field: "b", cell: "yes", value: true },
	{ field: "b", cell: "No", value: false },
	{ field: "b", cell: "Y", value: true },
	{ field: "b", cell: "off", value: false },
	{ field: "b", cell: "1", value: true },
	{ field: "b", cell: "maybe", problem: "expected true or false" },
	{ field: "d", cell: "2024-12-31", value: new Date("2024-12-31") },
	{ field: "d", cell: "12/31/2024", problem: "such as 2024-12-31" },
	{ field: "d", cell: "31.12.2024", problem: "such as 2024-12-31" },
	{ field: "d", cell: "2024-02-31", problem: "such as 2024-12-31" },
	{ field: "l", cell: "1;2", value: [1, 2] },
	{ field: "l", cell: '"{1,2}"', value: [1, 2] },
	{ field: "l", cell: '"[1,2]"', value: [1, 2] },
	{ field: "l", cell: "a;b", problem: "expected a list of whole numbers" },
	{ field: "s", cell: "a;b", value: ["a", "b"] },
	{ field: "s", cell: '"[""a"",""b""]"', value: ["a", "b"] },
	{ field: "s", cell: '"[""a"""', problem: "expected a list of values" },
	{ field: "s", cell: "[a", problem: "expected a list of values" },
	{ field: "s", cell: '"{a,b"', problem: "expected a list of values" },
	{ field: "s", cell: '"{""a"":1}"', problem: "expected a list of values" },
	{ field: "j", cell: '"{""a"":1}"', value: { a: 1 } },
	{ field: "j", cell: "plain text", value: "plain text" },
	{ field: "j", cell: '"{""a"":"', problem: "expected JSON" },
	{ field: "j", cell: "{a: 1}", problem: "expected JSON" },
	{ field: "t", cell: "NULL", value: "NULL" },
	{ field: "t", cell: "a\0b", problem: "contains a NUL character" },
];
