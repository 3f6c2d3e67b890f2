import { Console } from "node:console";
import { type Command, Option } from "commander";
import { RemError } from "../../errors.ts";
import { UsageError } from "../failure.ts";
import type { McpCommandOptions } from "../mcp/run-mcp.ts";
import { openService } from "../open-service.ts";
import type { Invocation } from "../options.ts";
import { addHelp, addScopeOptions, wholeNumber } from "../options.ts";
import { Terminal } from "../output/terminal.ts";

/** `rem mcp` */
export function addMcp(
	program: Command,
	invocation: Invocation,
	version: string,
): void {
	const command = program
		.command("mcp")
		.helpGroup("Run:")
		.summary("serve the memory to agents: the Model Context Protocol")
		.description(
			"Serves the memory to an MCP client: on stdin and stdout, which the client starts itself, or with --http on a port of this machine. Tenant and user are fixed here or by the client's token: no tool can name them.",
		)
		.option(
			"--http <port>",
			"serve Streamable HTTP on http://127.0.0.1:PORT/mcp (0: a free port); without it, stdin and stdout",
			wholeNumber(0, 65_535),
		)
		.option(
			"--tokens <file>",
			"with --http: JSON file of bearer tokens with tenant, user and rights; - for standard input (default: MCP__TOKENS, else one that is printed)",
		)
		.option(
			"--issuer <url>",
			"with --http: also accept OAuth access tokens of this issuer",
		)
		.option(
			"--resource <url>",
			"with --http: the address that clients use, where it is another, such as a proxy's",
		)
		.option("--read-only", "only tools that read")
		.option("--tables <names>", "only these tables, with commas", (text) =>
			text.split(",").map((name) => name.trim()),
		)
		.addOption(
			new Option(
				"--surface <which>",
				"full: also the tools fuzzy, query and about",
			).choices(["default", "full"]),
		)
		.option(
			"--max-tokens <n>",
			"most tokens of a tool's answer, estimated (default: 4000)",
			wholeNumber(200, 1_000_000),
		)
		.action((options: McpCommandOptions) =>
			serve(options, invocation, version),
		);
	addHelp(
		addScopeOptions(command),
		[
			"rem mcp --tenant acme-corp --user sarah",
			"rem mcp --read-only --tables documents,people --surface full",
			"rem mcp --http 8137 --tokens tokens.json",
			"rem mcp --http 8137 --issuer https://auth.example.com --resource https://memory.example.com/mcp",
		],
		[
			"POSTGRES__CONNECTION_STRING",
			"POSTGRES__DEFAULT_TENANT",
			"EMBEDDING__PROVIDER",
			"MCP__TOKENS",
		],
	);
}

async function serve(
	options: McpCommandOptions,
	invocation: Invocation,
	version: string,
): Promise<void> {
	if (options.http === undefined)
		for (const name of ["tokens", "issuer", "resource"] as const)
			if (options[name] !== undefined)
				throw new UsageError(`--${name} needs --http`);
	const terminal = new Terminal(options);
	// On stdout there is nothing but the protocol, whatever a model's module prints.
	globalThis.console = new Console(process.stderr);
	invocation.endsBySignal = true;
	const opening = openService(terminal, options);
	// Loaded while the database opens.
	const [service, { runMcp }] = await Promise.all([
		opening.catch((error: unknown) => {
			throw sharedFolder(error);
		}),
		import("../mcp/run-mcp.ts"),
	]);
	try {
		await runMcp({ service, options, terminal, version, invocation });
	} finally {
		await service.close();
	}
}

/** Several clients may start a server each, on one folder: only one of them can have it. */
function sharedFolder(error: unknown): unknown {
	if (!(error instanceof RemError) || error.code !== "EMBEDDED_LOCKED")
		return error;
	return new RemError(error.code, error.message, {
		hint: `${error.hint}. Clients can share one process: start rem mcp --http once and connect them to it`,
		cause: error,
	});
}
