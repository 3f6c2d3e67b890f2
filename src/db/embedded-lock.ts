import { randomUUID } from "node:crypto";
import {
	linkSync,
	mkdirSync,
	readFileSync,
	renameSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { RemError } from "../errors.ts";

/** A taken lock. */
export interface FolderLock {
	release(): void;
}

interface Owner {
	readonly pid: number;
	/** When the process began, in the kernel's words; tells a process from a later one with its number. */
	readonly started: string | null;
	readonly token: string;
}

/**
 * Keeps a second process, or a second open, off an embedded database's folder:
 * without it 189 acknowledged rows were lost, and nobody said a word.
 *
 * The file appears whole or not at all (written aside, then linked). A live
 * owner is never robbed, however busy; a dead one's file is moved aside first.
 */
export function lockFolder(path: string, folder: string): FolderLock {
	mkdirSync(dirname(path), { recursive: true });
	const owner: Owner = {
		pid: process.pid,
		started: startOf(process.pid),
		token: randomUUID(),
	};
	const draft = `${path}.${owner.token}`;
	writeFileSync(draft, JSON.stringify(owner));
	try {
		while (!tryLink(draft, path)) removeDeadOwner(path, folder);
	} finally {
		rmSync(draft, { force: true });
	}
	heldHere.add(owner.token);
	return {
		release() {
			heldHere.delete(owner.token);
			if (readOwner(path)?.token === owner.token) rmSync(path, { force: true });
		},
	};
}

// Tells a lock of this process from one that an earlier process with the same
// pid left behind, as happens in containers, where it is 1 every time.
const heldHere = new Set<string>();

function tryLink(draft: string, path: string): boolean {
	try {
		linkSync(draft, path);
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
		throw error;
	}
}

function removeDeadOwner(path: string, folder: string): void {
	const owner = readOwner(path);
	if (owner === undefined) return; // released just now: try again
	if (isAlive(owner)) throw locked(owner, path, folder);
	const aside = `${path}.${randomUUID()}`;
	try {
		renameSync(path, aside);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
		throw error;
	}
	// Another process may have been quicker, and this be its lock: give it back.
	if (readOwner(aside)?.token !== owner.token) tryLink(aside, path);
	rmSync(aside, { force: true });
}

function readOwner(path: string): Owner | undefined {
	try {
		return JSON.parse(readFileSync(path, "utf8")) as Owner;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw new RemError(
			"EMBEDDED_LOCKED",
			`the lock file ${path} cannot be read`,
			{
				hint: "if no process uses the database, remove the file",
				cause: error,
			},
		);
	}
}

function isAlive(owner: Owner): boolean {
	if (owner.pid === process.pid) return heldHere.has(owner.token);
	try {
		process.kill(owner.pid, 0);
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "EPERM";
	}
	return owner.started === null || owner.started === startOf(owner.pid);
}

/** The boot and the tick at which the process began, where the kernel tells (Linux). */
function startOf(pid: number): string | null {
	try {
		const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		// The name, in parentheses, may hold spaces: count after it. Field 22 is the start.
		const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
		return `${boot}:${ticks}`;
	} catch {
		return null; // no /proc here: the pid alone decides
	}
}

function locked(owner: Owner, path: string, folder: string): RemError {
	const who =
		owner.pid === process.pid ? "this process" : `process ${owner.pid}`;
	return new RemError(
		"EMBEDDED_LOCKED",
		`the embedded database ${folder} is already open in ${who}`,
		{
			hint: `close it there first, or use a server: the embedded database takes one process at a time (lock file ${path})`,
		},
	);
}
