import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, open, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join, relative, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { UsageError } from "../failure.ts";
import { fileError, standardInput } from "./source.ts";

export type Format = "json" | "jsonl" | "yaml" | "csv" | "markdown";

/** A file to load: what the user calls it, and where its bytes are. */
export interface InputFile {
	readonly name: string;
	readonly path: string;
	readonly format: Format;
}

/** Input files, and a way to remove what was written to read them. */
export interface InputFiles {
	readonly files: readonly InputFile[];
	remove(): Promise<void>;
}

const formats: Readonly<Record<string, Format>> = {
	".json": "json",
	".jsonl": "jsonl",
	".ndjson": "jsonl",
	".yaml": "yaml",
	".yml": "yaml",
	".csv": "csv",
	".md": "markdown",
	".markdown": "markdown",
};

/** Standard input on the command line. */
export const hyphen = "-";

/**
 * Finds the files and their formats. Rows are read twice, to check them and to
 * load them, so standard input and pipes are copied to a temporary file first.
 */
export async function findInput(
	names: readonly string[],
	format: Format | undefined,
): Promise<InputFiles> {
	if (names.filter((name) => name === hyphen).length > 1)
		throw new UsageError("standard input (-) can be read only once");
	const copies: string[] = [];
	const remove = async () => {
		for (const folder of copies)
			await rm(folder, { recursive: true, force: true });
	};
	try {
		const files: InputFile[] = [];
		for (const name of await withFolders(names)) {
			const isStream = name === hyphen || (await isPipe(name));
			const path = isStream ? await copyOf(name, copies) : name;
			const label = name === hyphen ? standardInput : name;
			files.push({
				name: label,
				path,
				format: format ?? (await formatOf(label, path, isStream)),
			});
		}
		return { files, remove };
	} catch (error) {
		await remove();
		throw error;
	}
}

/** With the files of each folder in its place. */
export async function withFolders(names: readonly string[]): Promise<string[]> {
	const files: string[] = [];
	for (const name of names) {
		const found =
			name === hyphen ? undefined : await stat(name).catch(() => undefined);
		if (found?.isDirectory() === true) files.push(...(await filesIn(name)));
		else files.push(name);
	}
	return files;
}

/** The files of a folder, and of those in it, whose format is known by their name; in the order of their paths. */
async function filesIn(folder: string): Promise<string[]> {
	const entries = await readdir(folder, {
		recursive: true,
		withFileTypes: true,
	}).catch((cause) => {
		throw unreadable(folder, cause);
	});
	const files = entries
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name))
		.filter((path) => isTaken(relative(folder, path)))
		.sort();
	if (files.length === 0)
		throw fileError({ file: folder }, "is a folder without files to load", {
			hint: `those named ${Object.keys(formats).join(", ")} are taken, but none that is hidden or in node_modules`,
		});
	return files;
}

/** Whether a file of a folder is loaded: by its format, unless it, or a folder on the way, is hidden or `node_modules`. */
export function isTaken(path: string): boolean {
	const parts = path.split(sep);
	return (
		Object.hasOwn(formats, extname(path).toLowerCase()) &&
		!parts.some((part) => part.startsWith(".") || part === "node_modules")
	);
}

/** Whether it is a stream; nothing at all is an error. */
async function isPipe(name: string): Promise<boolean> {
	const found = await stat(name).catch((cause) => {
		throw unreadable(name, cause);
	});
	return !found.isFile();
}

async function copyOf(name: string, copies: string[]): Promise<string> {
	const folder = await mkdtemp(join(tmpdir(), "rem-load-"));
	copies.push(folder);
	const path = join(folder, "input");
	const input = name === hyphen ? process.stdin : createReadStream(name);
	await pipeline(input, createWriteStream(path, { mode: 0o600 }));
	return path;
}

async function formatOf(
	name: string,
	path: string,
	isStream: boolean,
): Promise<Format> {
	const extension = extname(name).toLowerCase();
	const known = Object.hasOwn(formats, extension)
		? formats[extension]
		: undefined;
	const found = known ?? (isStream ? await formatByContent(path) : undefined);
	if (found !== undefined) return found;
	if (isStream && (await isEmpty(path)))
		throw fileError({ file: name }, "is empty: there is nothing to load", {
			hint: "check the command before the pipe; with --format, no rows are not an error",
		});
	throw fileError(
		{ file: name },
		isStream
			? "has a format that its content does not show"
			: "has a format that is not known by its name",
		{
			hint: `files are named ${Object.keys(formats).join(", ")}; --format names the format of any other`,
		},
	);
}

async function isEmpty(path: string): Promise<boolean> {
	return (await stat(path)).size === 0;
}

const bytesToLookAt = 65_536;

/** The first line distinguishes JSON and JSON Lines, and no other format. */
async function formatByContent(path: string): Promise<Format | undefined> {
	const file = await open(path);
	try {
		const { buffer, bytesRead } = await file.read(
			Buffer.alloc(bytesToLookAt),
			0,
			bytesToLookAt,
			0,
		);
		const text = buffer.toString("utf8", 0, bytesRead).trimStart();
		if (text.startsWith("[")) return "json";
		if (!text.startsWith("{")) return undefined;
		return isJson(text.split("\n", 1)[0] ?? "") ? "jsonl" : "json";
	} finally {
		await file.close();
	}
}

export function isJson(text: string): boolean {
	try {
		JSON.parse(text);
		return true;
	} catch {
		return false;
	}
}

const reasons: Readonly<Record<string, string>> = {
	ENOENT: "there is no such file",
	EACCES: "may not be read by this user",
	EPERM: "may not be read by this user",
};

export function unreadable(name: string, cause: NodeJS.ErrnoException) {
	const reason = reasons[cause.code ?? ""] ?? `cannot be read (${cause.code})`;
	return fileError({ file: name }, reason, { hint: "check the path", cause });
}
