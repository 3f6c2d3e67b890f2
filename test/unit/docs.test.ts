import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { buildProgram } from "../../src/cli/program.ts";
import { environmentSchema } from "../../src/config.ts";
import { errorCodes } from "../../src/errors.ts";
import { publicMethods } from "../support/public-methods.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");
const filesIn = (folder: string, extension: string) =>
	readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
		.filter((name) => name.endsWith(extension))
		.map((name) => join(folder, name));

const docs = filesIn("docs", ".md");
const pages = [
	"README.md",
	"CHANGELOG.md",
	"CONTRIBUTING.md",
	...docs,
	...filesIn("deploy", ".md"),
];

test("every option that messages list is in the docs", () => {
	const all = [...docs, "README.md"].map(read).join("\n");
	const missing = Object.entries(publicMethods).flatMap(([type, methods]) =>
		Object.entries(methods).flatMap(([name, { parameters }]) =>
			parameters
				.flatMap(({ table }) => table?.listed ?? [])
				.filter((option) => !new RegExp(`\\b${option}\\b`).test(all))
				.map((option) => `${type}.${name}: ${option}`),
		),
	);
	expect(missing).toEqual([]);
});

describe("docs/errors.md", () => {
	const page = read("docs/errors.md");

	test("has a heading for every code, and no other", () => {
		const headings = [...page.matchAll(/^### (.*)$/gm)].map(([, code]) => code);
		expect(headings.sort()).toEqual([...errorCodes].sort());
	});

	test("marks the codes that are not thrown", () => {
		const source = filesIn("src", ".ts")
			.filter((path) => path !== join("src", "errors.ts"))
			.map(read)
			.join();
		const unused = errorCodes.filter((code) => !source.includes(`"${code}"`));
		const marked = [
			...page.matchAll(/^### (.*)\n\nNot thrown by this version\./gm),
		].map(([, code]) => code);
		expect(marked).toEqual(unused);
	});
});

test("docs/configuration.md has every environment variable", () => {
	const page = read("docs/configuration.md");
	const missing = Object.keys(environmentSchema.shape).filter(
		(name) => !page.includes(`| \`${name}\` `),
	);
	expect(missing).toEqual([]);
});

test.each(pages)(
	"%s names no environment variable that there is not",
	(page) => {
		const named = read(page).match(/\b[A-Z]+(_[A-Z]+)*__[A-Z_]+[A-Z]\b/g) ?? [];
		const unknown = named.filter((name) => !(name in environmentSchema.shape));
		expect(unknown).toEqual([]);
	},
);

test("docs/cli.md has every command and option", () => {
	const page = read("docs/cli.md");
	const { signal } = new AbortController();
	const program = buildProgram({
		signal,
		program: "rem",
		exitCode: 0,
		endsBySignal: false,
	});
	const leaves = program.commands.flatMap((command) =>
		command.commands.length === 0 ? command : command.commands,
	);
	const missing = leaves.flatMap((command) => {
		const parent = command.parent === program ? [] : [command.parent?.name()];
		const words = ["rem", ...parent, command.name()].join(" ");
		const options = command.options.map(({ long }) => long ?? "");
		return [`\`${words}`, ...options.map((option) => `\`${option}`)]
			.filter((text) => !page.includes(text))
			.map((text) => `${words}: ${text}`);
	});
	expect(missing).toEqual([]);
});

test("docs/README.md links to every page of docs", () => {
	const index = linksOf("docs/README.md").map(({ file }) => file);
	const missing = docs.filter(
		(page) => page !== join("docs", "README.md") && !index.includes(page),
	);
	expect(missing).toEqual([]);
});

test.each(pages)("the links of %s lead somewhere", (page) => {
	const broken = linksOf(page).filter(
		({ file, heading }) =>
			!existsSync(join(root, file)) ||
			(heading !== undefined && !headingsOf(file).includes(heading)),
	);
	expect(broken).toEqual([]);
});

/** Links to files, as paths from the root, with the heading they point to. */
function linksOf(
	page: string,
): { file: string; heading: string | undefined }[] {
	const prose = read(page).replace(/^```[\s\S]*?^```/gm, "");
	return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
		.map(([, target = ""]) => target)
		.filter((target) => !/^[a-z]+:/.test(target))
		.map((target) => {
			const [path = "", heading] = target.split("#");
			const file = path === "" ? page : join(dirname(page), path);
			return { file: relative(root, join(root, file)), heading };
		});
}

/** The anchors that a page's headings have. */
function headingsOf(file: string): string[] {
	if (!statSync(join(root, file)).isFile()) return [];
	return [...read(file).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
		heading
			.toLowerCase()
			.replace(/[^\p{L}\p{N} _-]/gu, "")
			.replaceAll(" ", "-"),
	);
}

// Run: ts, console and text; see CONTRIBUTING.md.
const infos = [
	"ts",
	"ts no-run",
	"text",
	"console",
	"sh",
	"js",
	"sql",
	"yaml",
	"json",
	"python",
];

test.each(pages)("the code blocks of %s are of a known kind", (page) => {
	const fences = [...read(page).matchAll(/^( *)```(.*)$/gm)];
	const opening = fences.filter((_, at) => at % 2 === 0);
	const unknown = opening
		.map(([, indent, info = ""]) => `${indent}${info}`)
		.filter((fence) => !infos.includes(fence));
	expect(unknown).toEqual([]);
});

test("the examples in TypeScript that are not run are those that need more than the package", () => {
	const notRun = pages.flatMap((page) =>
		[...read(page).matchAll(/^```ts no-run\n([\s\S]*?)^```$/gm)].map(
			([, code = ""]) => [page, code.split("\n")[0]],
		),
	);
	expect(notRun).toEqual([
		["docs/embeddings.md", 'import { openai } from "@ai-sdk/openai";'],
		[
			"docs/langchain.md",
			'import { OpenAIEmbeddings } from "@langchain/openai";',
		],
		// Run by npm run compat, which installs the frameworks.
		["docs/nextjs.md", "// lib/memory.ts"],
		["docs/nextjs.md", "// app/api/recall/route.ts"],
		["docs/serverless.md", "// handler.ts"],
		["docs/studio.md", "// app/studio/[[...path]]/route.ts"],
		["docs/vite.md", "// src/memory.ts"],
		["docs/vite.md", "// src/api.ts"],
		["docs/vite.md", "// vite.config.ts"],
		["docs/vite.md", "// src/server.ts"],
	]);
});

test.each(pages)(
	"the shell commands of %s exist, with their options",
	(page) => {
		const { scripts } = JSON.parse(read("package.json")) as {
			scripts: Record<string, string>;
		};
		const { signal } = new AbortController();
		const program = buildProgram({
			signal,
			program: "rem",
			exitCode: 0,
			endsBySignal: false,
		});
		const lines = [...read(page).matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(
			([, text = ""]) =>
				text.split("\n").map((line) => line.replace(/\s#.*/, "")),
		);
		const wrong = lines.flatMap((line) => {
			const script = /npm run (\S+)/.exec(line)?.[1];
			if (script !== undefined) return script in scripts ? [] : [line];
			const [, call] = /(?:^| )rem ([^|]*)/.exec(line) ?? [];
			if (call === undefined) return [];
			const [first, second] = call.trim().split(/\s+/);
			const group = program.commands.find(
				(command) => command.name() === first,
			);
			const command =
				group?.commands.find((inner) => inner.name() === second) ?? group;
			const known = command?.options.map(({ long }) => long) ?? [];
			const named = call.match(/(?<=\s)--[a-z-]+/g) ?? [];
			const unknown = named.filter((option) => !known.includes(option));
			return command === undefined || unknown.length > 0 ? [line] : [];
		});
		expect(wrong).toEqual([]);
	},
);

test("the examples have no type errors", () => {
	const examples = new Map(
		pages.flatMap((page): [string, string][] => {
			const code = [...read(page).matchAll(/^```ts\n([\s\S]*?)^```$/gm)]
				.map(([, code]) => code)
				.join("\n")
				.replaceAll('"remdb"', '"./index.ts"')
				.replaceAll(/"remdb\/(\w+)"/g, '"./$1/index.ts"');
			const path = join(root, "src", `${page.replaceAll(/\W/g, "-")}.ts`);
			return code === "" ? [] : [[path, code]];
		}),
	);
	const config = ts.readConfigFile(
		join(root, "tsconfig.json"),
		ts.sys.readFile,
	);
	const { options } = ts.parseJsonConfigFileContent(
		config.config,
		ts.sys,
		root,
	);
	const host = ts.createCompilerHost(options);
	const { readFile, fileExists } = host;
	host.readFile = (path) => examples.get(path) ?? readFile(path);
	host.fileExists = (path) => examples.has(path) || fileExists(path);
	const program = ts.createProgram(
		[...examples.keys()],
		{
			...options,
			noUnusedLocals: false,
			noUnusedParameters: false,
			moduleDetection: ts.ModuleDetectionKind.Force,
		},
		host,
	);
	const problems = [...examples.keys()].flatMap((path) =>
		ts
			.getPreEmitDiagnostics(program, program.getSourceFile(path))
			.filter(({ file }) => file?.fileName === path)
			.map((problem) => {
				const { line } = ts.getLineAndCharacterOfPosition(
					problem.file as ts.SourceFile,
					problem.start ?? 0,
				);
				const code = problem.file?.text.split("\n")[line];
				const message = ts.flattenDiagnosticMessageText(
					problem.messageText,
					" ",
				);
				return `${relative(root, path)}: ${code}: ${message}`;
			}),
	);
	expect(problems).toEqual([]);
});
