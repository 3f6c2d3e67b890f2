import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
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
const hyphen = "-";

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
		for (const name of names) {
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

/** Whether it is a stream; a folder, or nothing at all, is an error. */
async function isPipe(name: string): Promise<boolean> {
	const found = await stat(name).catch((cause) => {
		throw unreadable(name, cause);
	});
	if (found.isDirectory())
		throw fileError({ file: name }, "is a folder", {
			hint: `name its files, as in ${name.replace(/\/$/, "")}/*.md`,
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
