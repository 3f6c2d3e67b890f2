import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { afterEach, describe, expect, test } from "vitest";
import { nodeArguments } from "../support/child-arguments.ts";
import { call, connectHttp, eras, newClient, patient } from "../support/mcp.ts";
import {
	emptyDatabase,
	engines,
	main,
	migratedDatabase,
	rem,
	remProcess,
	temporaryFolder,
} from "./run-rem.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
	for (const end of ends.splice(0)) await end();
});

const environment = {
	PATH: process.env.PATH ?? "",
	EMBEDDING__PROVIDER: "local",
};

/** A client that has started `rem mcp` itself. */
async function startClient(
	args: readonly string[],
	era: "legacy" | "modern" = "legacy",
): Promise<{
	client: Client;
	transport: StdioClientTransport;
	stderr: () => string;
}> {
	const transport = new StdioClientTransport({
		command: process.execPath,
		args: [...nodeArguments, main, "mcp", ...args],
		env: environment,
		cwd: temporaryFolder(),
		stderr: "pipe",
	});
	let stderr = "";
	transport.stderr?.on("data", (text) => {
		stderr += text;
	});
	const client = newClient(era);
	await client.connect(transport, patient);
	ends.push(() => client.close());
	return { client, transport, stderr: () => stderr };
}

/** `rem mcp --http` in a process of its own, once it answers. */
async function startHttp(
	args: readonly string[],
	env: Readonly<Record<string, string>> = {},
	input = "",
): Promise<{
	child: ChildProcess;
	url: URL;
	stderr: () => string;
	ended: Promise<number | null>;
}> {
	const child = spawn(
		process.execPath,
		[...nodeArguments, main, "mcp", "--http", "0", ...args],
		{
			env: { ...environment, ...env },
			cwd: temporaryFolder(),
			stdio: ["pipe", "pipe", "pipe"],
		},
	);
	child.stdin.end(input);
	let stderr = "";
	child.stderr.setEncoding("utf8").on("data", (text) => {
		stderr += text;
	});
	const ended = new Promise<number | null>((resolve) =>
		child.on("close", resolve),
	);
	ends.push(() => {
		child.kill("SIGKILL");
		return ended;
	});
	await expect
		.poll(() => stderr)
		.toMatch(/serving MCP on (\S+)/)
		.catch(() => expect.fail(stderr));
	const [, address = ""] = /serving MCP on (\S+)/.exec(stderr) ?? [];
	return { child, url: new URL(address), stderr: () => stderr, ended };
}

const entities = [
	{ name: "battery", content: "The battery of the rover lasts nine hours." },
];

/** `rem mcp` with these messages as its whole input, which ends right behind the last. */
async function answersTo(
	args: readonly string[],
	messages: readonly object[],
): Promise<{
	code: number | null;
	stderr: string;
	answers: readonly {
		readonly id: number;
		readonly result?: { readonly isError?: boolean };
	}[];
}> {
	const child = spawn(
		process.execPath,
		[...nodeArguments, main, "mcp", ...args],
		{
			env: environment,
			cwd: temporaryFolder(),
			stdio: ["pipe", "pipe", "pipe"],
		},
	);
	ends.push(() => child.kill("SIGKILL"));
	child.stdin.end(messages.map((one) => `${JSON.stringify(one)}\n`).join(""));
	const [stdout, stderr, code] = await Promise.all([
		text(child.stdout),
		text(child.stderr),
		new Promise<number | null>((resolve) => child.on("close", resolve)),
	]);
	const answers = stdout
		.split("\n")
		.filter((line) => line !== "")
		.map((line) => JSON.parse(line));
	return { code, stderr, answers };
}

const opening = [
	{
		jsonrpc: "2.0",
		id: 1,
		method: "initialize",
		params: {
			protocolVersion: "2025-06-18",
			capabilities: {},
			clientInfo: { name: "pipe", version: "1" },
		},
	},
	{ jsonrpc: "2.0", method: "notifications/initialized" },
];

/** A server is its owner's to migrate; a folder gets its tables here. */
function unpreparedDatabase(engine: string): Promise<string> {
	return engine === "server" ? migratedDatabase(engine) : emptyDatabase(engine);
}

/** A folder that has the tables, for what is not about how they are made. */
const preparedFolder = () => migratedDatabase("embedded");

test("a call that the client has cancelled is not waited for at the end of the input", async () => {
	const url = await emptyDatabase("embedded");
	const ended = await answersTo(
		["--url", url],
		[
			...opening,
			{
				jsonrpc: "2.0",
				id: 2,
				method: "tools/call",
				params: { name: "recall", arguments: { query: "the battery" } },
			},
			{
				jsonrpc: "2.0",
				method: "notifications/cancelled",
				params: { requestId: 2 },
			},
		],
	);
	expect(ended.code, ended.stderr).toBe(0);
	expect(ended.answers.map(({ id }) => id)).toEqual([1]);
});

describe.each(engines)("on %s", (engine) => {
	test("what was asked before the end of the input is done and answered", async () => {
		const url = await unpreparedDatabase(engine);
		const call = (id: number, name: string, args: object) => ({
			jsonrpc: "2.0",
			id,
			method: "tools/call",
			params: { name, arguments: args },
		});
		const asked = [
			call(2, "remember", { table: "resources", entities }),
			call(3, "recall", { query: "the battery" }),
			{ jsonrpc: "2.0", id: 4, method: "tools/list" },
		];
		const options = ["--url", url, "--tenant", "acme"];
		const ended = await answersTo(options, [...opening, ...asked]);
		expect(ended.code, ended.stderr).toBe(0);
		expect(ended.answers.map(({ id }) => id).sort()).toEqual([1, 2, 3, 4]);
		expect(ended.answers.find(({ id }) => id === 2)?.result?.isError).not.toBe(
			true,
		);
		const found = await rem(["lookup", "battery", ...options, "--json"]);
		expect(JSON.parse(found.stdout)).toHaveLength(1);
	});

	test.each(eras)(
		"a client remembers and recalls over stdin and stdout: %s",
		async (era) => {
			const url = await migratedDatabase(engine);
			const { client } = await startClient(
				["--url", url, "--tenant", "acme", "--user", "sarah"],
				era,
			);
			const stored = await call(client, "remember", {
				table: "resources",
				entities,
			});
			expect(stored.isError, stored.text).toBe(false);
			const { content } = await call(client, "recall", {
				query: "how long does the battery last?",
			});
			expect(content.items[0]).toMatchObject({
				uri: "rem://resources/battery",
			});
			await client.close();
			const found = await rem([
				"lookup",
				"battery",
				"--tenant",
				"acme",
				"--user",
				"sarah",
				"--url",
				url,
				"--json",
			]);
			expect(JSON.parse(found.stdout)[0].user_id).toBe("sarah");
			const others = await rem([
				"lookup",
				"battery",
				"--tenant",
				"default",
				"--url",
				url,
				"--json",
			]);
			expect(JSON.parse(others.stdout)).toEqual([]);
		},
	);

	test("two clients remember and recall over HTTP, each its own", async () => {
		const url = await migratedDatabase(engine);
		const tokens = {
			"token-of-acme-0000": { tenant: "acme" },
			"token-of-other-000": { tenant: "other", rights: "read" },
		};
		const folder = temporaryFolder({ "tokens.json": JSON.stringify(tokens) });
		const {
			child,
			url: address,
			stderr,
			ended,
		} = await startHttp([
			"--url",
			url,
			"--tokens",
			join(folder, "tokens.json"),
		]);
		expect(stderr()).toContain("can be read by others");
		const [acme, other] = await Promise.all([
			connectHttp(address, "token-of-acme-0000", "legacy"),
			connectHttp(address, "token-of-other-000", "modern"),
		]);
		const stored = await call(acme, "remember", {
			table: "resources",
			entities,
		});
		expect(stored.isError, stored.text).toBe(false);
		const query = { query: "how long does the battery last?" };
		expect((await call(acme, "recall", query)).content.items[0]).toMatchObject({
			uri: "rem://resources/battery",
		});
		expect((await call(other, "recall", query)).content.items).toEqual([]);
		await expect(
			connectHttp(address, "token-of-nobody-00", "legacy"),
		).rejects.toThrow();
		child.kill("SIGTERM");
		expect(await ended).toBe(0);
		expect(stderr()).toContain("stopping");
	});
});

test("stdout has nothing but the protocol, whatever a model's module prints", async () => {
	const models = temporaryFolder({
		"m.ts": `import * as z from "zod";
import { defineEntity } from "remdb";
console.log("hello from a model");
export const Fact = defineEntity("facts", { name: z.string(), content: z.string() }, { entityKeyField: "name" });`,
	});
	const { client, stderr } = await startClient([
		"--models",
		models,
		"--url",
		"memory:",
	]);
	const { tools } = await client.listTools();
	const remember = tools.find(({ name }) => name === "remember");
	expect(JSON.stringify(remember)).toContain('"title":"facts"');
	expect(stderr()).toContain("hello from a model");
});

test("an embedded folder that another process has is a clear error", async () => {
	const url = await preparedFolder();
	await startClient(["--url", url]);
	const { code, stdout, stderr } = await remProcess(["mcp", "--url", url], {
		env: environment,
	});
	expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
	expect(stderr).toContain("[EMBEDDED_LOCKED]");
	expect(stderr).toContain("rem mcp --http");
});

test("ends when its client goes, and on a signal", async () => {
	const { code, stderr } = await remProcess(["mcp", "--url", "memory:"], {
		env: environment,
	});
	expect({ code, stderr }).toMatchObject({ code: 0 });
	const { transport } = await startClient(["--url", await preparedFolder()]);
	const { pid } = transport;
	process.kill(pid as number, "SIGTERM");
	await expect
		.poll(() => {
			try {
				return process.kill(pid as number, 0);
			} catch {
				return false;
			}
		})
		.toBe(false);
});

test("without tokens, one is made and printed", async () => {
	const { url, stderr } = await startHttp([
		"--url",
		await preparedFolder(),
		"--tenant",
		"acme",
		"--read-only",
	]);
	await expect.poll(stderr).toMatch(/authorization: Bearer \S+/);
	const [, token = ""] = /authorization: Bearer (\S+)/.exec(stderr()) ?? [];
	const client = await connectHttp(url, token, "legacy");
	const { tools } = await client.listTools();
	expect(tools.map(({ name }) => name)).toEqual([
		"recall",
		"lookup",
		"get",
		"search",
		"traverse",
	]);
	await client.close();
});

test("tokens may come from standard input", async () => {
	const tokens = JSON.stringify({ "token-of-acme-0000": { tenant: "acme" } });
	const { url, stderr } = await startHttp(
		["--url", await preparedFolder(), "--tokens", "-"],
		{},
		tokens,
	);
	const client = await connectHttp(url, "token-of-acme-0000", "modern");
	expect((await client.listTools()).tools).toHaveLength(8);
	await client.close();
	expect(stderr()).not.toContain("can be read by others");
});

test("tokens may be in the environment", async () => {
	const { url } = await startHttp(["--url", await preparedFolder()], {
		MCP__TOKENS: JSON.stringify({ "token-of-acme-0000": { tenant: "acme" } }),
	});
	const client = await connectHttp(url, "token-of-acme-0000", "modern");
	expect((await client.listTools()).tools).toHaveLength(8);
	await client.close();
});

test.each([
	[["--tokens", "t.json"], 2, "--tokens needs --http"],
	[["--issuer", "https://a.example"], 2, "--issuer needs --http"],
	[["--http", "x"], 2, "whole number"],
	[["--surface", "all"], 2, "default, full"],
	[
		["--tables", "resorces", "--url", "memory:"],
		1,
		'did you mean "resources"?',
	],
	[
		["--http", "0", "--tokens", "none.json", "--url", "memory:"],
		1,
		"none.json",
	],
	[
		["--http", "0", "--issuer", "http://a.example", "--url", "memory:"],
		1,
		"https://",
	],
	[["--http", "0", "--resource", "x", "--url", "memory:"], 1, "--resource"],
])("rem mcp %j is refused", async (args, code, message) => {
	const ended = await rem(["mcp", ...args], { env: environment });
	expect(ended).toMatchObject({ code, stdout: "" });
	expect(ended.stderr).toContain(message);
});
