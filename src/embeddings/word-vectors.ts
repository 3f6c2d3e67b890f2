import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { RemError } from "../errors.ts";
import { packageFile } from "../util/package-file.ts";
import { membersOf } from "../util/present.ts";

/** Vectors of words, the most frequent first; made by scripts/word-vectors.mjs. */
export interface WordVectors {
	/** Of a vector. */
	readonly length: number;
	/** The row of a word: 0 is the most frequent. */
	readonly rows: ReadonlyMap<string, number>;
	/** What the numbers of a row are multiplied by. */
	readonly scales: Float32Array;
	/** A row after the other. */
	readonly numbers: Int8Array;
}

const fileName = "semantic-v1.bin";

/** Other vectors would be another model: those that are stored would not fit. */
const sha256 =
	"94d09d1f1442c4d5b4a299aa23d0d96cb1e8a8c674d9467e8117d9152e2d385d";

let loading: Promise<WordVectors> | undefined;

/** Read when they are first needed, once in each thread; after a failure the next call tries again. */
export function loadWordVectors(): Promise<WordVectors> {
	loading ??= readWordVectors(candidates()).catch((error: unknown) => {
		loading = undefined;
		throw error;
	});
	return loading;
}

/** The first of the files that exists. */
export async function readWordVectors(
	paths: Iterable<string>,
): Promise<WordVectors> {
	for (const path of paths) {
		const file = await contentOf(path);
		if (file === undefined) continue;
		if (createHash("sha256").update(file).digest("hex") === sha256)
			return decode(file);
		throw unusable(`${fileName} differs from the file of the package`, {
			hint: "install remdb again, or set EMBEDDING__MODEL=lexical-v1",
		});
	}
	throw unusable(`${fileName} is missing`, {
		hint: "in a bundle, copy node_modules/remdb/assets/semantic-v1.bin beside it (docs/bundling.md); else install remdb again, or set EMBEDDING__MODEL=lexical-v1",
	});
}

/**
 * In the package, beside a bundle, in the package that is installed where the
 * program runs.
 */
function* candidates(): Generator<string> {
	const here: string | undefined = import.meta.url;
	// A bundle that is CommonJS has no address, and a folder instead.
	const folder = here === undefined ? __dirname : dirname(fileURLToPath(here));
	const packaged = packageFile(`assets/${fileName}`);
	if (packaged !== undefined) yield packaged;
	// From dist/chunks, written so that tools which collect a program's files find it.
	yield join(folder, "../../assets", fileName);
	yield join(folder, fileName);
	try {
		const { resolve } = createRequire(join(process.cwd(), "/"));
		yield join(dirname(resolve("remdb/package.json")), "assets", fileName);
	} catch {
		// It is not installed there.
	}
}

async function contentOf(path: string): Promise<Buffer | undefined> {
	try {
		return await readFile(path);
	} catch (error) {
		const { code } = membersOf(error);
		if (code === "ENOENT" || code === "ENOTDIR") return undefined;
		throw unusable(`${fileName} cannot be read (${String(code)})`, {
			hint: "the process needs the right to read the files of the package",
		});
	}
}

function unusable(message: string, { hint }: { hint: string }): RemError {
	return new RemError(
		"PROVIDER_NOT_CONFIGURED",
		`the word vectors of model "semantic-v1" cannot be used: ${message}`,
		{ hint },
	);
}

/** The layout is described in scripts/word-vectors.mjs. */
function decode(file: Buffer): WordVectors {
	const count = file.readUInt32LE(0);
	const length = file.readUInt32LE(4);
	const listBytes = file.readUInt32LE(8);
	const scalesStart = 12 + listBytes;
	const numbersStart = scalesStart + 4 * count;
	const words = file.toString("utf8", 12, scalesStart).split("\n");
	// Loops: of 60,000 pairs and calls, a process that embeds little more than one text would
	// pay for 12 ms more.
	const rows = new Map<string, number>();
	for (const [row, word] of words.entries()) rows.set(word, row);
	const scales = new Float32Array(count);
	for (let row = 0; row < count; row++)
		scales[row] = file.readFloatLE(scalesStart + 4 * row);
	return {
		length,
		rows,
		scales,
		numbers: new Int8Array(
			file.buffer,
			file.byteOffset + numbersStart,
			count * length,
		),
	};
}
