import { randomUUID } from "node:crypto";
import {
	closeSync,
	fstatSync,
	ftruncateSync,
	linkSync,
	lstatSync,
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
import { membersOf } from "../util/present.ts";
import { flock } from "./flock.ts";
import {
	describeOwner,
	type FolderOwner,
	type OwnerState,
	parseOwner,
	stateOf,
	thisOwner,
} from "./folder-owner.ts";
import {
	inodeOf,
	lifeOf,
	lifeSignsOf,
	removeLifeSign,
	showLife,
} from "./life-sign.ts";

/** Where an embedded database is, and its lock file. */
interface LockPlace {
	readonly path: string;
	readonly folder: string;
}

/** A taken lock. */
export interface FolderLock {
	release(): void;
}

// Others may open and close the folder at the same time, but not this often.
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
	makeFolder(dirname(path));
	refuseOtherThanFile(path);
	for (let attempt = 1; attempt <= maxAttempts; attempt++) {
		const lock = await tryLock({ path, folder });
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
async function tryLock(place: LockPlace): Promise<FolderLock | undefined> {
	const { path, folder } = place;
	const file = openSync(path, "a+");
	let ofFolder: number | undefined;
	let isTaken = false;
	try {
		const outcome = await flock(file);
		if (outcome === "unavailable") return await lockByFile(path, folder);
		// The one who released it may have removed it after it was opened here.
		if (!isFileAt(path, file)) return undefined;
		const owner = parseOwner(readFileSync(path, "utf8"));
		if (outcome === "busy") throw locked(place, owner);
		await refuseOwnerWithoutFlock(place, owner);
		// A file can be removed or replaced while it is locked; the folder that is open cannot.
		ofFolder = openSync(dirname(path), "r");
		if ((await flock(ofFolder)) === "busy") throw locked(place, undefined);
		const folderFile = ofFolder;
		const token = randomUUID();
		ftruncateSync(file);
		writeSync(file, JSON.stringify(thisOwner(token, "flock")));
		isTaken = true;
		return {
			release() {
				closeSync(folderFile);
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

/** Node's own recursion never ends where the system creates nothing, as in /proc. */
export function makeFolder(path: string): void {
	if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
	const parent = dirname(path);
	if (parent !== path) makeFolder(parent);
	try {
		mkdirSync(path);
	} catch (error) {
		const isThere = statSync(path, { throwIfNoEntry: false })?.isDirectory();
		if (isThere !== true) throw error;
	}
}

function refuseOtherThanFile(path: string): void {
	const there = lstatSync(path, { throwIfNoEntry: false });
	if (there === undefined || there.isFile()) return;
	const what = there.isDirectory()
		? "a folder"
		: there.isSymbolicLink()
			? "a symbolic link"
			: "no regular file";
	throw new RemError(
		"CONNECTION_FAILED",
		`the lock file ${path} is ${what}, expected a regular file`,
		{ hint: "remove it, or name another folder for the database" },
	);
}

/** Removed before it is unlocked: a process that has opened it by then notices that it is gone. */
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
async function refuseOwnerWithoutFlock(
	place: LockPlace,
	owner: FolderOwner | undefined,
): Promise<void> {
	await refuseLifeSigns(place);
	if (owner === undefined || owner.lockedBy === "flock") return;
	const state = await stateIn(place.path, owner);
	if (state !== "dead") throw locked(place, owner, state);
}

/** Of an owner whose lock file was removed or replaced; what dead ones left behind is removed. */
async function refuseLifeSigns(place: LockPlace): Promise<void> {
	const { path } = place;
	for (const token of lifeSignsOf(path)) {
		const life = await lifeOf(path, token);
		const owner = readRecord(path)?.owner;
		if (life === "alive")
			throw locked(place, owner?.token === token ? owner : undefined);
		if (life === "dead" && owner?.token !== token) removeLifeSign(path, token);
	}
}

/** Whether the owner lives: its socket knows, else its pid. A copied folder has none. */
async function stateIn(path: string, owner: FolderOwner): Promise<OwnerState> {
	if (owner.folder !== undefined && owner.folder !== inodeOf(dirname(path)))
		return "dead";
	const life =
		owner.hasSocket === true ? await lifeOf(path, owner.token) : "unknown";
	return life === "unknown" ? stateOf(owner) : life;
}

/**
 * Without the kernel's lock: the file names its owner, whose socket shows whether
 * it lives, and a dead owner's file is replaced in one step by the one who links a
 * claim named after it first. A claim counts only while that dead owner is still
 * the one in the file, so a claimant who was too slow stops. An owner that
 * cannot be looked at counts as alive. `undefined` if the file was replaced during
 * it, or is not there.
 */
export async function lockByFile(
	path: string,
	folder: string,
): Promise<FolderLock | undefined> {
	const place = { path, folder };
	await refuseLifeSigns(place);
	const token = randomUUID();
	const life = await showLife(path, token);
	const draft = `${path}.${token}`;
	let isTaken = false;
	try {
		const mine: FolderOwner = {
			...thisOwner(token, "file"),
			folder: inodeOf(dirname(path)),
			hasSocket: life !== undefined,
		};
		writeFileSync(draft, JSON.stringify(mine));
		isTaken = await replaceDead(place, draft);
	} finally {
		rmSync(draft, { force: true });
		if (!isTaken) life?.end();
	}
	if (!isTaken) return undefined;
	return {
		release() {
			if (readRecord(path)?.name === token) rmSync(path, { force: true });
			life?.end();
		},
	};
}

/** Whether the draft is the lock file now. */
async function replaceDead(place: LockPlace, draft: string): Promise<boolean> {
	const { path } = place;
	const dead = readRecord(path);
	if (dead === undefined) return false;
	const claims = await claimAfter(dead, draft, place);
	if (claims === undefined) return false;
	const isLate = readRecord(path)?.name !== dead.name;
	if (!isLate) {
		renameSync(draft, path);
		if (dead.owner !== undefined) removeLifeSign(path, dead.owner.token);
	}
	for (const claim of isLate ? claims.slice(-1) : claims)
		rmSync(claim, { force: true });
	return !isLate;
}

/** The claims from the dead owner to this one; more than one if claimants died, too. */
async function claimAfter(
	dead: LockRecord,
	draft: string,
	place: LockPlace,
): Promise<string[] | undefined> {
	const { path } = place;
	const claims: string[] = [];
	for (let last: LockRecord | undefined = dead; last !== undefined; ) {
		const { owner, name } = last;
		const state = owner === undefined ? "dead" : await stateIn(path, owner);
		if (owner !== undefined && state !== "dead")
			throw locked(place, owner, state);
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
		if (membersOf(error).code === "EEXIST") return false;
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
		if (membersOf(error).code === "ENOENT") return undefined;
		throw error;
	}
}

function locked(
	{ path, folder }: LockPlace,
	owner: FolderOwner | undefined,
	state: OwnerState = "alive",
): RemError {
	const who = owner === undefined ? "another process" : describeOwner(owner);
	const close = `close it there first, or use a server: an embedded database can be open once at a time (lock file ${path})`;
	const isUnsure = state === "unknown";
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
