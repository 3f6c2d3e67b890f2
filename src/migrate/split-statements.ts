import { RemError } from "../errors.ts";
import {
	loadSqlGrammar,
	type SqlNode,
	SqlSyntaxError,
} from "../sql-grammar.ts";

/** A statement of a file, as PostgreSQL reads it. */
export interface FileStatement {
	readonly text: string;
	/** The file's line it begins on. */
	readonly line: number;
	readonly node: SqlNode;
}

/** The statements of a file in order; what psql alone understands is none. */
export async function splitStatements(
	name: string,
	text: string,
): Promise<FileStatement[]> {
	refuseLongRuns(name, text);
	const grammar = await loadSqlGrammar();
	const bytes = Buffer.from(text);
	// Statements come in their order: the lines before each are counted once.
	let line = 1;
	let counted = 0;
	const lineOf = (byte: number) => {
		line += lineAt(bytes.subarray(counted, byte).toString("latin1")) - 1;
		counted = byte;
		return line;
	};
	try {
		return (grammar.parse(text).stmts ?? []).flatMap(
			({ stmt, stmt_location: from = 0, stmt_len: length }) => {
				if (stmt === undefined) return [];
				const to = length === undefined ? undefined : from + length;
				const whole = bytes.subarray(from, to).toString();
				const start = from + Buffer.byteLength(leadingSpace(whole));
				return {
					text: whole.trim(),
					line: lineOf(start),
					node: stmt,
				};
			},
		);
	} catch (error) {
		if (!(error instanceof SqlSyntaxError)) throw error;
		throw new RemError(
			"MIGRATION_FAILED",
			`${name}, line ${lineAt(text.slice(0, error.index))}: ${error.message}`,
			{
				hint: "nothing of the file was applied; commands of psql (\\…) are not SQL",
			},
		);
	}
}

const maxSigns = 4096;
const signs = new RegExp(`[-+*/<>=~!@#%^&|\`?]{${maxSigns + 1},}`, "g");
/** A line of one sign, as comments have it. */
const ruler = /^\/?([-*/<>=~!@#%^&|`?])\1*\/?$/;

/**
 * PostgreSQL's scanner takes the square of a run of operator characters: 64 KiB of
 * comments that open and never close took 40 seconds. No statement has such a run.
 */
function refuseLongRuns(name: string, text: string): void {
	for (const { 0: run, index } of text.matchAll(signs)) {
		if (ruler.test(run)) continue;
		throw new RemError(
			"MIGRATION_FAILED",
			`${name}, line ${lineAt(text.slice(0, index))}: more than ${maxSigns} operator characters in a row`,
			{
				hint: "nothing of the file was applied; put a space or a line break between them",
			},
		);
	}
}

/** Spaces and comments before the statement. */
function leadingSpace(text: string): string {
	const [space = ""] =
		/^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*/.exec(text) ?? [];
	return space;
}

function lineAt(before: string): number {
	return before.split("\n").length;
}
