import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { coreEntities, PostgresService } from "remdb";
import {
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { childPath } from "../support/child.ts";
import { milliseconds, whole } from "../support/numbers.ts";
import { pairedRounds, settle, timed } from "../support/paired.ts";
import { median, ratios } from "../support/statistics.ts";
import { tenantId, withWorkbench } from "../support/workbench.ts";

/** What `rem mcp` adds to the service: to each recall, and to opening it. */
export const mcp: BenchCase = { name: "mcp", run };

const program = fileURLToPath(
	new URL("../../dist/cli/main.js", import.meta.url),
);

async function run(context: Context): Promise<Figure[]> {
	return [...(await recalls(context)), ...(await openings(context))];
}

const calls = 20;

async function recalls({ server, quick, rounds }: Context): Promise<Figure[]> {
	const count = quick ? 200 : 2_000;
	const local = { provider: "local" } as const;
	return withWorkbench(
		server,
		coreEntities,
		local,
		async (database, service) => {
			await service.batchUpsert({
				tableName: "resources",
				entities: Array.from({ length: count }, (_, at) => ({
					name: `note-${at}`,
					content: `Note ${at} is about topic ${at % 50} of the archive.`,
				})),
				tenantId,
			});
			const client = await connect(database.url);
			try {
				const queries = Array.from(
					{ length: calls },
					(_, at) => `what is topic ${at} of the archive about?`,
				);
				const each =
					(recall: (query: string) => Promise<unknown>) => async () => {
						const ms = await timed(async () => {
							for (const query of queries) await recall(query);
						});
						return ms / calls;
					};
				const times = await pairedRounds(
					{
						mcp: each((query) =>
							client.callTool({ name: "recall", arguments: { query } }),
						),
						service: each((query) => service.recall({ query, tenantId })),
					},
					{ rounds, before: () => settle(), after: async () => {} },
				);
				return [
					{
						name: `recall over MCP (stdio) − service.recall, ${whole(count)} entities`,
						values: times.mcp.map((ms, at) => ms - (times.service[at] ?? 0)),
						unit: "ms",
						target: atMost(5),
						detail: `${milliseconds(times.mcp)}; service ${milliseconds(times.service)}`,
					},
				];
			} finally {
				await client.close();
			}
		},
	);
}

async function connect(url: string): Promise<Client> {
	const client = new Client({ name: "bench", version: "1" });
	await client.connect(
		new StdioClientTransport({
			command: process.execPath,
			args: [program, "mcp", "--url", url, "--tenant", tenantId],
			env: { PATH: process.env.PATH ?? "", EMBEDDING__PROVIDER: "local" },
			stderr: "ignore",
		}),
	);
	return client;
}

/** From the start of a process until the service is open, and until `initialize` is answered. */
async function openings({ quick, rounds }: Context): Promise<Figure[]> {
	const folder = mkdtempSync(join(tmpdir(), "rem-bench-"));
	const url = `file:${join(folder, "database")}`;
	try {
		const service = await PostgresService.connect({ connectionString: url });
		await service.migrate();
		await service.close();
		const times = await pairedRounds(
			{
				initialize: async () => {
					const started = performance.now();
					const client = await connect(url);
					const ms = performance.now() - started;
					await client.close();
					return ms;
				},
				open: () => untilOpen(url),
			},
			{
				rounds: quick ? 3 : rounds,
				before: () => settle(),
				after: async () => {},
			},
		);
		return [
			{
				name: "rem mcp: initialize is answered ÷ the service is open, embedded",
				values: ratios(times.initialize, times.open),
				unit: "×",
				target: atMost(1.2),
				detail: `${whole(median(times.initialize))} ms; opening ${whole(median(times.open))} ms`,
			},
		];
	} finally {
		rmSync(folder, { recursive: true });
	}
}

/** Milliseconds until the child prints that the service is open; it has ended by then, and the folder is free. */
async function untilOpen(url: string): Promise<number> {
	const started = performance.now();
	const child = spawn(process.execPath, [childPath("open-service.mjs"), url], {
		stdio: ["ignore", "pipe", "ignore"],
		env: { ...process.env, EMBEDDING__PROVIDER: "local" },
	});
	let ms = Number.NaN;
	child.stdout.once("data", () => {
		ms = performance.now() - started;
	});
	const code = await new Promise((resolve) => child.on("close", resolve));
	if (code !== 0) throw new Error(`the service did not open: ${code}`);
	return ms;
}
