import { mkdirSync, writeFileSync } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { promisify } from "node:util";
import { gunzip, type ZlibOptions } from "node:zlib";
import type { MemoryFS } from "@electric-sql/pglite";
import { packageFile } from "../util/package-file.ts";
import { fileCreator } from "./engine-files.ts";

/**
 * PGlite after initdb with our extensions: booting from it takes a fraction of
 * the time. `undefined` in a bundle, which does not contain it.
 */
export function snapshotPath(): string | undefined {
	return packageFile("assets/embedded-snapshot.tar.gz");
}

/**
 * The image as an archive, unpacked in one piece: in the pieces that `gunzip` makes of
 * its own accord it would be in memory twice. `undefined` in a checkout that was not
 * built, and in a bundle.
 */
export async function readSnapshot(): Promise<Buffer | undefined> {
	const path = snapshotPath();
	if (path === undefined) return undefined;
	const packed = await readFile(path).catch(() => undefined);
	if (packed === undefined) return undefined;
	// The last four bytes of a gzip file. A piece that is full is followed by another.
	const size = packed.readUInt32LE(packed.length - 4);
	return promisify<Buffer, ZlibOptions, Buffer>(gunzip)(packed, {
		chunkSize: size + 1,
	});
}

/**
 * Writes the image into a folder that is not there yet. PGlite would load it
 * itself in 2.7 s; unpacked, it opens the folder like an old one: 1.1 s in all.
 * The folder appears whole or not at all. Without an image PGlite makes the folder.
 */
export async function unpackSnapshot(
	folder: string,
	snapshot: Buffer | undefined,
): Promise<void> {
	if (snapshot === undefined) return;
	const draft = `${folder}.new`;
	await rm(draft, { recursive: true, force: true });
	const made = new Set<string>();
	try {
		for (const { path, isFolder, content } of entriesOf(snapshot)) {
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
export function imageInMemory(
	MemoryFs: typeof MemoryFS,
	snapshot: Buffer,
): MemoryFS {
	class ImageInMemory extends MemoryFs {
		override async init(...[pglite, options]: Parameters<MemoryFS["init"]>) {
			const { emscriptenOpts } = await super.init(pglite, options);
			const unpack: PreRun = ({ FS }) => {
				const create = fileCreator(FS);
				for (const { path, isFolder, content } of entriesOf(snapshot)) {
					const target = posix.join(dataFolder, path);
					if (isFolder) {
						FS.mkdirTree(target);
						continue;
					}
					const { buffer, byteOffset, length } = content;
					create(target, new Uint8Array(buffer, byteOffset, length));
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
			path: posix.join(textAt(tar, at + 345, 155), textAt(tar, at, 100)),
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
