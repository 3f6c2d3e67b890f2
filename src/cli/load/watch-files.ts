import { once } from "node:events";
import { stat } from "node:fs/promises";
import { relative, resolve } from "node:path";
import { type FSWatcher, watch } from "chokidar";
import type { Entity } from "../../models/entity.ts";
import { describeFailure, failureText } from "../failure.ts";
import type { Invocation } from "../options.ts";
import type { Terminal } from "../output/terminal.ts";
import { isTaken, withFolders } from "./input-file.ts";

/** The row that a file was loaded as. */
export interface FileRow {
	readonly entity: Entity;
	readonly id: string;
}

export interface WatchOptions {
	readonly terminal: Terminal;
	readonly invocation: Invocation;
	/** Loads files; returns the rows that are a file each. */
	load(files: readonly string[]): Promise<ReadonlyMap<string, FileRow>>;
	/** Deletes the row of a file that is gone. @default it is reported */
	remove?(row: FileRow): Promise<unknown>;
}

/** An editor writes a file in several steps, and several files at once. */
const quietMs = 150;

/** Loads the files, then those that change, until the command is stopped. A file that cannot be loaded is reported. */
export async function watchFiles(
	names: readonly string[],
	options: WatchOptions,
): Promise<void> {
	const { terminal, invocation } = options;
	const { signal } = invocation;
	invocation.endsBySignal = true;
	const folders = await foldersOf(names);
	const changes = new Changes();
	// From before the first load: what changes during it is loaded after it.
	const watcher = watch([...names], {
		ignoreInitial: true,
		awaitWriteFinish: { stabilityThreshold: quietMs, pollInterval: 50 },
		ignored: (path, stats) =>
			stats?.isFile() === true &&
			folders.some((folder) => isBelow(folder, path)) &&
			!folders.some((folder) => isTaken(relative(folder, resolve(path)))),
	});
	listen(watcher, changes, terminal);
	try {
		await once(watcher, "ready", { signal });
		const rows = new Map<string, FileRow>();
		await loadSafely(await existing(names, terminal), { rows, options });
		terminal.notice("watching for changes; Ctrl-C ends it");
		for (;;) {
			const { changed, removed } = await changes.next(signal);
			if (changed.length > 0) await loadSafely(changed, { rows, options });
			for (const file of removed) await removeSafely(file, { rows, options });
		}
	} catch (error) {
		if (!signal.aborted) throw error;
	} finally {
		await watcher.close();
	}
}

/** A folder may be empty as yet. */
async function existing(
	names: readonly string[],
	terminal: Terminal,
): Promise<string[]> {
	const files: string[] = [];
	for (const name of names)
		try {
			files.push(...(await withFolders([name])));
		} catch (error) {
			report(error, terminal);
		}
	return files;
}

async function foldersOf(names: readonly string[]): Promise<string[]> {
	const folders: string[] = [];
	for (const name of names)
		if ((await stat(name).catch(() => undefined))?.isDirectory())
			folders.push(resolve(name));
	return folders;
}

function isBelow(folder: string, path: string): boolean {
	const inside = relative(folder, resolve(path));
	return inside !== "" && !inside.startsWith("..");
}

function listen(
	watcher: FSWatcher,
	changes: Changes,
	terminal: Terminal,
): void {
	watcher
		.on("add", (path) => changes.note(path, "changed"))
		.on("change", (path) => changes.note(path, "changed"))
		.on("unlink", (path) => changes.note(path, "removed"))
		.on("error", (error) => report(error, terminal));
}

/** Files that changed since they were last asked for. */
class Changes {
	readonly #files = new Map<string, "changed" | "removed">();
	#wake: (() => void) | undefined;

	note(path: string, change: "changed" | "removed"): void {
		this.#files.set(path, change);
		this.#wake?.();
	}

	/** Waits for a change, then until nothing more changes for a moment; rejects when the signal is aborted. */
	async next(
		signal: AbortSignal,
	): Promise<{ changed: string[]; removed: string[] }> {
		await new Promise<void>((resolve, reject) => {
			let timer: NodeJS.Timeout | undefined;
			const stop = () => {
				clearTimeout(timer);
				reject(signal.reason);
			};
			this.#wake = () => {
				clearTimeout(timer);
				timer = setTimeout(() => {
					signal.removeEventListener("abort", stop);
					resolve();
				}, quietMs);
			};
			signal.addEventListener("abort", stop, { once: true });
			if (signal.aborted) stop();
			else if (this.#files.size > 0) this.#wake();
		});
		this.#wake = undefined;
		const of = (wanted: "changed" | "removed") =>
			[...this.#files].flatMap(([path, change]) =>
				change === wanted ? path : [],
			);
		const found = { changed: of("changed"), removed: of("removed") };
		this.#files.clear();
		return found;
	}
}

interface Watched {
	readonly rows: Map<string, FileRow>;
	readonly options: WatchOptions;
}

/** All at once; where one of them is broken, each alone, so that it stops no other. */
async function loadSafely(
	files: readonly string[],
	{ rows, options }: Watched,
): Promise<void> {
	if (files.length === 0) return;
	try {
		for (const [file, row] of await options.load(files)) rows.set(file, row);
	} catch (error) {
		if (options.invocation.signal.aborted) throw error;
		if (files.length === 1) return report(error, options.terminal);
		for (const file of files) await loadSafely([file], { rows, options });
	}
}

async function removeSafely(
	path: string,
	{ rows, options }: Watched,
): Promise<void> {
	const { terminal, remove } = options;
	const file = resolve(path);
	const row = rows.get(file);
	rows.delete(file);
	// A file that was moved is the same row under another path.
	if (row !== undefined && [...rows.values()].some(({ id }) => id === row.id))
		return;
	if (row === undefined || remove === undefined) {
		const advice =
			row === undefined ? "" : "; --delete-removed soft-deletes it";
		terminal.warn(`${path} is removed: its rows stay${advice}`);
		return;
	}
	try {
		await remove(row);
		terminal.print([`${path} is removed: its row is soft-deleted`]);
	} catch (error) {
		report(error, terminal);
	}
}

function report(error: unknown, terminal: Terminal): void {
	const failure = describeFailure(error, "rem load");
	const lines = terminal.isJson
		? [failureText(failure, true).trimEnd()]
		: failure.lines;
	for (const line of lines) terminal.warn(line);
}
