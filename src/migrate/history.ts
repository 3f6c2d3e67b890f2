import { RemError } from "../errors.ts";
import type { Ledger, LedgerEntry } from "./ledger.ts";
import { compareNames, type MigrationFile } from "./migration-file.ts";

/** A file of the user's as the ledger and the folder know it. */
export interface FileStatus {
	readonly name: string;
	/**
	 * `edited`, `missing` and `out of order` are refused until you decide;
	 * `interrupted` continues where it stopped.
	 */
	readonly state:
		| "applied"
		| "pending"
		| "interrupted"
		| "edited"
		| "missing"
		| "out of order";
	readonly entry: LedgerEntry | undefined;
	readonly file: MigrationFile | undefined;
}

export const filePrefix = "file:";

/** Every file there is or was, in order. */
export function fileHistory(
	files: readonly MigrationFile[],
	ledger: Ledger,
): FileStatus[] {
	const inFolder = new Map(files.map((file) => [file.name, file]));
	const inLedger = new Map(
		[...ledger.values()]
			.filter(({ name }) => name.startsWith(filePrefix))
			.map((entry) => [entry.name.slice(filePrefix.length), entry]),
	);
	const last = [...inLedger.keys()].sort(compareNames).at(-1);
	const names = new Set([...inFolder.keys(), ...inLedger.keys()]);
	return [...names].sort(compareNames).map((name) => {
		const status = {
			name,
			file: inFolder.get(name),
			entry: inLedger.get(name),
		};
		return { ...status, state: stateOf(status, last) };
	});
}

function stateOf(
	{ name, file, entry }: Omit<FileStatus, "state">,
	last: string | undefined,
): FileStatus["state"] {
	if (entry === undefined)
		return last !== undefined && compareNames(name, last) < 0
			? "out of order"
			: "pending";
	if (file === undefined) return "missing";
	if (entry.durationMs === null) return "interrupted";
	return entry.sha256 === file.sha256 ? "applied" : "edited";
}

/** Refuses a history that two databases would read differently. */
export function checkHistory(history: readonly FileStatus[]): void {
	const problems = history.flatMap(({ name, state }) => {
		switch (state) {
			case "edited":
				return `${name} was edited after it was applied`;
			case "missing":
				return `${name} was applied and is not in the folder`;
			case "out of order":
				return `${name} comes before files that are applied already`;
			default:
				return [];
		}
	});
	if (problems.length === 0) return;
	throw new RemError("MIGRATION_FAILED", problems.join("; "), {
		hint: "restore the file as it was, or give a late one the next number; `rem migrate repair` accepts files that were edited or removed on purpose",
		issues: problems.map((message) => ({ message })),
	});
}
