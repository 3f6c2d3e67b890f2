import type { Node, ParseResult } from "libpg-query";
import { RemError } from "./errors.ts";

/** PostgreSQL's own grammar: its parser, compiled to WebAssembly. */
export interface SqlGrammar {
	/** The statements of the text as PostgreSQL 18 reads them, or an {@link SqlSyntaxError}. */
	parse(text: string): ParseResult;
}

export type SqlNode = Node;

/**
 * Loads the grammar, once: it takes 0.15 s of processor time, on a busy machine
 * more than a second. A location in a tree counts bytes of the text in UTF-8.
 */
export async function loadSqlGrammar(): Promise<SqlGrammar> {
	grammar ??= load().catch((error: unknown) => {
		grammar = undefined;
		throw error;
	});
	return grammar;
}

let grammar: Promise<SqlGrammar> | undefined;

/** A command that only looks something up has ended by then, and need not pay for it. */
const preloadAfterMs = 100;

/**
 * Loads the grammar a moment later, so that the first condition of a process does
 * not wait for it; returns how to call it off. Keeps no process alive.
 */
export function preloadSqlGrammar(): () => void {
	const timer = setTimeout(() => {
		loadSqlGrammar().catch(() => {
			// A call that needs it reports the error.
		});
	}, preloadAfterMs);
	timer.unref();
	return () => clearTimeout(timer);
}

/** Its parts are compiled when they are first used: most of them by a condition such as this. */
const usualText =
	"SELECT FROM r WHERE a = 1 AND b IN (1, 2) OR NOT lower(c) LIKE 'x%' ORDER BY d DESC";

async function load(): Promise<SqlGrammar> {
	const { parseSync, hasSqlDetails } = await loadParser();
	parseSync(usualText);
	return {
		parse(text) {
			try {
				return parseSync(text);
			} catch (error) {
				if (!hasSqlDetails(error)) throw error;
				const characters = error.sqlDetails?.cursorPosition ?? 0;
				throw new SqlSyntaxError(error.message, utf16Index(text, characters));
			}
		},
	};
}

/** The parser reads its WebAssembly from a file beside it, which a bundle does not contain. */
async function loadParser() {
	try {
		const parser = await import("libpg-query");
		await parser.loadModule();
		return parser;
	} catch (cause) {
		throw new RemError(
			"CONFIG_INVALID",
			"the package libpg-query cannot be loaded",
			{
				hint: "WHERE and ORDER BY of the query language need it: install it, and in a bundle leave it external (docs/bundling.md)",
				cause,
			},
		);
	}
}

/** The grammar's error for a text it refuses. */
export class SqlSyntaxError extends Error {
	override readonly name = "SqlSyntaxError";
	/** Where in the text, 0-based, as JavaScript counts. */
	readonly index: number;

	constructor(message: string, index: number) {
		super(message);
		this.index = index;
	}
}

/** PostgreSQL counts the characters before an error as code points. */
function utf16Index(text: string, codePoints: number): number {
	let index = 0;
	for (const character of text) {
		if (codePoints-- <= 0) break;
		index += character.length;
	}
	return index;
}
