import { once } from "node:events";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { RemError } from "../../errors.ts";
import { hyphen } from "../load/input-file.ts";
import { standardOutput, unwritable } from "../output/unwritable.ts";

/** Where the text of an export goes. */
export interface Output {
	write(text: string): Promise<void>;
}

/**
 * Writes a file as a whole or not at all: under another name beside it, which is
 * removed where anything goes wrong, and takes the file's place when all of it
 * is on the disk. A pipe or a device has no such place: it is written to at once.
 */
export async function writeWhole<T>(
	name: string,
	work: (output: Output) => Promise<T>,
): Promise<T> {
	if (name === hyphen) return work({ write: writeStdout });
	if (await isSpecial(name)) {
		const file = await opened(name, name, "w");
		try {
			return await work({ write: (text) => appended(file, name, text) });
		} finally {
			await file.close();
		}
	}
	const draft = join(dirname(name), `.${basename(name)}.${process.pid}.tmp`);
	const file = await opened(draft, name, "wx");
	try {
		let result: T;
		try {
			result = await work({ write: (text) => appended(file, name, text) });
			await file.sync().catch((cause) => {
				throw unwritable(name, cause);
			});
		} finally {
			await file.close();
		}
		await rename(draft, name).catch((cause) => {
			throw unwritable(name, cause);
		});
		await syncFolder(dirname(name));
		return result;
	} catch (error) {
		await rm(draft, { force: true });
		throw error;
	}
}

async function isSpecial(name: string): Promise<boolean> {
	const found = await stat(name).catch(() => undefined);
	if (found?.isDirectory())
		throw new RemError("VALIDATION", `cannot write "${name}": it is a folder`, {
			hint: `name a file in it, as in ${join(name, "rows.jsonl")}`,
		});
	return found !== undefined && !found.isFile();
}

async function opened(
	path: string,
	name: string,
	flags: "w" | "wx",
): Promise<FileHandle> {
	try {
		return await open(path, flags);
	} catch (cause) {
		throw unwritable(name, cause);
	}
}

async function appended(
	file: FileHandle,
	name: string,
	text: string,
): Promise<void> {
	try {
		await file.appendFile(text);
	} catch (cause) {
		throw unwritable(name, cause);
	}
}

/** The file's new name, too, is to survive a power failure; not every system can. */
async function syncFolder(folder: string): Promise<void> {
	const handle = await open(folder, "r").catch(() => undefined);
	try {
		await handle?.sync();
	} catch {
		// Windows and some file systems refuse it for folders.
	} finally {
		await handle?.close();
	}
}

/** Waits while the reader of a pipe is slow; a reader that is gone ends the export. */
async function writeStdout(text: string): Promise<void> {
	const { stdout } = process;
	await new Promise<void>((resolve, reject) => {
		stdout.write(text, (cause) =>
			cause ? reject(unwritable(standardOutput, cause)) : resolve(),
		);
	});
	if (stdout.writableNeedDrain) await once(stdout, "drain");
}
