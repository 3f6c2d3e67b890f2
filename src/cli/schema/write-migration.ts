import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { RemError } from "../../errors.ts";
import type { Difference } from "../../migrate/diff/difference.ts";
import { renderMigration } from "../../migrate/diff/render.ts";
import {
	type MigrationFile,
	numberOf,
	readMigrationFiles,
} from "../../migrate/migration-file.ts";
import { membersOf } from "../../util/present.ts";
import { UsageError } from "../failure.ts";

export interface WriteOptions {
	readonly name: string;
	readonly folder: string;
	/** Names of its files that are not applied yet. */
	readonly pending: readonly string[];
	readonly includeDangerous: boolean;
}

/** Refuses to write what waits in a file already: applied twice, the second would fail. */
function refuseSame(
	waiting: readonly MigrationFile[],
	files: readonly { readonly text: string }[],
): void {
	const undecided = waiting.find(
		({ undecidedLine }) => undecidedLine !== undefined,
	);
	if (undecided !== undefined)
		throw new RemError(
			"VALIDATION",
			`${undecided.name}, line ${undecided.undecidedLine}: a dangerous statement is not decided on; nothing was written`,
			{
				hint: "decide on it and run `rem migrate`, or delete the file, and write again",
			},
		);
	const same = waiting.find((file) =>
		files.some(({ text }) => text === file.text),
	);
	if (same !== undefined)
		throw new RemError(
			"VALIDATION",
			`${same.name} has the same statements; nothing was written`,
			{
				hint: "run `rem migrate` with these --migrations, or delete the file, and write again",
			},
		);
}

/** Writes one file, or two where some statements cannot be in a transaction; returns their paths. */
export async function writeMigration(
	differences: readonly Difference[],
	{ name, folder, pending, includeDangerous }: WriteOptions,
): Promise<string[]> {
	if (!/^[A-Za-z0-9][\w-]*$/.test(name))
		throw new UsageError("--write takes a name of letters, digits, - and _");
	const texts = renderMigration(differences, includeDangerous);
	const files = [
		{ suffix: "", text: texts.transaction },
		{ suffix: "_online", text: texts.online },
	].filter(({ text }) => text !== "");
	try {
		await mkdir(folder, { recursive: true });
		const existing = await readMigrationFiles(folder);
		refuseSame(
			existing.filter((file) => pending.includes(file.name)),
			files,
		);
		const last = numberOf(existing.at(-1)?.name ?? "0");
		const paths: string[] = [];
		for (const [at, { suffix, text }] of files.entries()) {
			const number = `${last + BigInt(at + 1)}`.padStart(4, "0");
			const path = join(folder, `${number}_${name}${suffix}.sql`);
			await writeFile(path, text, { flag: "wx" });
			paths.push(path);
		}
		return paths;
	} catch (cause) {
		if (cause instanceof RemError) throw cause;
		const { code } = membersOf(cause);
		throw new RemError("VALIDATION", `cannot write to "${folder}" (${code})`, {
			hint: "name another folder with --migrations",
			cause,
		});
	}
}
