import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { RemError } from "../errors.ts";
import { quoted, suggest } from "../util/suggest.ts";
import { sha256 } from "./ledger.ts";

/** A migration of the user's: `0007_add_rating.sql`. */
export interface MigrationFile {
	readonly name: string;
	readonly text: string;
	readonly sha256: string;
	/** Whether its statements run one by one, outside a transaction. */
	readonly isTransaction: boolean;
	/** The first line with `-- rem: undecided`, from 1: the file is not applied before you remove it. */
	readonly undecidedLine: number | undefined;
}

/** What a comment `-- rem: …` of a file can be. */
export const directive = {
	noTransaction: "no-transaction",
	undecided: "undecided",
} as const;

/** The folder's migrations, in the order of their numbers. */
export async function readMigrationFiles(
	folder: string,
): Promise<MigrationFile[]> {
	const names = await sqlFilesOf(folder);
	const files = await Promise.all(
		names.map(async (name) =>
			toMigrationFile(name, await readFile(join(folder, name), "utf8")),
		),
	);
	return files.sort((a, b) => compareNames(a.name, b.name));
}

export function toMigrationFile(name: string, text: string): MigrationFile {
	if (!/^\d+.*\.sql$/.test(name))
		throw new RemError("VALIDATION", `"${name}" is not a name of a migration`, {
			hint: "names begin with a number, which gives their order: 0001_add_rating.sql",
		});
	const directives = text
		.split("\n")
		.flatMap((line) => directivePattern.exec(line)?.[1]?.trim() ?? []);
	for (const given of directives) checkDirective(name, given);
	return {
		name,
		text,
		sha256: sha256(text),
		isTransaction: !directives.includes(directive.noTransaction),
		undecidedLine: lineOf(text, directive.undecided),
	};
}

const directivePattern = /^--[ \t]*rem:(.*)$/;

function lineOf(text: string, wanted: string): number | undefined {
	const at = text
		.split("\n")
		.findIndex((line) => directivePattern.exec(line)?.[1]?.trim() === wanted);
	return at < 0 ? undefined : at + 1;
}

/** A statement that was written for a person to decide on is neither run nor skipped silently. */
export function refuseUndecided(files: readonly MigrationFile[]): void {
	for (const { name, undecidedLine } of files)
		if (undecidedLine !== undefined)
			throw new RemError(
				"MIGRATION_FAILED",
				`${name}, line ${undecidedLine}: a dangerous statement is not decided on`,
				{
					hint: "uncomment its statements or delete them, remove the line `-- rem: undecided`, and migrate again; no file was applied",
				},
			);
}

/** By number, however many digits it has, then by name. */
export function compareNames(a: string, b: string): number {
	const difference = numberOf(a) - numberOf(b);
	if (difference !== 0n) return difference < 0n ? -1 : 1;
	return a < b ? -1 : a > b ? 1 : 0;
}

export function numberOf(name: string): bigint {
	const [digits = "0"] = /^\d+/.exec(name) ?? [];
	return BigInt(digits);
}

async function sqlFilesOf(folder: string): Promise<string[]> {
	try {
		return (await readdir(folder)).filter((name) => name.endsWith(".sql"));
	} catch (cause) {
		throw new RemError("VALIDATION", `cannot read migrations in "${folder}"`, {
			hint: "name a folder of .sql files",
			cause,
		});
	}
}

/** A misspelled one would be a comment without effect. */
function checkDirective(name: string, given: string): void {
	const known: readonly string[] = Object.values(directive);
	if (known.includes(given)) return;
	throw new RemError(
		"VALIDATION",
		`${name}: "-- rem: ${given}" means nothing`,
		{
			hint: `expected ${known.map((one) => `-- rem: ${one}`).join(" or ")}`,
		},
	);
}

/** A target that does not exist would be everything. */
export function checkTarget(to: string, files: readonly MigrationFile[]): void {
	if (files.some(({ name }) => name === to)) return;
	throw new RemError("VALIDATION", `there is no migration ${quoted(to)}`, {
		hint:
			suggest(
				to,
				files.map(({ name }) => name),
			) ?? "name a file of the folder of migrations",
	});
}
