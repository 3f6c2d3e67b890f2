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
	/** Rules of the lint that do not hold for it. */
	readonly ignoredRules: readonly string[];
}

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
		throw new RemError("VALIDATION", `"${name}" is no name of a migration`, {
			hint: "names begin with a number, which says their order: 0001_add_rating.sql",
		});
	const directives = [...text.matchAll(/^--[ \t]*rem:(.*)$/gm)].map(
		([, directive = ""]) => directive.trim(),
	);
	for (const directive of directives) checkDirective(name, directive);
	return {
		name,
		text,
		sha256: sha256(text),
		isTransaction: !directives.includes("no-transaction"),
		ignoredRules: directives.flatMap((directive) =>
			directive.startsWith("ignore ")
				? directive.slice("ignore ".length).split(/[\s,]+/)
				: [],
		),
	};
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

/** A misspelt one would be a comment, and nobody would know. */
function checkDirective(name: string, directive: string): void {
	if (directive === "no-transaction" || /^ignore \S/.test(directive)) return;
	throw new RemError(
		"VALIDATION",
		`${name}: "-- rem: ${directive}" means nothing`,
		{ hint: "expected -- rem: no-transaction or -- rem: ignore RULE" },
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
