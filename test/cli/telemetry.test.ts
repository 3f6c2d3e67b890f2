import { execFile } from "node:child_process";
import {
	cpSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { nodeArguments } from "../support/child-arguments.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A folder with the package and what it needs, without OpenTelemetry. */
function installed(): string {
	const folder = mkdtempSync(join(tmpdir(), "rem-plain-"));
	onTestFinished(() => rmSync(folder, { recursive: true }));
	const { dependencies, files } = JSON.parse(
		readFileSync(join(root, "package.json"), "utf8"),
	);
	for (const name of [...Object.keys(dependencies), "zod"]) {
		const link = join(folder, "node_modules", name);
		mkdirSync(dirname(link), { recursive: true });
		symlinkSync(join(root, "node_modules", name), link);
	}
	const own = join(folder, "node_modules", "remdb");
	for (const path of ["package.json", ...files])
		cpSync(join(root, path), join(own, path), { recursive: true });
	return folder;
}

test("a program without OpenTelemetry works, and prints nothing about it", async () => {
	const program = `
import { PostgresService } from "remdb";
let found = "installed";
await import("@opentelemetry/api").catch(({ code }) => { found = code; });
const service = await PostgresService.connect({ connectionString: "memory:" });
await service.migrate();
await service.batchUpsert({ tableName: "resources", entities: [{ name: "doc-1", content: "text" }] });
const hit = await service.lookupEntity({ entityKey: "Doc 1" });
await service.close();
console.log(found, hit.entityKey);
`;
	const { stdout, stderr } = await promisify(execFile)(
		process.execPath,
		[...nodeArguments, "--input-type=module", "--eval", program],
		{ cwd: installed() },
	);
	expect(stdout).toBe("ERR_MODULE_NOT_FOUND doc-1\n");
	expect(stderr).toBe("");
});

test("the command reports to the SDK that a file of the user's sets up", async () => {
	const folder = mkdtempSync(join(tmpdir(), "rem-traced-"));
	onTestFinished(() => rmSync(folder, { recursive: true }));
	const sdk = import.meta.resolve("@opentelemetry/sdk-trace-node");
	const file = join(folder, "telemetry.mjs");
	writeFileSync(
		file,
		`import { NodeTracerProvider, SimpleSpanProcessor } from ${JSON.stringify(sdk)};
const exporter = {
	export(spans, done) {
		for (const { name } of spans) process.stderr.write(\`span \${name}\\n\`);
		done({ code: 0 });
	},
	shutdown: async () => {},
};
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();
`,
	);
	const { stderr } = await promisify(execFile)(
		process.execPath,
		[
			...nodeArguments,
			`--import=${pathToFileURL(file)}`,
			join(root, "dist/cli/main.js"),
			"quickstart",
		],
		{ cwd: folder, env: { ...process.env, EMBEDDING__PROVIDER: "local" } },
	);
	const lines = stderr.split("\n");
	expect(lines).toContain("span migrate");
	expect(lines.some((line) => line.startsWith("span batchUpsert "))).toBe(true);
});
