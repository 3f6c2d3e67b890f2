import { createReadStream } from "node:fs";
import { TextDecoder } from "node:util";
import { type InputFile, unreadable } from "./input-file.ts";
import { fileError, shellArgument } from "./source.ts";

const bytesAtOnce = 1 << 20;

/** The text of a file, piece by piece; anything but UTF-8 is an error with its line. */
export async function* readText(file: InputFile): AsyncGenerator<string> {
	const decoder = new TextDecoder("utf-8", { fatal: true });
	let line = 1;
	let isFirst = true;
	try {
		for await (const bytes of createReadStream(file.path, {
			highWaterMark: bytesAtOnce,
		})) {
			if (isFirst) checkEncoding(file.name, bytes);
			isFirst = false;
			const text = decode(decoder, bytes, { file: file.name, line });
			line += lineEnds(text);
			yield text;
		}
	} catch (cause) {
		throw isSystemError(cause) ? unreadable(file.name, cause) : cause;
	}
	decode(decoder, undefined, { file: file.name, line });
}

/** All of it at once. */
export async function readWholeText(file: InputFile): Promise<string> {
	const pieces: string[] = [];
	for await (const piece of readText(file)) pieces.push(piece);
	return pieces.join("");
}

/** Spreadsheets and Windows shells write UTF-16, which can be valid UTF-8 full of NULs. */
function checkEncoding(name: string, bytes: Buffer): void {
	const start = bytes.subarray(0, 4).toString("hex");
	if (start.startsWith("1f8b"))
		throw fileError({ file: name }, "is compressed (gzip)", {
			hint: `unpack it first, as in: gunzip -c ${shellArgument(name)} | rem load - --format FORMAT`,
		});
	if (start === "504b0304")
		throw fileError({ file: name }, "is a ZIP archive or an Excel workbook", {
			hint: "unpack it, or save the sheet as comma-separated values",
		});
	const encoding = wideEncoding(bytes);
	if (encoding === undefined) return;
	throw fileError(
		{ file: name, line: 1 },
		`is ${encoding.toUpperCase()} text, not UTF-8`,
		{
			hint: `convert it, as in: iconv -f ${encoding} -t utf-8 ${shellArgument(name)}`,
		},
	);
}

/** By the byte order mark, or by where the NULs of the first characters are. */
function wideEncoding(bytes: Buffer): string | undefined {
	const start = bytes.subarray(0, 4).toString("hex");
	if (start === "fffe0000" || start === "0000feff") return "utf-32";
	if (start.startsWith("fffe") || start.startsWith("feff")) return "utf-16";
	const sample = bytes.subarray(0, 512);
	const nuls = [0, 0];
	for (const [at, byte] of sample.entries())
		if (byte === 0) nuls[at % 2] = (nuls[at % 2] ?? 0) + 1;
	const [even = 0, odd = 0] = nuls;
	// Half of Latin text is NULs; of other scripts, only spaces and punctuation have one.
	const enough = isUtf8(sample) ? sample.length / 8 : 0;
	if (odd > enough && even === 0) return "utf-16le";
	if (even > enough && odd === 0) return "utf-16be";
	return undefined;
}

/** Whether it may be the beginning of a text in UTF-8. */
function isUtf8(bytes: Buffer): boolean {
	try {
		new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
		return true;
	} catch {
		return false;
	}
}

function decode(
	decoder: TextDecoder,
	bytes: Buffer | undefined,
	{ file, line }: { readonly file: string; readonly line: number },
): string {
	try {
		return decoder.decode(bytes, { stream: bytes !== undefined });
	} catch (cause) {
		const good = new TextDecoder().decode(bytes).split("\ufffd")[0] ?? "";
		throw fileError(
			{ file, line: line + lineEnds(good) },
			"is not UTF-8 text",
			{
				hint: `convert it, as in: iconv -f latin1 -t utf-8 ${shellArgument(file)}; where other lines are UTF-8, correct this line alone`,
				cause,
			},
		);
	}
}

/** One that two pieces share is counted twice at most. */
function lineEnds(text: string): number {
	return text.split(/\r\n|\n|\r/).length - 1;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
	return error instanceof Error && "syscall" in error;
}
