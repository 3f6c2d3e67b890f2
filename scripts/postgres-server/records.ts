import {
	existsSync,
	linkSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	type Stats,
	statSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { cacheFolder, output } from "./installation.ts";

const HAS_PROC = existsSync("/proc/self/stat");

/** A process, told apart from a later one that was given the same pid. */
export interface ProcessMark {
	readonly pid: number;
	readonly startedAt: string;
}

/** What another process must know to find a server, and to remove it. */
export interface ServerRecord {
	readonly name: string;
	readonly url: string;
	/** Absent: the server outlives whoever started it. */
	readonly owner?: ProcessMark;
	readonly place: ProcessPlace | ContainerPlace;
}

export interface ProcessPlace {
	readonly kind: "process";
	/** Holds the data, the socket and the log, and goes with the server. */
	readonly folder: string;
	/** Absent before the first start. */
	readonly postmaster?: ProcessMark;
}

export interface ContainerPlace {
	readonly kind: "container";
	readonly container: string;
}

export function readRecord(name: string): ServerRecord | undefined {
	const text = readIfThere(recordFile(name));
	return text ? (JSON.parse(text) as ServerRecord) : undefined;
}

/** False if there is a server of that name already. */
export function createRecord(record: ServerRecord): boolean {
	const draft = draftOf(record);
	try {
		linkSync(draft, recordFile(record.name));
		return true;
	} catch {
		return false;
	} finally {
		rmSync(draft);
	}
}

export function writeRecord(record: ServerRecord): void {
	renameSync(draftOf(record), recordFile(record.name));
}

/**
 * Stops the server at once and removes all it has. Synchronous, because it also
 * runs while the process that owns the server is exiting.
 */
export function removeServer(record: ServerRecord): void {
	if (record.place.kind === "process") removeProcess(record.place);
	else removeContainer(record.place);
	rmSync(recordFile(record.name), { force: true });
}

/** Removes the servers whose owner died without doing so. */
export function removeLeftovers(): void {
	for (const name of recordNames()) {
		const record = readRecord(name);
		if (record?.owner && !isSameProcess(record.owner)) removeServer(record);
	}
}

export function isServing({ place }: ServerRecord): boolean {
	if (place.kind === "process") {
		return place.postmaster !== undefined && isSameProcess(place.postmaster);
	}
	const format = ["--format", "{{.State.Running}}"];
	return output("docker", ["inspect", ...format, place.container]) === "true";
}

export function markProcess(pid: number): ProcessMark {
	return { pid, startedAt: startOf(pid) ?? "" };
}

/** False for a zombie too. */
function isSameProcess(mark: ProcessMark): boolean {
	return startOf(mark.pid) === mark.startedAt;
}

function recordNames(): string[] {
	return readdirSync(recordsFolder())
		.filter((file) => file.endsWith(".json"))
		.map((file) => file.slice(0, -".json".length));
}

function recordFile(name: string): string {
	return join(recordsFolder(), `${name}.json`);
}

/** No reader sees half a record; no other user sees the URL's password. */
function draftOf(record: ServerRecord): string {
	const draft = `${recordFile(record.name)}.${process.pid}`;
	writeFileSync(draft, JSON.stringify(record, null, "\t"), { mode: 0o600 });
	return draft;
}

function recordsFolder(): string {
	const folder = join(cacheFolder(), "servers");
	mkdirSync(folder, { recursive: true });
	return folder;
}

/**
 * A busy backend does not notice that its postmaster was killed: it goes on, and
 * PostgreSQL refuses to start beside it. systemd and containers end it, as we do.
 */
export function endSurvivors(dataFolder: string): void {
	if (!HAS_PROC || !existsSync(dataFolder)) return;
	const folder = statSync(dataFolder);
	for (const pid of readdirSync("/proc").filter(Number).map(Number)) {
		if (worksIn(pid, folder)) signalIfThere(pid, "SIGKILL");
	}
}

/** Whether a PostgreSQL process works in the data folder, whatever path leads it there. */
function worksIn(pid: number, folder: Stats): boolean {
	if (readIfThere(`/proc/${pid}/comm`) !== "postgres\n") return false;
	try {
		const { dev, ino } = statSync(`/proc/${pid}/cwd`);
		return dev === folder.dev && ino === folder.ino;
	} catch {
		return false; // it has ended, or belongs to another user
	}
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
	try {
		process.kill(pid, signal);
	} catch {
		// It has ended in the meantime: what the signal was for.
	}
}

function removeProcess({ folder, postmaster }: ProcessPlace): void {
	if (postmaster) endNow(postmaster);
	endSurvivors(join(folder, "data"));
	// Backends may still write while they end: hence the retries.
	rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
}

function removeContainer({ container }: ContainerPlace): void {
	output("docker", ["rm", "--force", "--volumes", container], 60_000);
}

/** SIGQUIT is PostgreSQL's immediate shutdown; SIGKILL for one that hangs. */
function endNow(postmaster: ProcessMark): void {
	for (const signal of ["SIGQUIT", "SIGKILL"] as const) {
		if (!isSameProcess(postmaster)) return;
		signalIfThere(postmaster.pid, signal);
		for (let waited = 0; waited < 10_000; waited += 20) {
			if (!isSameProcess(postmaster)) return;
			sleepNow(20);
		}
	}
}

function sleepNow(ms: number): void {
	Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** When a process started, as the system writes it; undefined if it is gone. */
function startOf(pid: number): string | undefined {
	return HAS_PROC ? startInProc(pid) : startInPs(pid);
}

function startInProc(pid: number): string | undefined {
	const stat = readIfThere(`/proc/${pid}/stat`) ?? "";
	// The name, field 2, is in parentheses and may hold spaces.
	const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	return fields[0] === "Z" ? undefined : fields[19];
}

function startInPs(pid: number): string | undefined {
	const line = output("ps", ["-o", "stat=,lstart=", "-p", String(pid)]);
	const [state, ...start] = line?.split(/\s+/) ?? [];
	return !state || state.startsWith("Z") ? undefined : start.join(" ");
}

function readIfThere(file: string): string | undefined {
	try {
		return readFileSync(file, "utf8");
	} catch {
		return undefined;
	}
}
