import { mkdirSync, writeFileSync } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import type { MemoryFS } from "@electric-sql/pglite";

/**
 * PGlite after initdb with our extensions: booting from it takes a fraction of
 * the time. `undefined` in a CommonJS bundle, where no module knows its address.
 */
export function snapshotPath(): string | undefined {
	const here: string | undefined = import.meta.url;
	if (here === undefined) return undefined;
	return fileURLToPath(new URL("../../assets/embedded-snapshot.tar.gz", here));
}

/** The image as it is shipped; `undefined` in a checkout that was not built, and in a bundle. */
export async function readSnapshot(): Promise<Buffer | undefined> {
	const path = snapshotPath();
	if (path === undefined) return undefined;
	return readFile(path).catch(() => undefined);
}

/**
 * Unpacks the image into a folder that is not there yet. PGlite would load it
 * itself in 2.7 s; unpacked, it opens the folder like an old one: 1.1 s in all.
 * The folder appears whole or not at all.
 */
export async function unpackSnapshot(
	snapshot: Buffer,
	folder: string,
): Promise<void> {
	const draft = `${folder}.new`;
	await rm(draft, { recursive: true, force: true });
	const tar = await promisify(gunzip)(snapshot);
	const made = new Set<string>();
	try {
		for (const { path, isFolder, content } of entriesOf(tar)) {
			const target = join(draft, path);
			const parent = isFolder ? target : dirname(target);
			if (!made.has(parent)) mkdirSync(parent, { recursive: true });
			made.add(parent);
			// Hundreds of small files: each by a promise of its own took four times as long.
			if (!isFolder) writeFileSync(target, content);
		}
		await rename(draft, folder);
	} catch (error) {
		// On a full disk it would take the space that the next attempt needs.
		await rm(draft, { recursive: true, force: true });
		throw error;
	}
}

/**
 * A file system in memory that begins as the image. PGlite would load it itself
 * in 1.1 s of processor time, mostly for its reader of archives; this takes 0.3 s.
 * The unpacked archive is this database's own: its files are views of it.
 */
export async function imageInMemory(
	MemoryFs: typeof MemoryFS,
	snapshot: Buffer,
): Promise<MemoryFS> {
	const tar = await promisify(gunzip)(snapshot);
	class ImageInMemory extends MemoryFs {
		override async init(...[pglite, options]: Parameters<MemoryFS["init"]>) {
			const { emscriptenOpts } = await super.init(pglite, options);
			const unpack: PreRun = ({ FS }) => {
				for (const { path, isFolder, content } of entriesOf(tar)) {
					const target = posix.join(dataFolder, path);
					FS.mkdirTree(isFolder ? target : posix.dirname(target));
					if (isFolder) continue;
					const { buffer, byteOffset, length } = content;
					const file = new Uint8Array(buffer, byteOffset, length);
					FS.writeFile(target, file, { canOwn: true });
				}
			};
			const preRun = [...(emscriptenOpts.preRun ?? []), unpack];
			return { emscriptenOpts: { ...emscriptenOpts, preRun } };
		}
	}
	return new ImageInMemory();
}

type PreRun = NonNullable<
	Awaited<ReturnType<MemoryFS["init"]>>["emscriptenOpts"]["preRun"]
>[number];

/** Where PGlite's PostgreSQL has its data, in its own file system. */
const dataFolder = "/pglite/data";

interface TarEntry {
	readonly path: string;
	readonly isFolder: boolean;
	readonly content: Buffer;
}

const blockSize = 512;

/** The entries of a ustar archive with short names, as PGlite writes it. */
function* entriesOf(tar: Buffer): Generator<TarEntry> {
	let at = 0;
	while (at + blockSize <= tar.length && tar[at] !== 0) {
		const size = Number.parseInt(textAt(tar, at + 124, 12) || "0", 8);
		const start = at + blockSize;
		yield {
			path: join(textAt(tar, at + 345, 155), textAt(tar, at, 100)),
			isFolder: textAt(tar, at + 156, 1) === "5",
			content: tar.subarray(start, start + size),
		};
		at = start + Math.ceil(size / blockSize) * blockSize;
	}
}

/** A field of a header: text up to its first NUL. */
function textAt(tar: Buffer, start: number, length: number): string {
	return (
		tar.toString("latin1", start, start + length).split("\0")[0] ?? ""
	).trim();
}
