import { RemError } from "../../errors.ts";
import { membersOf } from "../../util/present.ts";

/** The name of standard output in messages. */
export const standardOutput = "standard output";

const reasons: Readonly<Record<string, { message: string; hint: string }>> = {
	ENOSPC: {
		message: "there is no space left on the device",
		hint: "nothing of the file remains; free some space, or name a file on another disk",
	},
	EDQUOT: {
		message: "the disk quota is used up",
		hint: "nothing of the file remains; free some space, or name a file on another disk",
	},
	ENOENT: {
		message: "there is no such folder",
		hint: "create the folder first",
	},
	EACCES: {
		message: "this user may not write there",
		hint: "name another file",
	},
	EROFS: {
		message: "the file system is read-only",
		hint: "name another file",
	},
	EPIPE: {
		message: "the program that reads it has ended",
		hint: "the output is incomplete; write it to a file",
	},
};

/** Why nothing could be written, in the system's terms. */
export function unwritable(name: string, cause: unknown): RemError {
	const code = String(membersOf(cause).code);
	const { message, hint } = reasons[code] ?? {
		message: code,
		hint: "name another file",
	};
	const isStdout = name === standardOutput;
	return new RemError(
		"VALIDATION",
		`cannot write ${isStdout ? name : `"${name}"`}: ${message}`,
		{
			hint:
				isStdout && code === "ENOSPC"
					? "the output is incomplete; free some space, or write it to another disk"
					: hint,
			cause,
		},
	);
}
