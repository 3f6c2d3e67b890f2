import { readFileSync, readlinkSync } from "node:fs";
import { threadId } from "node:worker_threads";
import { membersOf } from "../util/present.ts";

/** Who has an embedded database open, as its lock file states it. */
export interface FolderOwner {
	readonly pid: number;
	/** Boot and tick at which the process started; distinguishes it from a later process with its number. */
	readonly started: string | null;
	readonly token: string;
	/** The namespace that `pid` counts in: two containers have two. Absent in files of older versions. */
	readonly pidNamespace?: string | null;
	readonly thread?: number;
	/** `flock`: the kernel knows whether the owner lives. `file`: only this record does. */
	readonly lockedBy?: "flock" | "file";
	/** The folder's inode: a copy of the folder has another one. */
	readonly folder?: string;
	/** Whether it listens on a socket beside the lock file. */
	readonly hasSocket?: boolean;
}

export type OwnerState = "alive" | "dead" | "unknown";

export function thisOwner(
	token: string,
	lockedBy: "flock" | "file",
): FolderOwner {
	return {
		pid: process.pid,
		started: startOf(process.pid),
		token,
		pidNamespace: pidNamespace(),
		thread: threadId,
		lockedBy,
	};
}

/** The owner that a lock file's text names; `undefined` if it names none. */
export function parseOwner(text: string): FolderOwner | undefined {
	try {
		const owner: unknown = JSON.parse(text);
		return isOwner(owner) ? owner : undefined;
	} catch {
		return undefined;
	}
}

function isOwner(value: unknown): value is FolderOwner {
	const { pid, token, started, pidNamespace } = membersOf(value);
	const isTextIfThere = (text: unknown) =>
		text === undefined || text === null || typeof text === "string";
	return (
		typeof pid === "number" &&
		Number.isSafeInteger(pid) &&
		pid > 0 &&
		typeof token === "string" &&
		/^[\w-]+$/.test(token) &&
		isTextIfThere(started) &&
		isTextIfThere(pidNamespace)
	);
}

/** `unknown`: it counts its number in another pid namespace, where this process cannot look. */
export function stateOf(owner: FolderOwner): OwnerState {
	const { started = null } = owner;
	const boot = bootOf(started);
	const here = startOf(process.pid);
	if (boot !== null && here !== null && boot !== bootOf(here)) return "dead";
	if (isElsewhere(owner)) return "unknown";
	if (!isRunning(owner.pid)) return "dead";
	const now = startOf(owner.pid);
	if (started !== null && now !== null)
		return started === now ? "alive" : "dead";
	return "alive";
}

/** `this process`, `process 12`, … */
export function describeOwner(owner: FolderOwner): string {
	if (isElsewhere(owner)) return `process ${owner.pid} of another container`;
	if (owner.pid !== process.pid) return `process ${owner.pid}`;
	const isOtherThread = owner.thread !== undefined && owner.thread !== threadId;
	return isOtherThread ? "another thread of this process" : "this process";
}

function isElsewhere({ pidNamespace: theirs }: FolderOwner): boolean {
	const ours = pidNamespace();
	return typeof theirs === "string" && ours !== null && theirs !== ours;
}

function isRunning(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return membersOf(error).code === "EPERM";
	}
}

function bootOf(started: string | null): string | null {
	return started?.split(":", 1)[0] ?? null;
}

/** Where the kernel states it (Linux); else the pid alone decides. */
function startOf(pid: number): string | null {
	try {
		const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		// The name, in parentheses, may contain spaces: count after it. Field 22 is the start.
		const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
		return `${boot}:${ticks}`;
	} catch {
		return null;
	}
}

function pidNamespace(): string | null {
	try {
		return readlinkSync("/proc/self/ns/pid");
	} catch {
		return null;
	}
}
