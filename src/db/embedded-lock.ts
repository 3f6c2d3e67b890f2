import { randomUUID } from "node:crypto";
import {
	closeSync,
	fstatSync,
	ftruncateSync,
	linkSync,
	mkdirSync,
	openSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RemError } from "../errors.ts";
import { flock } from "./flock.ts";
import {
	describeOwner,
	type FolderOwner,
	parseOwner,
	stateOf,
	thisOwner,
} from "./folder-owner.ts";

/** A taken lock. */
export interface FolderLock {
	release(): void;
}

// Others may open and close the folder at the same time; nobody does it this often.
const maxAttempts = 100;
const pauseMs = 10;

/**
 * Keeps a second open off an embedded database's folder, whichever process,
 * thread, container or copy of this package makes it.
 *
 * The kernel's lock on the file decides (docs/decisions/0040): it ends with its
 * owner, and the file's content only names the owner in messages. Where there
 * is no such lock, the file's existence decides: see {@link lockByFile}.
 */
export async function lockFolder(
	path: string,
	folder: string,
): Promise<FolderLock> {
	mkdirSync(dirname(path), { recursive: true });
	for (let attempt = 1; attempt <= maxAttempts; attempt++) {
		const lock = await tryLock(path, folder);
		if (lock !== undefined) return lock;
		await sleep(pauseMs);
	}
	throw new RemError(
		"EMBEDDED_LOCKED",
		`the lock file ${path} is being replaced all the time`,
		{ hint: "find the processes that open and close the database" },
	);
}

/** One attempt; `undefined` if the file was replaced during it. */
async function tryLock(
	path: string,
	folder: string,
): Promise<FolderLock | undefined> {
	const file = openSync(path, "a+");
	let ofFolder: number | undefined;
	let isTaken = false;
	try {
		const outcome = await flock(file);
		if (outcome === "unavailable") return lockByFile(path, folder);
		// The one who released it may have removed it after it was opened here.
		if (!isFileAt(path, file)) return undefined;
		const owner = parseOwner(readFileSync(path, "utf8"));
		if (outcome === "busy") throw locked(owner, path, folder);
		refuseOwnerWithoutFlock(owner, path, folder);
		// A file can be removed or replaced while it is locked; the folder that is open cannot.
		ofFolder = openSync(dirname(path), "r");
		if ((await flock(ofFolder)) === "busy")
			throw locked(undefined, path, folder);
		const held = ofFolder;
		const token = randomUUID();
		ftruncateSync(file);
		writeSync(file, JSON.stringify(thisOwner(token, "flock")));
		isTaken = true;
		return {
			release() {
				closeSync(held);
				releaseFile(path, file);
			},
		};
	} finally {
		if (!isTaken) {
			closeSync(file);
			if (ofFolder !== undefined) closeSync(ofFolder);
		}
	}
}

/** Removed before it is unlocked: whoever has opened it meanwhile sees that it is gone. */
function releaseFile(path: string, file: number): void {
	try {
		if (isFileAt(path, file)) rmSync(path, { force: true });
	} finally {
		closeSync(file);
	}
}

function isFileAt(path: string, file: number): boolean {
	const there = statSync(path, { bigint: true, throwIfNoEntry: false });
	const here = fstatSync(file, { bigint: true });
	return (
		there !== undefined && there.ino === here.ino && there.dev === here.dev
	);
}

/** A process of an older version, or one that found no `flock`, may have it open. */
function refuseOwnerWithoutFlock(
	owner: FolderOwner | undefined,
	path: string,
	folder: string,
): void {
	if (owner === undefined || owner.lockedBy === "flock") return;
	if (stateOf(owner) !== "dead") throw locked(owner, path, folder);
}

/**
 * Without the kernel's lock: the file names its owner, and a dead owner's file
 * is replaced in one step by the one who links a claim named after it first. A
 * claim counts only while that dead owner is still the one in the file, so a
 * claimant who was too slow gives up. An owner that cannot be looked at counts
 * as alive. `undefined` if the file was replaced during it, or is not there.
 */
export function lockByFile(
	path: string,
	folder: string,
): FolderLock | undefined {
	const mine = thisOwner(randomUUID(), "file");
	const draft = `${path}.${mine.token}`;
	writeFileSync(draft, JSON.stringify(mine));
	try {
		const dead = readRecord(path);
		if (dead === undefined) return undefined;
		const claims = claimAfter(dead, draft, path, folder);
		if (claims === undefined) return undefined;
		const isLate = readRecord(path)?.name !== dead.name;
		if (!isLate) renameSync(draft, path);
		for (const claim of isLate ? claims.slice(-1) : claims)
			rmSync(claim, { force: true });
		if (isLate) return undefined;
	} finally {
		rmSync(draft, { force: true });
	}
	return {
		release() {
			if (readRecord(path)?.name === mine.token) rmSync(path, { force: true });
		},
	};
}

/** The claims from the dead owner to this one; more than one if claimants died, too. */
function claimAfter(
	dead: LockRecord,
	draft: string,
	path: string,
	folder: string,
): string[] | undefined {
	const claims: string[] = [];
	for (let last: LockRecord | undefined = dead; last !== undefined; ) {
		const { owner, name } = last;
		if (owner !== undefined && stateOf(owner) !== "dead")
			throw locked(owner, path, folder);
		const claim = `${path}.after-${name}`;
		claims.push(claim);
		if (tryLink(draft, claim)) return claims;
		last = readRecord(claim);
	}
	return undefined;
}

function tryLink(draft: string, path: string): boolean {
	try {
		linkSync(draft, path);
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
		throw error;
	}
}

interface LockRecord {
	/** None of a file that is empty or was not written by this package. */
	readonly owner: FolderOwner | undefined;
	/** Unique to this content: no later record has it. */
	readonly name: string;
}

function readRecord(path: string): LockRecord | undefined {
	try {
		const owner = parseOwner(readFileSync(path, "utf8"));
		const { ino, mtimeNs } = statSync(path, { bigint: true });
		return { owner, name: owner?.token ?? `${ino}-${mtimeNs}` };
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw error;
	}
}

function locked(
	owner: FolderOwner | undefined,
	path: string,
	folder: string,
): RemError {
	const who = owner === undefined ? "another process" : describeOwner(owner);
	const isUnsure =
		owner !== undefined &&
		owner.lockedBy !== "flock" &&
		stateOf(owner) === "unknown";
	const close = `close it there first, or use a server: an embedded database can be open once at a time (lock file ${path})`;
	return new RemError(
		"EMBEDDED_LOCKED",
		isUnsure
			? `the embedded database ${folder} was opened by ${who}, which may still run`
			: `the embedded database ${folder} is already open in ${who}`,
		{
			hint: isUnsure
				? `${close}; if that process no longer runs, remove the lock file`
				: close,
		},
	);
}
