import type { Command } from "commander";
import { beginShort } from "../open-service.ts";
import { addHelp, addOutputOptions, type Invocation } from "../options.ts";
import { type OutputOptions, Terminal } from "../output/terminal.ts";

interface QuickstartOptions extends OutputOptions {
	readonly url: string;
}

const inMemory = "memory:";

/** `rem quickstart` */
export function addQuickstart(program: Command, invocation: Invocation): void {
	const command = program
		.command("quickstart")
		.helpGroup("Start:")
		.summary("see the main job in a few seconds, without a server or a key")
		.description(
			"Loads a small sample of entities (validated, embedded, upserted, names cached) and finds them by name, by nearly their name and by meaning. In memory: nothing stays behind.",
		)
		.option("-d, --url <url>", "another database than one in memory", inMemory)
		.action(async (options: QuickstartOptions) => {
			await beginShort(options);
			const { runSample } = await import("../quickstart/run-sample.ts");
			const { sampleJson, sampleLines } = await import(
				"../quickstart/sample-text.ts"
			);
			const terminal = new Terminal(options);
			const run = await runSample(options.url);
			terminal.show(
				sampleJson(run),
				sampleLines(run, {
					program: invocation.program,
					width: terminal.width,
					stays: options.url !== inMemory,
				}),
			);
		});
	addHelp(
		addOutputOptions(command),
		[
			"rem quickstart",
			"rem quickstart --url postgresql://me:secret@localhost/remdb",
		],
		["EMBEDDING__PROVIDER"],
	);
}
