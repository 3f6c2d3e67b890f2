import { randomUUID } from "node:crypto";
import { statfs, unlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { RemError } from "../errors.ts";
import { membersOf } from "../util/present.ts";

/** Why an embedded database did not open. The engine itself does not report it: its folder is examined. */
export async function doesNotStart(
	folder: string,
	cause: unknown,
): Promise<RemError> {
	if (cause instanceof RemError) return cause;
	const { message, hint } = explain(
		codeOf(cause) ?? (await problemWith(folder)),
		folder,
	);
	return new RemError("CONNECTION_FAILED", message, { hint, cause });
}

function explain(
	code: string | undefined,
	folder: string,
): { message: string; hint: string } {
	const what = `the embedded database in ${folder} does not start`;
	switch (code) {
		case "ENOSPC":
		case "EDQUOT":
			return {
				message: `${what}: no space is left on its disk`,
				hint: "free space on the disk, or open a folder on another one; a new database needs 60 MB",
			};
		case "EROFS":
		case "EACCES":
		case "EPERM":
			return {
				message: `${what}: the folder is read-only for this user`,
				hint: "mount it writable, or let this user own it: the database also writes when it is only read",
			};
		case "ENOTDIR":
		case "EEXIST":
			return {
				message: `${what}: the path, or a part of it, is a file`,
				hint: "name a folder",
			};
		case "ENOENT":
			return {
				message: `${what}: no folder can be created there`,
				hint: "name a folder on a disk; /proc, /sys and the like take none",
			};
		default:
			return {
				message: what,
				hint: "check that it is a folder that remdb made; if its files are damaged, restore a copy",
			};
	}
}

const minFreeBytes = 32 * 2 ** 20;

/** Whether the folder, or the nearest that exists above it, takes a file. */
async function problemWith(folder: string): Promise<string | undefined> {
	const probe = join(folder, `.probe-${randomUUID()}`);
	try {
		await writeFile(probe, Buffer.alloc(8192));
		const { bavail, bsize } = await statfs(folder);
		return bavail * bsize < minFreeBytes ? "ENOSPC" : undefined;
	} catch (error) {
		const code = codeOf(error);
		const above = dirname(folder);
		return code === "ENOENT" && above !== folder ? problemWith(above) : code;
	} finally {
		await unlink(probe).catch(() => {});
	}
}

function codeOf(error: unknown): string | undefined {
	const { code } = membersOf(error);
	return typeof code === "string" ? code : undefined;
}
