import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A program of `chaos/children` in a process of its own, to be killed. */
export class Child {
	/** Everything it has printed. */
	output = "";
	readonly #process: ChildProcess;
	readonly #ended: Promise<void>;
	readonly #begun: Promise<void>;

	constructor(name: string, args: readonly string[]) {
		const jiti = join(
			dirname(createRequire(import.meta.url).resolve("jiti/package.json")),
			"lib/jiti-cli.mjs",
		);
		const program = fileURLToPath(
			new URL(`../children/${name}.ts`, import.meta.url),
		);
		this.#process = spawn(process.execPath, [jiti, program, ...args], {
			stdio: ["ignore", "pipe", "pipe"],
		});
		// Not before it is reaped: till then its locks count as a living process's.
		this.#ended = new Promise((resolve) =>
			this.#process.once("close", () => resolve()),
		);
		this.#process.stderr?.on("data", (data) => {
			this.output += data;
		});
		const lines = createInterface({
			input: this.#process.stdout as NodeJS.ReadableStream,
		});
		this.#begun = new Promise((resolve) => lines.once("line", () => resolve()));
		lines.on("line", (line) => {
			this.output += `${line}\n`;
		});
	}

	/** Its first line was printed. */
	async begun(): Promise<void> {
		const isOver = await Promise.race([
			this.#begun.then(() => false),
			this.#ended.then(() => true),
		]);
		if (isOver) throw new Error(`the process ended: ${this.output}`);
	}

	async kill(): Promise<void> {
		this.#process.kill("SIGKILL");
		await this.#ended;
	}
}
