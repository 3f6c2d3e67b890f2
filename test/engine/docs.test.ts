import { spawn } from "node:child_process";
import {
	chmodSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	realpathSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { format, inspect } from "node:util";
import { context, trace } from "@opentelemetry/api";
import * as sdkTraceNode from "@opentelemetry/sdk-trace-node";
import ts from "typescript";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import * as zod from "zod";
import * as remdb from "../../src/index.ts";
import * as remdbLangchain from "../../src/langchain/index.ts";
import * as remdbStudio from "../../src/studio/index.ts";

// What README.md and docs/*.md show is run here; CONTRIBUTING.md describes how
// they are written.
import { nodeArguments } from "../support/child-arguments.ts";
import { createDatabase, engine } from "../support/engine.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const pages = [
	"README.md",
	...readdirSync(join(root, "docs"))
		.filter((name) => name.endsWith(".md"))
		.map((name) => `docs/${name}`),
];

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

const withCommands = pages.filter(
	(page) => blocksOf(page, "console").length > 0,
);

// Where a reader first runs them, in ./.rem; test/cli runs `rem` on both engines.
test.runIf(engine === "embedded").each(withCommands)(
	"the commands of %s print the documented output",
	async (page) => {
		await runCommands(page);
	},
);

interface Block {
	readonly text: string;
	/** The page's line that the block begins after. */
	readonly line: number;
	/** What stands in a text block right behind it. */
	readonly output: string | undefined;
}

/** The page's fenced blocks of exactly this info string. */
function blocksOf(page: string, info: string): Block[] {
	const markdown = readFileSync(join(root, page), "utf8");
	const fence = new RegExp(
		`^\`\`\`${info}\\n([\\s\\S]*?)^\`\`\`\\n(?:\\s*^\`\`\`text\\n([\\s\\S]*?)^\`\`\`)?`,
		"gm",
	);
	return [...markdown.matchAll(fence)].map(
		({ 1: text = "", 2: output, index }) => ({
			text,
			line: markdown.slice(0, index).split("\n").length,
			output,
		}),
	);
}

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

/** Runs each line that begins with `$` in a shell; the lines below are its output. */
async function runCommands(page: string): Promise<void> {
	const path = `${makeCommand()}${delimiter}${process.env.PATH}`;
	const environment = { ...process.env, PATH: path };
	let exitCode = 0;
	for (const { text, line } of blocksOf(page, "console"))
		for (const [, command = "", output = ""] of text.matchAll(
			/^\$ (.*)\n((?:(?!\$ ).*\n)*)/gm,
		)) {
			const result = await shell(`(exit ${exitCode}); ${command}`, environment);
			exitCode = result.exitCode;
			expectText(result.output, output, `${page}:${line}: ${command}`);
		}
}

/** `rem` as it is built. */
function makeCommand(): string {
	const bin = join(folder, "bin");
	mkdirSync(bin);
	writeFileSync(
		join(bin, "rem"),
		`#!/bin/sh\nexec "${process.execPath}" ${nodeArguments.join(" ")} "${join(root, "dist/cli/main.js")}" "$@"\n`,
	);
	chmodSync(join(bin, "rem"), 0o755);
	return bin;
}

/** stdout and stderr as a terminal shows them: one after the other. */
function shell(
	command: string,
	env: NodeJS.ProcessEnv,
): Promise<{ output: string; exitCode: number }> {
	const child = spawn("sh", ["-c", `exec 2>&1; ${command}`], {
		env,
		stdio: ["ignore", "pipe", "inherit"],
	});
	let output = "";
	child.stdout.setEncoding("utf8").on("data", (text) => {
		output += text;
	});
	return new Promise((resolve, reject) => {
		child.on("error", reject);
		child.on("close", (code) =>
			resolve({ output: withoutProgress(output), exitCode: code ?? 1 }),
		);
	});
}

/** A command that takes long, on a slow machine, says every few seconds how far it is. */
function withoutProgress(output: string): string {
	return output.replace(
		/^.+: (\d+ %, )?[\d,]+( of [\d,]+)?, .+(\/s| s).*\n/gm,
		"",
	);
}

/** `…` in the page stands for any text: what differs from run to run. */
function expectText(actual: string, expected: string, place: string): void {
	const pattern = expected
		.trimEnd()
		.split("…")
		.map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"))
		.join("[\\s\\S]*?");
	if (new RegExp(`^${pattern}$`).test(actual.trimEnd())) return;
	expect(actual.trimEnd(), place).toBe(expected.trimEnd());
}
