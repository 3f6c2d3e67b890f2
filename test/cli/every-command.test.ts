import { join } from "node:path";
import type { Command } from "commander";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { buildProgram } from "../../src/cli/program.ts";
import { run } from "../../src/cli/run.ts";
import { commands, invocation } from "./commands.ts";
import { emptyDatabase, engines, temporaryFolder } from "./run-rem.ts";

/** What each needs so that its command line is complete. */
const complete: Readonly<Record<string, readonly string[]>> = {
	load: ["FILE", "--table", "resources"],
	list: ["resources"],
	get: ["x"],
	set: ["x", "content=y"],
	delete: ["x", "--yes"],
	forget: ["--user", "x", "--yes"],
	completion: ["bash"],
	lookup: ["x"],
	fuzzy: ["x"],
	search: ["x"],
	recall: ["x"],
	eval: ["QUERIES"],
	query: ["LOOKUP x"],
	traverse: ["x"],
	"embeddings switch": ["m"],
	"embeddings prune": ["m"],
	"buckets move": ["0", "--to", "localhost", "--yes"],
	"migrate repair": ["1_a.sql", "--migrations", "FOLDER"],
};

/** These open no database, or wait for it. */
const withoutDatabase = [
	"quickstart",
	"schema generate",
	"schema validate",
	"worker",
	"mcp",
	"completion",
	"init",
	"studio",
];

const folder = temporaryFolder({
	"rows.jsonl": '{"name":"x","content":"y"}\n',
	"1_a.sql": "SELECT 1",
	"queries.jsonl": '{"query":"x","relevant":["x"]}\n',
});
const completed = (command: readonly string[]) => [
	...command,
	...(complete[command.join(" ")] ?? []).map((argument) =>
		argument
			.replace("FILE", join(folder, "rows.jsonl"))
			.replace("FOLDER", folder)
			.replace("QUERIES", join(folder, "queries.jsonl")),
	),
];

const withDatabase = commands.filter(
	(command) => !withoutDatabase.includes(command.join(" ")),
);

let printed = "";
beforeEach(() => {
	printed = "";
	const write = (text: unknown, ...given: unknown[]) => {
		printed += String(text);
		const written = given.at(-1);
		if (typeof written === "function") written();
		return true;
	};
	vi.spyOn(process.stdout, "write").mockImplementation(write);
	vi.spyOn(process.stderr, "write").mockReturnValue(true);
});
afterEach(() => vi.restoreAllMocks());

async function outcome(...args: readonly string[]) {
	const { exitCode, failure } = await run(args, invocation());
	return { exitCode, failure, printed };
}

test("every command is known", () => {
	expect(commands.length).toBeGreaterThan(20);
	const names = commands.map((command) => command.join(" "));
	expect([...Object.keys(complete), ...withoutDatabase]).toSatisfy(
		(all: string[]) => all.every((name) => names.includes(name)),
	);
});

/** `migrate repair` takes the name of a file that was applied, and reads none. */
const namesOnly = ["migrate repair"];

test("every file that is an argument may be standard input", () => {
	const all = (command: Command, path: readonly string[] = []): string[] =>
		command.commands.flatMap((sub) => {
			const name = [...path, sub.name()];
			const files = sub.registeredArguments.filter(
				(argument) =>
					argument.name().startsWith("file") &&
					!argument.description.includes("- for standard input"),
			);
			return [...files.map(() => name.join(" ")), ...all(sub, name)];
		});
	expect(all(buildProgram(invocation()))).toEqual(namesOnly);
});

describe.each(commands.map((command) => [command.join(" "), command] as const))(
	"rem %s",
	(_, command) => {
		test("--help has an example", async () => {
			expect(await outcome(...command, "--help")).toMatchObject({
				exitCode: 0,
				printed: expect.stringMatching(
					new RegExp(`Examples:[\\s\\S]* rem ${command.join(" ")}`),
				),
			});
		});

		test("wrong usage is 2, as JSON on stderr alone", async () => {
			const { exitCode, failure, printed } = await outcome(
				...completed(command),
				"--no-such-option",
				"--json",
			);
			expect({ exitCode, printed }).toEqual({ exitCode: 2, printed: "" });
			expect(JSON.parse(failure).error.code).toBe("USAGE");
		});
	},
);

test.each(withDatabase.map((command) => [command.join(" "), command] as const))(
	"rem %s: a server that does not answer is 1, in one JSON document",
	async (_, command) => {
		const url = "postgresql://me@127.0.0.1:9/x";
		const { exitCode, failure, printed } = await outcome(
			...completed(command),
			"--url",
			url,
			"--json",
		);
		expect(exitCode).toBe(1);
		const text = command[0] === "doctor" ? printed : failure;
		expect([printed, failure].filter((part) => part !== "")).toEqual([text]);
		expect(JSON.stringify(JSON.parse(text))).toContain("127.0.0.1:9");
	},
);

/** For a server whose database is empty; a command that is missing here is refused with 1. */
const onEmptyServer: Readonly<Record<string, number>> = {
	migrate: 0,
	"migrate status": 0,
	"migrate repair": 1,
	"schema diff": 3,
};

describe.runIf(engines.includes("server"))(
	"a server that was not migrated",
	() => {
		let url: Promise<string> | undefined;
		/** Of all commands that leave it as it is. */
		const empty = () => {
			url ??= emptyDatabase("server");
			return url;
		};
		test.each(
			withDatabase.map((command) => [command.join(" "), command] as const),
		)("rem %s", async (name, command) => {
			const url =
				name === "migrate" ? await emptyDatabase("server") : await empty();
			const { exitCode, failure, printed } = await outcome(
				...completed(command),
				"--url",
				url,
				"--json",
			);
			expect({ exitCode, failure }).toMatchObject({
				exitCode: onEmptyServer[name] ?? 1,
			});
			const documents = [printed, failure].filter((text) => text !== "");
			expect(documents).toHaveLength(1);
			JSON.parse(documents[0] ?? "");
		});
	},
);

/** The command line is as it should be; what it names is not. */
const refused: readonly (readonly string[])[] = [
	["search", "x", "--table", "nope"],
	["search", "x", "--models", "TEXTLESS"],
	["eval", "nope.jsonl"],
	["eval", "QUERIES", "--table", "nope"],
	["eval", "QUERIES", "--models", "TEXTLESS"],
	["query", 'SEARCH "x" IN nope'],
	["query", 'SEARCH "x"', "--models", "TEXTLESS"],
	["list", "nope"],
	["list", "resources", "--where", "nope > 1"],
	["get", "x", "--table", "nope"],
	["set", "x", "content=y"],
	["delete", "x", "--yes"],
	["query", 'SERCH "x"'],
	["load", "ROWS", "--table", "nope"],
	["load", "ROWS"],
	["load", "nope.jsonl", "--table", "resources"],
	["lookup", "x", "--models", "nope"],
	["schema", "validate", "--models", "nope"],
	["migrate", "--migrations", "nope"],
];

test.each(refused)("rem %s %s %s %s is 1", async (...args) => {
	const models = temporaryFolder({
		"m.ts": `import * as z from "zod";
import { defineEntity } from "remdb";
export const T = defineEntity("things", { n: z.int() });`,
	});
	const given = args
		.filter((argument) => argument !== undefined)
		.map((argument) =>
			argument
				.replace("TEXTLESS", models)
				.replace("ROWS", join(folder, "rows.jsonl"))
				.replace("QUERIES", join(folder, "queries.jsonl")),
		);
	const database = args.includes("validate") ? [] : ["--url", "memory:"];
	const { exitCode, failure, printed } = await outcome(
		...given,
		...database,
		"--json",
	);
	expect({ exitCode, printed }).toEqual({ exitCode: 1, printed: "" });
	expect(JSON.parse(failure).error.code).not.toBe("USAGE");
});
