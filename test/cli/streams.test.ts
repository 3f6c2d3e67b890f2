import { spawn } from "node:child_process";
import { once } from "node:events";
import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { PostgresService } from "../../src/index.ts";
import { nodeArguments } from "../support/child-arguments.ts";
import { startEmbeddingServer } from "../support/embedding-server.ts";
import {
	emptyDatabase,
	fewEngines,
	main,
	rem,
	remProcess,
	temporaryFolder,
} from "./run-rem.ts";

const rows = Array.from({ length: 6000 }, (_, at) => ({
	name: `row ${at}`,
	content: `Text number ${at}, ${"and so on ".repeat(20)}`,
}));
const folder = temporaryFolder({
	"rows.jsonl": rows.map((row) => `${JSON.stringify(row)}\n`).join(""),
	"rows.json": JSON.stringify(rows),
	"broken.jsonl": '{"name":\n'.repeat(20),
});
const { PATH = "" } = process.env;
const env = { PATH, EMBEDDING__PROVIDER: "local" };

/** Runs a line of the shell in which `rem` is the built program. */
function shell(line: string, more: Readonly<Record<string, string>> = {}) {
	const rem = `rem() { "${process.execPath}" ${nodeArguments.join(" ")} "${main}" "$@"; }`;
	const child = spawn("bash", ["-c", `${rem}\n${line}`], {
		cwd: folder,
		env: { ...env, ...more },
		stdio: ["ignore", "pipe", "pipe"],
	});
	const text = { stdout: "", stderr: "" };
	for (const name of ["stdout", "stderr"] as const)
		child[name].setEncoding("utf8").on("data", (chunk) => {
			text[name] += chunk;
		});
	return once(child, "close").then(([code]) => ({ code, ...text }));
}

describe("a reader that ends early", () => {
	let url: string;
	beforeAll(async () => {
		url = await emptyDatabase("embedded");
		const args = ["load", "rows.jsonl", "--table", "resources"];
		const loaded = await rem([...args, "--no-embeddings", "--url", url], {
			cwd: folder,
			env,
		});
		expect(loaded).toMatchObject({ code: 0 });
	});

	// More than a pipe takes at once: the writer does meet the closed end.
	test.each([
		["rem query 'SQL resources LIMIT 1000' --url $URL", "| head -1"],
		["rem query 'SQL resources LIMIT 1000' --url $URL --json", "| head -1"],
		["rem query 'SQL resources LIMIT 1000' --url $URL", "| true"],
		["rem schema generate", "| head -1"],
		["rem schema generate", "| true"],
		["rem --help", "| true"],
	])("%s %s is no failure of the command", async (command, reader) => {
		const { code, stderr } = await shell(
			`${command} ${reader}; exit \${PIPESTATUS[0]}`,
			{ URL: url },
		);
		expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
	});

	test.each(["", "--json"])(
		"of stderr changes neither result nor exit code %s",
		async (json) => {
			const failed = await shell(
				`rem load broken.jsonl --table resources --dry-run ${json} 2> >(true); exit $?`,
			);
			expect(failed).toMatchObject({ code: 1, stderr: "" });
			const worked = await shell(
				`rem lookup 'row 1' nobody --url $URL ${json} 2> >(true); exit $?`,
				{ URL: url },
			);
			expect(worked).toMatchObject({ code: 0, stderr: "" });
			expect(worked.stdout).toContain("row 1");
		},
	);
});

describe.each(fewEngines)(
	"SIGINT during a load into the %s database",
	(engine) => {
		test.each([
			{ file: "rows.jsonl", isStream: true, answered: 3 },
			{ file: "rows.json", isStream: false, answered: 1 },
		])(
			"of $file ends with 130 and says what is stored",
			async ({ file, isStream, answered }) => {
				const url = await emptyDatabase(engine);
				const server = await startEmbeddingServer();
				onTestFinished(() => server.close());
				// Some chunks are embedded; the next one waits until the signal comes.
				server.misbehave("none", answered);
				server.misbehave("hang", 1000);
				const openai = {
					EMBEDDING__PROVIDER: "openai",
					EMBEDDING__BASE_URL: server.openaiUrl,
					OPENAI_API_KEY: "x",
				};
				const { code, stdout, stderr } = await remProcess(
					["load", file, "--table", "resources", "--url", url],
					{
						cwd: folder,
						env: openai,
						onStart: async (child) => {
							await vi.waitUntil(
								() => server.stats.requests > answered,
								120_000,
							);
							child.kill("SIGINT");
						},
					},
				);
				expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
				expect(stderr).toContain("[CANCELLED]");
				const [, committed = "0"] =
					/the first (\d+) entities are committed/.exec(stderr) ?? [];
				if (isStream) expect(stderr).toContain("run the same command again");
				else expect(stderr).toContain("nothing was written");
				expect(Number(committed) > 0).toBe(isStream);
				const service = await PostgresService.connect({
					connectionString: url,
				});
				onTestFinished(() => service.close());
				const { rows: counted } = await service.execute<{ n: string }>(
					"SELECT count(*)::text AS n FROM resources",
				);
				expect(counted).toEqual([{ n: committed }]);
			},
		);
	},
);

describe("escape codes", () => {
	const escapeCode = "\u001b[";
	const failing = "rem doctor --url file:./missing";

	test("go to no pipe, even where a colour is forced", async () => {
		for (const more of [{}, { FORCE_COLOR: "1" }, { TERM: "xterm-256color" }]) {
			const { stdout, stderr } = await shell(failing, more);
			expect(stdout).toContain("failed");
			expect(stdout + stderr).not.toContain(escapeCode);
		}
	});

	// script(1) runs a command on a terminal of its own.
	const onTerminal = (
		command: string,
		more: Readonly<Record<string, string>>,
	) =>
		shell(
			`export -f rem; SHELL=$(command -v bash) script -qec '${command}' /dev/null`,
			{ TERM: "xterm-256color", ...more },
		);

	test.each([
		{ env: {}, isStyled: true },
		{ env: { NO_COLOR: "1" }, isStyled: false },
		{ env: { TERM: "dumb" }, isStyled: false },
	])("on a terminal with $env: $isStyled", async ({ env, isStyled }) => {
		const { stdout } = await onTerminal(failing, env);
		expect(stdout).toContain("failed");
		expect(stdout.includes(escapeCode)).toBe(isStyled);
	});
});
