import { type ChildProcess, spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { tenantId } from "./films.ts";

const main = fileURLToPath(
	new URL("../../../dist/cli/main.js", import.meta.url),
);

export interface Studio {
	/** With the token. */
	readonly url: string;
	/** `performance.now()` when the URL was there. */
	readonly printedAt: number;
	stop(): Promise<void>;
}

export interface StudioOptions {
	/** The file of the models. */
	readonly models: string;
	readonly args?: readonly string[];
	/** Whether it shows the films' tenant only, or that by default. @default true */
	readonly isTenantFixed?: boolean;
	readonly env?: Readonly<Record<string, string>>;
}

/** Starts the built `rem studio` on the database, and waits for its URL. */
export async function spawnStudio(
	databaseUrl: string,
	{ models, args = [], env = {}, isTenantFixed = true }: StudioOptions,
): Promise<Studio> {
	const { PATH = "" } = process.env;
	const child = spawn(
		process.execPath,
		[
			main,
			"studio",
			"--no-open",
			"--port",
			"0",
			"--url",
			databaseUrl,
			"--models",
			models,
			...(isTenantFixed ? ["--tenant", tenantId] : []),
			...args,
		],
		{
			cwd: tmpdir(),
			env: {
				PATH,
				EMBEDDING__PROVIDER: "local",
				POSTGRES__DEFAULT_TENANT: tenantId,
				...env,
			},
			stdio: ["ignore", "pipe", "pipe"],
		},
	);
	const url = await printedUrl(child);
	return {
		url,
		printedAt: performance.now(),
		stop: () => ended(child),
	};
}

function printedUrl(child: ChildProcess): Promise<string> {
	return new Promise((resolve, reject) => {
		let output = "";
		const read = (text: string) => {
			output += text;
			const url = /http:\/\/\S+token=\S+/.exec(output)?.[0];
			if (url !== undefined) resolve(url);
		};
		child.stdout?.setEncoding("utf8").on("data", read);
		child.stderr?.setEncoding("utf8").on("data", read);
		child.on("error", reject);
		child.on("close", (code) =>
			reject(new Error(`rem studio ended with ${code}: ${output}`)),
		);
	});
}

async function ended(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	await new Promise((resolve) => {
		child.on("close", resolve);
		child.kill("SIGTERM");
	});
}
