import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { expect, test } from "vitest";
import { buildProgram } from "../../src/cli/program.ts";
import { rem } from "./run-rem.ts";

const commands = [
	"quickstart",
	"migrate",
	"schema",
	"load",
	"lookup",
	"fuzzy",
	"search",
	"worker",
];

test("--help groups the commands and lists the common options", async () => {
	const { code, stdout, stderr } = await rem(["--help"]);
	expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
	for (const name of commands) expect(stdout).toContain(`  ${name} `);
	for (const text of ["Find:", "Write:", "Set up:", "Exit codes", "./.rem"])
		expect(stdout).toContain(text);
});

test("a command's --help has examples and environment variables", async () => {
	const { code, stdout } = await rem(["load", "--help"]);
	expect(code).toBe(0);
	for (const text of [
		"Examples:",
		"$ rem load",
		"--map <field=source>",
		"POSTGRES__CONNECTION_STRING",
		"EMBEDDING__PROVIDER",
	])
		expect(stdout).toContain(text);
});

test("query --help names every verb", async () => {
	const { stdout } = await rem(["query", "--help"]);
	for (const verb of ["LOOKUP", "FUZZY", "SEARCH", "TRAVERSE", "SQL"])
		expect(stdout).toContain(verb);
});

const program = buildProgram({
	signal: new AbortController().signal,
	program: "rem",
	exitCode: 0,
	endsBySignal: false,
});

/** Every argument and option of every command that is a file or a folder, and what its help states. */
function filesOf(command: Command, path: readonly string[] = []): string[][] {
	const name = path.join(" ");
	const own = [
		...command.registeredArguments.map((argument) => [
			`${name} <${argument.name()}>`,
			argument.description,
		]),
		...command.options.map(({ long, flags, description }) => [
			`${name} ${long} ${/[<[].*/.exec(flags)?.[0] ?? ""}`,
			description,
		]),
	];
	return [
		...own.filter(([place = ""]) =>
			/[<[](?:file|folder|path)s?[\]>]/.test(place),
		),
		...command.commands.flatMap((sub) => filesOf(sub, [...path, sub.name()])),
	];
}

test("where a file is read or written, - is standard input or output, or the help states what it is instead", () => {
	const rest = filesOf(program).filter(
		([, help = ""]) =>
			!/; - (?:is stdout|for standard input)/.test(help) &&
			!/not stdin/.test(help),
	);
	expect(rest.map(([place]) => place).sort()).toEqual([
		// Folders, and names of migrations in them.
		"doctor --migrations <folder>",
		"init <folder>",
		"migrate --migrations <folder>",
		"migrate --to <file>",
		"migrate repair --migrations <folder>",
		"migrate repair <file>",
		"migrate status --migrations <folder>",
		"schema diff --migrations <folder>",
	]);
	const taken = filesOf(program).filter(([, help = ""]) => / - /.test(help));
	expect(taken.map(([place]) => place).sort()).toEqual([
		"eval <file>",
		"export --output <file>",
		"load <file>",
		"mcp --tokens <file>",
		"schema generate --output <file>",
	]);
});

/** Short forms that docs/cli.md calls common. */
const shortForms: Readonly<Record<string, string>> = {
	"--url": "-d",
	"--models": "-m",
	"--tenant": "-T",
	"--user": "-u",
	"--table": "-t",
	"--limit": "-n",
	"--json": "-j",
	"--quiet": "-q",
	"--yes": "-y",
};

test("a common option has its short form in every command, which means nothing else", () => {
	const wrong = (command: Command, path: readonly string[]): string[] => [
		...command.options.flatMap(({ short, long, flags }) => {
			const expected = shortForms[long ?? ""];
			const isCommon = Object.values(shortForms).includes(short ?? "");
			// The table of names, which is `--table` elsewhere.
			const isTable = flags === "-t, --type <table>";
			return short === expected || (expected === undefined && !isCommon)
				? []
				: isTable
					? []
					: [`${path.join(" ")} ${flags}`];
		}),
		...command.commands.flatMap((sub) => wrong(sub, [...path, sub.name()])),
	];
	expect(wrong(program, ["rem"])).toEqual([]);
	const docs = readFileSync("docs/cli.md", "utf8").replace(/\s+/g, " ");
	for (const [long, short] of Object.entries(shortForms))
		expect(docs).toMatch(new RegExp(`\`${short}\`(?: for)? \`${long}\``));
});

test("--version is that of the package", async () => {
	const { version } = JSON.parse(readFileSync("package.json", "utf8"));
	for (const option of ["--version", "-V"])
		expect(await rem([option])).toEqual({
			code: 0,
			stdout: `${version}\n`,
			stderr: "",
		});
});

test("--version loads nothing but the program's start", () => {
	const loadedBy = (file: string): string[] => [
		file,
		...[
			...readFileSync(file, "utf8").matchAll(
				/^import (?!type )[^;]*?from "(\.[^"]+)"/gms,
			),
		].flatMap(([, path = ""]) => loadedBy(join(dirname(file), path))),
	];
	expect(loadedBy("src/cli/main.ts")).toEqual([
		"src/cli/main.ts",
		"src/util/package-file.ts",
	]);
});

test.each([
	[
		["serach", "x"],
		"error: unknown command 'serach'\nhint: did you mean search?\n",
	],
	[
		["search", "x", "--table", "t", "--limti", "3"],
		"error: unknown option '--limti'\nhint: did you mean --limit?\n",
	],
	[
		["search"],
		"error: missing required argument 'text'\nhint: see rem search --help\n",
	],
	[
		["lookup"],
		"error: missing required argument 'key'\nhint: see rem lookup --help\n",
	],
	[
		["fuzzy", "x", "--limit", "many"],
		"error: option '-n, --limit <n>' argument 'many' is invalid. Expected a whole number from 1 to 10000.\nhint: see rem fuzzy --help\n",
	],
])("rem %j is wrong usage", async (args, message) => {
	expect(await rem(args)).toEqual({ code: 2, stdout: "", stderr: message });
});

test("wrong usage with --json is JSON on stderr", async () => {
	const { code, stdout, stderr } = await rem(["lookup", "--json"]);
	expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
	expect(JSON.parse(stderr).error).toEqual({
		code: "USAGE",
		message: "missing required argument 'key'",
		hint: "see rem lookup --help",
	});
});

test("no command at all explains itself and is wrong usage", async () => {
	const { code, stdout, stderr } = await rem([]);
	expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
	expect(stderr).toContain("Usage: rem");
});

test("a table of one's own without --models: the hint names the option", async () => {
	const args = ["list", "my_notes", "--url", "memory:"];
	const { code, stderr } = await rem(args);
	expect(code).toBe(1);
	expect(stderr).toMatch(
		/hint: known: .*; a table of your own needs --models PATH\n/,
	);
	const models = join(import.meta.dirname, "../../docs/examples/models");
	const given = await rem([...args, "--models", models]);
	expect(given.stderr).toContain("[UNKNOWN_ENTITY]");
	expect(given.stderr).not.toContain("--models PATH");
});

test("an unreachable server is an error with its address and without the password", async () => {
	const url = "postgresql://me:geheim@127.0.0.1:9/x";
	const { code, stdout, stderr } = await rem(["lookup", "x", "--url", url]);
	expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
	expect(stderr).toContain("[CONNECTION_FAILED]");
	expect(stderr).toContain("127.0.0.1:9");
	expect(stderr).not.toContain("geheim");
});

test("an unknown address and a malformed variable are errors", async () => {
	const wrongUrl = await rem(["lookup", "x", "--url", "mysql://x", "--json"]);
	expect(wrongUrl.code).toBe(1);
	expect(JSON.parse(wrongUrl.stderr).error.code).toBe("CONFIG_INVALID");
	const env = { POSTGRES__PORT: "many" };
	const wrongVariable = await rem(["lookup", "x"], { env });
	expect(wrongVariable.code).toBe(1);
	expect(wrongVariable.stderr).toContain("POSTGRES__PORT");
});
