import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { EmbeddingOptions } from "remdb";
import { childPath } from "./child.ts";

/** An embedding server that pays for its own work, and what a service needs to use it. */
export interface EmbeddingProcess {
	readonly options: EmbeddingOptions;
	stop(): void;
}

/** @param delayMs how long it takes over each answer */
export async function startEmbeddingProcess(
	delayMs: number,
): Promise<EmbeddingProcess> {
	const jiti = join(
		dirname(createRequire(import.meta.url).resolve("jiti/package.json")),
		"lib/jiti-cli.mjs",
	);
	const child = spawn(
		process.execPath,
		[jiti, childPath("embedding-server.ts"), String(delayMs)],
		{ stdio: ["pipe", "pipe", "inherit"] },
	);
	const baseUrl = await new Promise<string>((resolve, reject) => {
		createInterface({ input: child.stdout }).once("line", resolve);
		child.once("close", () => reject(new Error("the server did not start")));
	});
	return {
		options: {
			provider: "openai",
			model: "text-embedding-3-small",
			apiKey: "bench",
			baseUrl,
		},
		stop: () => child.stdin.end(),
	};
}
