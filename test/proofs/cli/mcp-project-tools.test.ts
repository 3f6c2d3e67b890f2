import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import {
	createServer,
	type IncomingMessage,
	request,
	type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cacheFolder } from "../../../scripts/postgres-server/installation.ts";
import {
	emptyDatabase,
	engines,
	main,
	rem,
	temporaryFolder,
} from "../../cli/run-rem.ts";

// The MCP project's own inspector and conformance tests. They need a newer
// Node.js, which npm has as a package; all three are installed once, into a cache.

const run = promisify(execFile);
const folder = join(cacheFolder(), "mcp-tools");
const packages = [
	`node-${process.platform}-${process.arch}@24`,
	"@modelcontextprotocol/inspector@2.12.0",
	"@modelcontextprotocol/conformance@0.1.16",
];
const inFolder = (...path: string[]) => join(folder, "node_modules", ...path);
const newerNode = inFolder(
	`node-${process.platform}-${process.arch}`,
	"bin/node",
);
const inspector = inFolder(
	"@modelcontextprotocol/inspector/clients/launcher/build/index.js",
);
const conformance = inFolder("@modelcontextprotocol/conformance/dist/index.js");

beforeAll(async () => {
	if ([newerNode, inspector, conformance].every((path) => existsSync(path)))
		return;
	await mkdir(folder, { recursive: true });
	await writeFile(join(folder, "package.json"), "{}");
	await run(
		"npm",
		["install", "--ignore-scripts", "--no-audit", "--no-fund", ...packages],
		{ cwd: folder },
	);
});

const env = {
	// The inspector starts parts of its own with the node of the path.
	PATH: `${join(newerNode, "..")}:${process.env.PATH}`,
	EMBEDDING__PROVIDER: "local",
};

describe.each(engines)("the inspector, on the %s", (engine) => {
	test("lists the tools, remembers and recalls", async () => {
		const empty = await emptyDatabase(engine);
		const url = engine === "embedded" ? "file:./memory" : empty;
		const cwd = temporaryFolder();
		await rem(["migrate", "--url", url], { cwd, env });
		const inspect = async (...args: string[]) => {
			const serve = ["mcp", "--url", url, "--tenant", "acme"];
			const { stdout } = await run(
				newerNode,
				[inspector, "--cli", process.execPath, main, ...serve, ...args],
				{ cwd, env },
			);
			return JSON.parse(stdout.slice(stdout.indexOf("{")));
		};
		const { tools } = await inspect("--method", "tools/list");
		expect(tools.map(({ name }: { name: string }) => name)).toContain("recall");
		const call = (name: string, ...args: string[]) =>
			inspect(
				...["--method", "tools/call", "--tool-name", name],
				...args.flatMap((arg) => ["--tool-arg", arg]),
			);
		await call(
			"remember",
			"table=resources",
			'entities=[{"name":"battery","content":"The battery lasts nine hours."}]',
		);
		const { content } = await call("recall", "query=how long does it last");
		expect(content[0].text).toContain("nine hours");
	});
});

/** Those that ask for no tools or prompts made for the test. */
const scenarios = [
	"server-initialize",
	"ping",
	"tools-list",
	"resources-list",
	"dns-rebinding-protection",
];

describe("the conformance tests", () => {
	const ends: (() => unknown)[] = [];
	afterAll(async () => {
		for (const end of ends) await end();
	});

	test("pass over HTTP", async () => {
		const child = spawn(
			process.execPath,
			[main, "mcp", "--http", "0", "--url", "memory:", "--tenant", "acme"],
			{ env, stdio: ["ignore", "pipe", "pipe"] },
		);
		ends.push(() => child.kill());
		let stderr = "";
		child.stderr.setEncoding("utf8").on("data", (text) => {
			stderr += text;
		});
		await expect.poll(() => stderr).toMatch(/serving MCP on \S+/);
		const [, port = ""] =
			/serving MCP on http:\/\/[^:]+:(\d+)/.exec(stderr) ?? [];
		const [, token = ""] = /authorization: (Bearer \S+)/.exec(stderr) ?? [];
		const front = await startFront({ port, token });
		ends.push(() => front.close());
		const results = [];
		for (const scenario of scenarios) {
			const { stdout } = await run(
				newerNode,
				[
					conformance,
					...["server", "--url", `http://127.0.0.1:${front.port}/mcp`],
					...["--scenario", scenario],
				],
				{ env, cwd: folder },
			).catch((error: { stdout: string }) => error);
			results.push([scenario, /Passed: (\d+)\/\1, 0 failed/.test(stdout)]);
		}
		expect(results).toEqual(scenarios.map((scenario) => [scenario, true]));
	});
});

/** The conformance tests know no tokens: this adds one, and the address that the server has. */
async function startFront({
	port,
	token,
}: {
	readonly port: string;
	readonly token: string;
}) {
	const server = createServer(
		(incoming: IncomingMessage, response: ServerResponse) => {
			const { port: own } = server.address() as AddressInfo;
			const { host = "" } = incoming.headers;
			const forwarded = request(
				{
					host: "127.0.0.1",
					port,
					path: incoming.url,
					method: incoming.method,
					headers: {
						...incoming.headers,
						authorization: token,
						host: host.endsWith(`:${own}`)
							? host.replace(`:${own}`, `:${port}`)
							: host,
					},
				},
				(answer) => {
					response.writeHead(answer.statusCode ?? 502, answer.headers);
					answer.pipe(response);
				},
			);
			forwarded.on("error", () => response.destroy());
			incoming.pipe(forwarded);
		},
	);
	await new Promise<void>((resolve) =>
		server.listen(0, "127.0.0.1", () => resolve()),
	);
	const { port: own } = server.address() as AddressInfo;
	return { port: own, close: () => server.close() };
}
