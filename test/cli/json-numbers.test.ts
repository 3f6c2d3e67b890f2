import { expect, test } from "vitest";
import { rem, temporaryFolder } from "./run-rem.ts";

const number = "653247040368672769";
const metadata = `{"id": ${number}, "list": [12345678901234.567890, 1e400, 0.1], "text": "${number}"}`;
const folder = temporaryFolder({
	"rows.json": `[{"name": "json", "metadata": ${metadata}, "graph_edges": [{"dst": "b", "rel_type": "r", "properties": {"id": ${number}}}]}]`,
	"rows.jsonl": `{"name": "jsonl", "metadata": ${metadata}}\n`,
	"rows.yaml": `- name: yaml\n  metadata:\n    id: ${number}\n    hex: 0x910D2C4A4C00001\n    list: [12345678901234.567890, +1e400, 0.1]\n`,
	"rows.csv": `name,metadata\ncsv,"${metadata.replaceAll('"', '""')}"\n`,
	"note.md": `---\nmetadata: { id: ${number} }\n---\nText.\n`,
});
const env = {
	POSTGRES__CONNECTION_STRING: "file:./data",
	POSTGRES__DEFAULT_TENANT: "t",
	EMBEDDING__PROVIDER: "local",
};
const run = (...args: string[]) => rem(args, { cwd: folder, env });

test("files are loaded and rows printed with every digit of their numbers", async () => {
	expect(await run("migrate")).toMatchObject({ code: 0 });
	const files = ["rows.json", "rows.jsonl", "rows.yaml", "rows.csv", "note.md"];
	const loaded = await run("load", ...files, "--table", "resources");
	expect(loaded).toMatchObject({ code: 0 });
	const { stdout } = await run("query", "SQL resources", "--json");
	expect(stdout.split(`"id": ${number}`)).toHaveLength(7);
	expect(stdout).toContain(`"text": "${number}"`);
	expect(stdout).toContain("12345678901234.567890");
	expect(stdout).toContain(`1${"0".repeat(400)}`);
	expect(stdout).toContain(`"hex": ${0x910d2c4a4c00001n}`);
	const { stdout: hit } = await run("lookup", "json", "--json");
	expect(hit).toContain(`"id": ${number}`);
	const { stdout: text } = await run("lookup", "json");
	expect(text).toContain(number);
});
