import { mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { format, inspect } from "node:util";
import { context, trace } from "@opentelemetry/api";
import * as sdkTraceNode from "@opentelemetry/sdk-trace-node";
import ts from "typescript";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import * as zod from "zod";
import * as remdb from "../../src/index.ts";
import * as remdbLangchain from "../../src/langchain/index.ts";
import * as remdbStudio from "../../src/studio/index.ts";
import {
	type Block,
	blocksOf,
	expectText,
	pages,
	root,
} from "../support/documentation.ts";
import { createDatabase, engine } from "../support/engine.ts";

// What README.md and docs/*.md show as TypeScript is run here, and their commands by
// test/proofs/cli/docs-commands.test.ts.

/** A folder on a server is none: this page is about the other engine. */
const embeddedOnly = ["docs/embedded.md"];

const here = process.cwd();
let folder: string;
let url: string;
let drop: () => Promise<void>;

beforeEach(async () => {
	({ url, drop } = await createDatabase());
	folder = realpathSync(mkdtempSync(join(tmpdir(), "remdb-docs-")));
	for (const name of ["docs", "samples"])
		symlinkSync(join(root, name), join(folder, name));
	process.chdir(folder);
	for (const name of Object.keys(process.env))
		if (/^(POSTGRES|EMBEDDING|KV_STORE)__|^DATABASE_URL$|_API_KEY$/.test(name))
			vi.stubEnv(name, undefined);
	vi.stubEnv("EMBEDDING__PROVIDER", "local");
	vi.spyOn(remdb.PostgresService, "connect");
});

afterEach(async () => {
	for (const { value } of vi.mocked(remdb.PostgresService.connect).mock
		.settledResults)
		if (value instanceof remdb.PostgresService) await value.close();
	vi.restoreAllMocks();
	vi.unstubAllEnvs();
	trace.disable();
	context.disable();
	process.chdir(here);
	rmSync(folder, { recursive: true });
	await drop();
});

const withExamples = pages
	.filter((page) => blocksOf(page, "ts").length > 0)
	.filter((page) => engine === "embedded" || !embeddedOnly.includes(page));

test.each(withExamples)(
	"the examples of %s give the documented results",
	async (page) => {
		await runExamples(page);
	},
);

const modules: Readonly<Record<string, unknown>> = {
	remdb,
	"remdb/langchain": remdbLangchain,
	"remdb/studio": remdbStudio,
	zod,
	"@opentelemetry/sdk-trace-node": sdkTraceNode,
};

const AsyncFunction = (async () => {}).constructor as new (
	...names: string[]
) => (...values: unknown[]) => Promise<void>;

/** All blocks of the page as one program, each with a check of what it printed behind it. */
async function runExamples(page: string): Promise<void> {
	const blocks = blocksOf(page, "ts");
	const program = blocks
		.map((block, at) => `${withChecks(page, block)}\ncheckOutput(${at});\n`)
		.join("");
	const { outputText } = ts.transpileModule(program, {
		compilerOptions: {
			module: ts.ModuleKind.CommonJS,
			target: ts.ScriptTarget.ES2023,
		},
	});
	let printed = "";
	const names = {
		require: (name: string) => modules[name],
		exports: {},
		console: {
			...console,
			log: (...values: unknown[]) => {
				printed += `${format(...values)}\n`;
			},
		},
		checkOutput: (at: number) => {
			const { line, output = "" } = blocks[at] as Block;
			expectText(printed, output, `${page}:${line}`);
			printed = "";
		},
		checkValue: (value: unknown, expected: string, place: string) =>
			expectText(
				inspect(value, { breakLength: Number.POSITIVE_INFINITY, depth: 10 }),
				expected,
				place,
			),
		checkThrows: async (
			work: () => unknown,
			expected: string,
			place: string,
		) => {
			let thrown = "nothing";
			try {
				await work();
			} catch (error) {
				const { code, message } = error as remdb.RemError;
				thrown = `${code}: ${message}`;
			}
			expectText(thrown, expected, place);
		},
	};
	await new AsyncFunction(...Object.keys(names), outputText)(
		...Object.values(names),
	);
}

/** The block on the database of this test, with checks in place of the comments with expected results. */
function withChecks(page: string, block: Block): string {
	const code = block.text.replace(
		/"(memory:|postgresql:[^"]*)"/g,
		JSON.stringify(url),
	);
	const source = ts.createSourceFile(page, code, ts.ScriptTarget.ES2023, true);
	const expectations = expectationsOf(source);
	const comments = code.match(/\/\/ (=>|throws) /g) ?? [];
	expect(expectations, `${page}:${block.line}`).toHaveLength(comments.length);
	let checked = "";
	let from = 0;
	for (const { statement, kind, expected } of expectations) {
		const expression = statement.expression.getText(source);
		const line = source.getLineAndCharacterOfPosition(statement.end).line + 1;
		const rest = [expected, `${page}:${block.line + line}`]
			.map((text) => JSON.stringify(text))
			.join(", ");
		checked += code.slice(from, statement.getStart(source));
		checked +=
			kind === "=>"
				? `checkValue(${expression}, ${rest});`
				: `await checkThrows(async () => ${expression}, ${rest});`;
		from = statement.end;
	}
	return checked + code.slice(from);
}

interface Expectation {
	readonly statement: ts.ExpressionStatement;
	readonly kind: string;
	readonly expected: string;
}

/** Statements that end in `// => value` or `// throws CODE: message`. */
function expectationsOf(source: ts.SourceFile): Expectation[] {
	const found: Expectation[] = [];
	const visit = (node: ts.Node): void => {
		const [comment] = ts.getTrailingCommentRanges(source.text, node.end) ?? [];
		const text = comment && source.text.slice(comment.pos, comment.end);
		const match = /^\/\/ (=>|throws) (.*)$/.exec(text ?? "");
		const [, kind, expected] = match ?? [];
		if (ts.isExpressionStatement(node) && kind && expected)
			found.push({ statement: node, kind, expected });
		else ts.forEachChild(node, visit);
	};
	visit(source);
	return found;
}
