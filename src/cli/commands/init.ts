import { type Command, Option } from "commander";
import type { Language } from "../init/project-files.ts";
import { addHelp, addOutputOptions, type Invocation } from "../options.ts";
import { type OutputOptions, Terminal } from "../output/terminal.ts";

interface InitCommandOptions extends OutputOptions {
	readonly language?: Language;
	readonly yes?: boolean;
}

/** `rem init` */
export function addInit(
	program: Command,
	{ program: name }: Invocation,
	version: string,
): void {
	const command = program
		.command("init")
		.helpGroup("Start:")
		.summary("start a project: models, scripts, settings, a test")
		.description(
			"Writes what a project needs: a model, .env.example, a folder of migrations, a test, entries of .gitignore and package.json. Nothing that exists is overwritten. On a terminal it asks for the language, elsewhere the options decide.",
		)
		.argument("[folder]", "where to", ".")
		.addOption(
			new Option(
				"-l, --language <language>",
				"TypeScript or JavaScript",
			).choices(["ts", "js"]),
		)
		.option("-y, --yes", "do not ask: TypeScript where no language is given")
		.action(async (folder: string, options: InitCommandOptions) => {
			const terminal = new Terminal(options);
			const language = options.language ?? (await askLanguage(options));
			if (language === undefined) {
				terminal.notice("nothing was written");
				return;
			}
			const { initProject } = await import("../init/init-project.ts");
			const report = await initProject(folder, language, version);
			terminal.show(report, [
				...report.written.map((path) => `wrote ${path}`),
				...report.left.map((path) => `left alone ${path}`),
			]);
			terminal.notice(
				`next: npm install, npm test, npm run migrate, then ${name} list notes --models models`,
			);
		});
	addHelp(addOutputOptions(command), [
		"rem init",
		"rem init notes-app --language js --yes",
	]);
}

/** Asked where a person is there; `undefined`: they left. */
async function askLanguage({
	yes = false,
	json = false,
}: InitCommandOptions): Promise<Language | undefined> {
	const isPerson =
		process.stdin.isTTY === true && process.stdout.isTTY === true;
	if (yes || json || !isPerson) return "ts";
	const { isCancel, select } = await import("@clack/prompts");
	const answer = await select<Language>({
		message: "Which language?",
		options: [
			{ value: "ts", label: "TypeScript" },
			{ value: "js", label: "JavaScript" },
		],
	});
	return isCancel(answer) ? undefined : answer;
}
