import { type Command, InvalidArgumentError, Option } from "commander";
import { environmentSchema } from "../config.ts";
import type { Consistency } from "../index.ts";
import type { OutputOptions } from "./output/terminal.ts";

/** Options of every command that opens the database. */
export interface DatabaseOptions extends OutputOptions {
	readonly url?: string;
	readonly models?: string;
}

/** Of every command that reads or writes rows. */
export interface ScopeOptions extends DatabaseOptions {
	readonly tenant?: string;
	readonly user?: string;
}

/** Of every command that only reads rows. */
export interface ReadScopeOptions extends ScopeOptions {
	readonly consistency?: Consistency;
}

export function addReadOptions(command: Command): Command {
	return addScopeOptions(command).addOption(
		new Option(
			"--consistency <who>",
			"who may answer: the replica of POSTGRES__READ_HOST, too, or only the primary",
		).choices(["primary", "replica"] satisfies Consistency[]),
	);
}

export function addScopeOptions(command: Command): Command {
	return addDatabaseOptions(command)
		.option("-T, --tenant <name>", "tenant of the rows")
		.option(
			"-u, --user <name>",
			"user of the rows; finding includes shared rows",
		);
}

export function addDatabaseOptions(command: Command): Command {
	const url =
		"the database: postgresql://user:password@host/name, file:FOLDER or memory:";
	return addModelsOption(command.option("-d, --url <url>", url));
}

const modelsOfAnyCommand =
	"file or folder, not stdin, of modules that export your models (default: that of MODELS__PATH, or the built-in ones)";

export function addModelsOption(
	command: Command,
	description: string = modelsOfAnyCommand,
): Command {
	return addOutputOptions(command.option("-m, --models <path>", description));
}

export function addOutputOptions(command: Command): Command {
	return command
		.option("-j, --json", "results, and errors, as JSON")
		.option("-q, --quiet", "no notices and no progress on stderr");
}

export function limitOption(defaultLimit: number, maximum = 10_000): Option {
	return new Option("-n, --limit <n>", "maximum number of results")
		.argParser(wholeNumber(1, maximum))
		.default(defaultLimit);
}

export function similarityOption(flags: string, description: string): Option {
	return new Option(flags, description).argParser((text) => {
		const value = Number(text);
		if (text.trim() !== "" && value >= -1 && value <= 1) return value;
		throw new InvalidArgumentError("Expected a number from -1 to 1.");
	});
}

/** Weights of the lists of a hybrid search: `vector=0.5,text=1`. */
export function weightsOption(): Option {
	return new Option(
		"--weights <list>",
		"how much each list of a hybrid search counts, such as vector=0.5,text=1,name=0",
	).argParser((text) => {
		const weights: Record<string, number> = {};
		for (const part of text.split(",")) {
			const [, name, value] =
				/^\s*(vector|text|name)\s*=\s*(\d+(?:\.\d+)?)\s*$/.exec(part) ?? [];
			if (name === undefined)
				throw new InvalidArgumentError(
					"Expected weights of vector, text and name, such as vector=0.5,text=1.",
				);
			weights[name] = Number(value);
		}
		return weights;
	});
}

export function wholeNumber(minimum: number, maximum: number) {
	return (text: string): number => {
		const value = Number(text);
		if (/^\d+$/.test(text) && value >= minimum && value <= maximum)
			return value;
		throw new InvalidArgumentError(
			`Expected a whole number from ${minimum} to ${maximum}.`,
		);
	};
}

/** Examples and the environment variables a command listens to, below its help. */
export function addHelp(
	command: Command,
	examples: readonly string[],
	variables: readonly (keyof typeof environmentSchema.shape)[] = [],
): Command {
	const shown = [
		"",
		"Examples:",
		...examples.map((example) => `  $ ${example}`),
		...(variables.length === 0 ? [] : ["", "Environment:"]),
		...variables.flatMap(variableHelp),
	];
	return command.addHelpText("after", shown.join("\n"));
}

function variableHelp(name: keyof typeof environmentSchema.shape): string[] {
	const { description = "" } = environmentSchema.shape[name].meta() ?? {};
	return [`  ${name}`, `      ${description}`];
}

/** Tenant and user as the service's calls take them. */
export function scopeOf({ tenant, user }: ScopeOptions) {
	return {
		...(tenant === undefined ? {} : { tenantId: tenant }),
		...(user === undefined ? {} : { userId: user }),
	};
}

/** The same, and who may answer, as the service's reads take them. */
export function readScopeOf({ consistency, ...scope }: ReadScopeOptions) {
	return {
		...scopeOf(scope),
		...(consistency === undefined ? {} : { consistency }),
	};
}

/** One run of the program. */
export interface Invocation {
	/** Aborted by SIGINT or SIGTERM; what can stop half way listens to it. */
	readonly signal: AbortSignal;
	/** How to start this program again, for examples: `rem`. */
	readonly program: string;
	/** Set by commands whose answer is an exit code. */
	exitCode: number;
	/** A signal is how the command ends, and no failure: set by what runs until it is stopped. */
	endsBySignal: boolean;
}

export interface MigrateCommandOptions extends DatabaseOptions {
	readonly migrations?: string;
	readonly to?: string;
	readonly dryRun?: boolean;
	readonly targetUrl?: string;
	readonly lockTimeout?: number;
}

/** Of every command on a migrated database. */
export function addMigrationOptions(command: Command): Command {
	return addDatabaseOptions(command)
		.option(
			"--migrations <folder>",
			"your own .sql files, applied once each in the order of their numbers",
		)
		.option(
			"--target-url <url>",
			"connect to this address instead of --url: as the owner, past a pooler, where the application's own is neither",
		);
}

/** With the address to migrate over. */
export function onTarget<T extends MigrateCommandOptions>(options: T): T {
	const { targetUrl } = options;
	return targetUrl === undefined ? options : { ...options, url: targetUrl };
}
