import { RemError } from "../../errors.ts";
import type { JudgedQuery } from "../../index.ts";
import { judgedQuery } from "../../models/judged-query.ts";
import { suggest } from "../../util/suggest.ts";
import { findInput, type InputFile } from "../load/input-file.ts";
import { itemLines } from "../load/json-position.ts";
import { readCsv } from "../load/read-csv.ts";
import { parseJsonFile } from "../load/read-json.ts";
import { readJsonLines } from "../load/read-jsonl.ts";
import { readWholeText } from "../load/read-text.ts";
import { fileError, nothingWritten, type SourceRow } from "../load/source.ts";

const evalFormats = ["json", "jsonl", "csv"] as const;

export type EvalFormat = (typeof evalFormats)[number];

/** The queries of an evaluation file; what is wrong with it names the file and the line. */
export async function readQueries(
	name: string,
	format: EvalFormat | undefined,
): Promise<JudgedQuery[]> {
	const { files, remove } = await findInput([name], format);
	try {
		const queries: JudgedQuery[] = [];
		for (const file of files) queries.push(...(await queriesOf(file)));
		return queries;
	} catch (error) {
		throw withFormat(error);
	} finally {
		await remove();
	}
}

const formatHint =
	'an evaluation file has { "query": "…", "relevant": ["key", …] } for each query, or in CSV the columns query, relevant and gain: see docs/retrieval.md';

/** The readers of files to load have a hint of their own where there is no remedy. */
function withFormat(error: unknown): unknown {
	if (!(error instanceof RemError) || error.hint !== nothingWritten)
		return error;
	const { code, message, cause } = error;
	return new RemError(code, message, { hint: formatHint, cause });
}

async function queriesOf(file: InputFile): Promise<JudgedQuery[]> {
	const queries =
		file.format === "csv"
			? await joinedByQuery(file)
			: checkedQueries(file, await rowsOf(file));
	if (queries.length === 0)
		throw fileError({ file: file.name }, "has no queries", {
			hint: formatHint,
		});
	return queries;
}

async function rowsOf(file: InputFile): Promise<SourceRow[]> {
	switch (file.format) {
		case "json":
			return jsonRows(file);
		case "jsonl":
			return allOf(readJsonLines(file));
		default:
			throw fileError({ file: file.name }, `is ${file.format}`, {
				hint: `queries are read from ${evalFormats.join(", ")}; --format names the format of any other file`,
			});
	}
}

async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
	const all: T[] = [];
	for await (const item of items) all.push(item);
	return all;
}

async function jsonRows(file: InputFile): Promise<SourceRow[]> {
	const text = await readWholeText(file);
	const value = parseJsonFile(file.name, text);
	const lines = itemLines(text);
	const items: readonly unknown[] = Array.isArray(value) ? value : [value];
	return items.map((item, at) => ({ value: item, line: lines[at] }));
}

function checkedQueries(
	{ name }: InputFile,
	rows: readonly SourceRow[],
): JudgedQuery[] {
	const lines = new Map<string, number | undefined>();
	return rows.map((row) => {
		const judged = checkedRow(name, row);
		const { query } = judged;
		if (lines.has(query))
			throw fileError(
				{ file: name, line: row.line },
				`repeats the query of line ${lines.get(query)}`,
				{ hint: "give each query once, with all its keys" },
			);
		lines.set(query, row.line);
		return judged;
	});
}

function checkedRow(
	file: string,
	{ value, line, problem = judgedQuery(value) }: SourceRow,
): JudgedQuery {
	if (problem !== undefined)
		throw fileError({ file, line }, problem.replace(/^\./, ""), {
			hint: formatHint,
		});
	return value as JudgedQuery;
}

/** A line of a CSV file is a query and one of its keys: the lines of a query are joined. */
async function joinedByQuery(file: InputFile): Promise<JudgedQuery[]> {
	const queries = new Map<string, Map<string, JudgedLine>>();
	for await (const row of readCsv(file)) {
		const judged = judgedLine(file.name, row);
		const lines = queries.get(judged.query) ?? new Map<string, JudgedLine>();
		const earlier = lines.get(judged.key);
		if (earlier !== undefined)
			throw fileError(
				{ file: file.name, line: row.line },
				`repeats the query and the key of line ${earlier.line}`,
				{ hint: "delete one of the two lines" },
			);
		queries.set(judged.query, lines.set(judged.key, judged));
	}
	return [...queries].map(([query, lines]) => ({
		query,
		relevant: Object.fromEntries(
			[...lines].map(([key, { gain }]) => [key, gain]),
		),
	}));
}

interface JudgedLine {
	readonly query: string;
	readonly key: string;
	readonly gain: number;
	readonly line: number | undefined;
}

const columns = ["query", "relevant", "gain"];

function judgedLine(file: string, row: SourceRow): JudgedLine {
	const { line, problem } = row;
	const cells = (row.value ?? {}) as Readonly<Record<string, string>>;
	const { query, relevant: key, gain: cell } = cells;
	const unknown = Object.keys(cells).find((name) => !columns.includes(name));
	const gain = cell === undefined ? 1 : Number(cell);
	const found =
		problem ??
		(unknown === undefined
			? undefined
			: `has an unknown column "${unknown}": ${suggest(unknown, columns)}`) ??
		(key === undefined ? "has no relevant key" : undefined);
	const value = { query, relevant: { [key ?? ""]: gain } };
	const judged = checkedRow(file, {
		value,
		line,
		...(found === undefined ? {} : { problem: found }),
	});
	return { query: judged.query, key: key ?? "", gain, line };
}
