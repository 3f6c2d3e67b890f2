import { Argument, type Command, type Option } from "commander";
import { modelsOf } from "../open-service.ts";
import { addHelp } from "../options.ts";
import { Terminal } from "../output/terminal.ts";

/** `rem completion bash|zsh|fish` */
export function addCompletion(program: Command): void {
	const command = program
		.command("completion")
		.helpGroup("Maintain:")
		.summary("print what completes commands, options and tables in a shell")
		.description(
			"Prints a script for the shell. It asks the program itself for what fits: commands, options and their values, and the tables of the models.",
		)
		.addArgument(
			new Argument("<shell>", "the shell").choices([...shells, "words"]),
		)
		.argument("[words...]", "for `words`: the command line so far")
		.action(async (shell: string, words: readonly string[]) => {
			const terminal = new Terminal({});
			if (shell !== "words") terminal.raw(scripts[shell as Shell]);
			else
				for (const word of await fitting(program, words))
					terminal.raw(`${word}\n`);
		});
	addHelp(command, [
		"rem completion bash >> ~/.bashrc",
		'rem completion zsh > "$HOME/.zfunc/_rem"',
		"rem completion fish > ~/.config/fish/completions/rem.fish",
	]);
}

const shells = ["bash", "zsh", "fish"] as const;
type Shell = (typeof shells)[number];

const scripts: Readonly<Record<Shell, string>> = {
	bash: `_rem_completion() {
  local IFS=$'\\n' current="\${COMP_WORDS[COMP_CWORD]}"
  COMPREPLY=($(compgen -W "$("\${COMP_WORDS[0]}" completion words -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "$current"))
}
complete -o default -F _rem_completion rem remdb
`,
	zsh: `#compdef rem remdb
_rem() {
  local -a found
  found=("\${(@f)$("\${words[1]}" completion words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "$found" ]]; then compadd -- "\${found[@]}"; else _files; fi
}
if [ "$funcstack[1]" = "_rem" ]; then _rem; else compdef _rem rem remdb; fi
`,
	fish: `for program in rem remdb
  complete -c $program -a '(set -l line (commandline -opc); $line[1] completion words -- $line[2..-1] (commandline -ct) 2>/dev/null)'
end
`,
};

/** What may stand in the place of the last word. */
async function fitting(
	program: Command,
	words: readonly string[],
): Promise<string[]> {
	const before = words.slice(0, -1);
	const last = words.at(-1) ?? "";
	const { command, places } = commandOf(program, before);
	const option = optionNamed(command, before.at(-1));
	const candidates =
		option !== undefined && (option.required || option.optional)
			? await valuesOf(option, before)
			: last.startsWith("-")
				? command.options.flatMap(({ long, short }) => [long, short])
				: command.commands.length > 0
					? command.commands.map((sub) => sub.name())
					: await argumentsOf(command, places, before);
	return candidates.flatMap((word) => (word?.startsWith(last) ? [word] : []));
}

/** The command of the words, and how many arguments it has so far. */
function commandOf(
	program: Command,
	words: readonly string[],
): { readonly command: Command; readonly places: number } {
	let command = program;
	let places = 0;
	words.forEach((word, at) => {
		const sub = command.commands.find((one) => one.name() === word);
		const option = optionNamed(command, words[at - 1]);
		if (sub !== undefined) command = sub;
		else if (!word.startsWith("-") && option?.required !== true) places++;
	});
	return { command, places };
}

function optionNamed(
	command: Command,
	word: string | undefined,
): Option | undefined {
	return command.options.find(
		({ long, short }) =>
			word !== undefined && (word === long || word === short),
	);
}

async function valuesOf(
	{ argChoices, long }: Option,
	words: readonly string[],
): Promise<readonly string[]> {
	if (argChoices !== undefined) return argChoices;
	return long === "--table" || long === "--type" ? tables(words) : [];
}

async function argumentsOf(
	command: Command,
	places: number,
	words: readonly string[],
): Promise<readonly string[]> {
	const argument = command.registeredArguments[places];
	if (argument?.argChoices !== undefined)
		return argument.argChoices.filter((choice) => choice !== "words");
	return argument?.name() === "table" ? tables(words) : [];
}

/** The tables of `--models`, or the built-in ones; models that cannot be read have none. */
async function tables(words: readonly string[]): Promise<string[]> {
	const at = words.findIndex((word) => word === "--models" || word === "-m");
	const models = at < 0 ? undefined : words[at + 1];
	try {
		const entities = await modelsOf(models === undefined ? {} : { models });
		return entities.map(({ tableName }) => tableName);
	} catch {
		return []; // a shell shows nothing: the command itself reports the error
	}
}
