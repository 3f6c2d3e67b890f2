import { posix } from "node:path";
import type { Extension } from "@electric-sql/pglite";
import { membersOf } from "../util/present.ts";

/** The file system that Emscripten gives PostgreSQL's program, in memory or a folder of the machine. */
interface EngineFs {
	readonly root: FsNode;
	lookupPath(path: string, options?: LookupOptions): Found;
	/** Throws where the folder has nothing of that name. */
	lookupNode(folder: FsNode, name: string): FsNode;
	isLink(mode: number): boolean;
}

/** Its own names. */
interface LookupOptions {
	/** The folder of what the path names. */
	readonly parent?: boolean;
	readonly follow?: boolean;
	/** @default true */
	readonly follow_mount?: boolean;
	readonly noent_okay?: boolean;
}

interface Found {
	readonly path: string;
	/** `undefined`: there is nothing, and the caller takes that. */
	readonly node?: FsNode;
}

interface FsNode extends FsFolder {
	readonly mode: number;
	/** What is mounted there, if anything is. */
	readonly mounted: { readonly root: FsNode } | null | undefined;
}

interface FsFolder {
	readonly node_ops: {
		mknod(parent: FsFolder, name: string, mode: number, device: 0): FsFile;
	};
}

interface FsFile {
	contents: Uint8Array;
	usedBytes: number;
}

type CreateFile = (path: string, content: Uint8Array) => void;

/** A regular file that its owner, the only user there is, may do anything with. */
const mode = 0o100777;

/**
 * Creates files one after the other: each folder is looked up once, where
 * Emscripten's own call looks up the path of each file three times and opens it. The
 * content becomes the file's own.
 */
export function fileCreator(fs: unknown): CreateFile {
	const folders = new Map<string, FsFolder>();
	return (path, content) => {
		const name = posix.dirname(path);
		const folder = folders.get(name) ?? lookedUp(fs as EngineFs, name);
		folders.set(name, folder);
		const base = posix.basename(path);
		const file = folder.node_ops.mknod(folder, base, mode, 0);
		file.contents = content;
		file.usedBytes = content.length;
	};
}

function lookedUp(fs: EngineFs, path: string): FsFolder {
	const { node } = fs.lookupPath(path);
	if (node === undefined) throw new Error(`${path} is missing`);
	return node;
}

/**
 * Looks up absolute paths without links, as all of PostgreSQL's are, step by step:
 * Emscripten's own function makes a normalised path of each step. A first migration
 * looks up 2,000 paths of five steps.
 */
function lookUpFast(fs: EngineFs): void {
	const lookupPath = fs.lookupPath.bind(fs);
	fs.lookupPath = (path, options = {}) =>
		walk(fs, path, options) ?? lookupPath(path, options);
}

/** `undefined`: the path is not as simple as that. */
function walk(
	fs: EngineFs,
	path: string,
	options: LookupOptions,
): Found | undefined {
	const { parent = false, follow = false, follow_mount = true } = options;
	if (!isPlain(path)) return undefined;
	const names = path.slice(1).split("/");
	const last = names.length - 1;
	let node = fs.root;
	for (let at = 0; at <= last; at++) {
		const isLast = at === last;
		if (isLast && parent)
			return { path: path.slice(0, path.lastIndexOf("/")) || "/", node };
		try {
			node = fs.lookupNode(node, names[at] as string);
		} catch (error) {
			const isMissing = membersOf(error).errno === missing;
			if (isMissing && isLast && options.noent_okay === true) return { path };
			throw error;
		}
		if (!isLast || follow_mount) node = node.mounted?.root ?? node;
		if (fs.isLink(node.mode) && (!isLast || follow)) return undefined;
	}
	return { path, node };
}

function isPlain(path: string | undefined): path is string {
	return (
		path?.startsWith("/") === true &&
		!path.endsWith("/") &&
		!path.includes("//") &&
		!path.includes("/.")
	);
}

/** Emscripten's number for ENOENT. */
const missing = 44;

/**
 * PGlite's module creates 700 files when it starts, most of them time zones: with
 * Emscripten's own call they took a fifth of the processor time of a start.
 */
export const engineFiles: Extension = {
	name: "files",
	setup: async (_, options) => {
		const replace = (module: { FS: unknown; FS_createDataFile: unknown }) => {
			lookUpFast(module.FS as EngineFs);
			const create = fileCreator(module.FS);
			module.FS_createDataFile = (path: string, _: null, content: Uint8Array) =>
				create(path, content);
		};
		const preRun = [...(options.preRun ?? []), replace];
		return { emscriptenOpts: { ...options, preRun } };
	},
};
