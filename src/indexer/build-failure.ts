import { RemError } from "../errors.ts";
import type { DeclaredIndex } from "../schema/index-types.ts";

/** What is to be done about a build that failed. */
export interface BuildFailure {
	/** Whether another attempt may end otherwise. */
	readonly isTransient: boolean;
	/** Whether parallel workers took more memory than there is: the next attempt does without. */
	readonly lacksMemory: boolean;
	/**
	 * Whether it met another command on the table, an ANALYZE or VACUUM of the
	 * user's: that is no attempt, and it is built once the command has ended.
	 */
	readonly isConflict: boolean;
	readonly message: string;
	readonly sqlState: string | undefined;
}

// Classes of SQLSTATE that come back with every attempt: features, data,
// constraints, syntax and names, limits, and what the server has not installed.
const permanentClasses = new Set(["0A", "22", "23", "25", "42", "54"]);
const undefinedFile = "58P01";
/** Insufficient privilege: of one role, and not of the index. */
export const notPermitted = "42501";
const duplicateTable = "42P07";
const deadlock = "40P01";

/** What a failure means, by its SQLSTATE. */
export function judgeFailure(error: unknown): BuildFailure {
	const { message, sqlState } =
		error instanceof RemError
			? error
			: new RemError(
					"DATABASE",
					error instanceof Error ? error.message : String(error),
				);
	const isPermanent =
		sqlState !== undefined &&
		// Another client created one of this name: the next check compares it.
		sqlState !== duplicateTable &&
		(permanentClasses.has(sqlState.slice(0, 2)) || sqlState === undefinedFile);
	return {
		isTransient: !isPermanent,
		isConflict: sqlState === deadlock,
		lacksMemory: sqlState === "53100" || sqlState === "53200",
		message,
		sqlState,
	};
}

/** The error of an index that waits for another role to build it. */
export function leftToOwner(
	index: Pick<DeclaredIndex, "name" | "tableName">,
	owner: string,
): RemError {
	return indexFailed(
		index,
		{
			message: `the table belongs to role "${owner}", and only its owner may build indexes`,
			sqlState: notPermitted,
		},
		0,
	);
}

/** The error of an index that will not be built without a change. */
export function indexFailed(
	{ name, tableName }: Pick<DeclaredIndex, "name" | "tableName">,
	{ message, sqlState }: Pick<BuildFailure, "message" | "sqlState">,
	attempts: number,
): RemError {
	const tries = attempts > 1 ? ` after ${attempts} attempts` : "";
	return new RemError(
		"INDEX_FAILED",
		`index "${name}" on "${tableName}" is not built${tries}: ${message}`,
		{
			hint: hintFor(sqlState),
			...(sqlState === undefined ? {} : { sqlState }),
		},
	);
}

function hintFor(sqlState: string | undefined): string {
	switch (sqlState) {
		case "54000":
			return "searches stay exact; set EMBEDDING__DIMENSIONS to 4000 or fewer where the model allows";
		case "25006":
			return "the server is read-only: connect to the primary";
		case "0A000":
		case "42704":
		case undefinedFile:
			return "an extension is missing: install postgresql-18-pgvector and postgresql-contrib on the server, then run `rem migrate` and `rem index build`";
		case notPermitted:
			return "it stays queued for a worker of the table's owner: run `rem worker` or `rem index build` as that role";
		case "23505":
			return "rows have the same values: correct them, then run `rem index build`";
		case "53100":
		case "53200":
			return "give the server more disk or /dev/shm, or lower BACKGROUND_INDEX__MEMORY_MB, then run `rem index build`";
		case "55P03":
			return "a transaction stayed open for longer than BACKGROUND_INDEX__LOCK_TIMEOUT_S: end it (`rem index status` names it), then run `rem index build`";
		default:
			return "remove the cause, then run `rem index build`";
	}
}
