import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { buildProgram } from "../../src/cli/program.ts";
import { tokenList } from "../../src/mcp/access/token-list.ts";
import { tools } from "../../src/tools/catalogue.ts";

const page = readFileSync(
	fileURLToPath(new URL("../../docs/mcp.md", import.meta.url)),
	"utf8",
);

interface ClientServer {
	readonly command?: string;
	readonly args?: readonly string[];
	readonly url?: string;
	readonly headers?: Readonly<Record<string, string>>;
}

interface Snippet {
	readonly mcpServers?: Readonly<Record<string, ClientServer>>;
	readonly servers?: Readonly<Record<string, ClientServer>>;
}

const blocks = [...page.matchAll(/^```json\n([\s\S]*?)^```$/gm)].map(
	([, json = ""]) => json,
);
const configurations = blocks
	.map((json): Snippet => JSON.parse(json))
	.flatMap(({ mcpServers, servers }) =>
		Object.values(mcpServers ?? servers ?? {}),
	);

test("every client's configuration is JSON that starts rem mcp, or reaches it", () => {
	expect(configurations).toHaveLength(4);
	const program = buildProgram({
		signal: new AbortController().signal,
		program: "rem",
		exitCode: 0,
		endsBySignal: false,
	});
	const mcp = program.commands.find((command) => command.name() === "mcp");
	const known = mcp?.options.map(({ long }) => long);
	for (const { command, args = [], url, headers } of configurations) {
		if (url !== undefined) {
			expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/mcp$/);
			expect(headers?.Authorization).toMatch(/^Bearer /);
			continue;
		}
		expect(command).toBe("npx");
		const own = args.slice(args.indexOf("rem"));
		expect(own.slice(0, 2)).toEqual(["rem", "mcp"]);
		const options = own.filter((argument) => argument.startsWith("--"));
		expect(options.filter((option) => !known?.includes(option))).toEqual([]);
	}
});

test("the example of a token file is one", () => {
	const json = blocks.find((block) => block.includes("sha256:"));
	expect(() => tokenList(json ?? "", "docs/mcp.md")).not.toThrow();
});

test("every tool is described", () => {
	const missing = tools.filter(({ name }) => !page.includes(`\`${name}\``));
	expect(missing).toEqual([]);
});
