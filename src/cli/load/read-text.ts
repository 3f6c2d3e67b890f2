import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { TextDecoder } from "node:util";
import { fileError } from "./source.ts";

const bytesAtOnce = 1 << 20;

/** The text of a file, piece by piece; anything but UTF-8 is an error with its line. */
export async function* readText(file: string): AsyncGenerator<string> {
	const decoder = new TextDecoder("utf-8", { fatal: true });
	let line = 1;
	try {
		for await (const bytes of createReadStream(file, {
			highWaterMark: bytesAtOnce,
		})) {
			const text = decode(decoder, file, line, bytes as Buffer);
			line += text.split("\n").length - 1;
			yield text;
		}
	} catch (cause) {
		throw isSystemError(cause) ? unreadable(file, cause) : cause;
	}
	decode(decoder, file, line, undefined);
}

/** All of it at once. */
export async function readWholeText(file: string): Promise<string> {
	const pieces: string[] = [];
	for await (const piece of readText(file)) pieces.push(piece);
	return pieces.join("");
}

/** Whether it can be read, and twice: once to check, once to load. */
export async function checkFile(file: string): Promise<void> {
	const found = await stat(file).catch((cause) => {
		throw unreadable(file, cause);
	});
	if (found.isFile()) return;
	throw found.isDirectory()
		? fileError(file, undefined, "is a folder", {
				hint: `name its files, as in ${file.replace(/\/$/, "")}/*.md`,
			})
		: fileError(file, undefined, "is not a regular file", {
				hint: "a file is read twice, to check it and to load it: save it first",
			});
}

function decode(
	decoder: TextDecoder,
	file: string,
	line: number,
	bytes: Buffer | undefined,
): string {
	try {
		return decoder.decode(bytes, { stream: bytes !== undefined });
	} catch (cause) {
		const good = new TextDecoder().decode(bytes).split("\ufffd")[0] ?? "";
		throw fileError(
			file,
			line + good.split("\n").length - 1,
			"is not UTF-8 text",
			{
				hint: `convert it, as in: iconv -f latin1 -t utf-8 ${file}`,
				cause,
			},
		);
	}
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
	return error instanceof Error && "syscall" in error;
}

const reasons: Readonly<Record<string, string>> = {
	ENOENT: "there is no such file",
	EACCES: "may not be read by this user",
	EPERM: "may not be read by this user",
};

function unreadable(file: string, cause: NodeJS.ErrnoException) {
	const reason = reasons[cause.code ?? ""] ?? `cannot be read (${cause.code})`;
	return fileError(file, undefined, reason, {
		hint: "check the path",
		cause,
	});
}
