import { statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { PGlite } from "@electric-sql/pglite";
import { RemError } from "../errors.ts";
import { membersOf } from "../util/present.ts";
import type { EngineTimers } from "./engine-timers.ts";

/** What PGlite's module offers and its types do not: the calls that run PostgreSQL. */
interface EngineModule {
	_PostgresMainLoopOnce(): void;
	_PostgresSendReadyForQueryIfNecessary(): void;
	_pgl_pq_flush(): void;
	stackRestore(pointer: number): void;
	readonly FS: { quit(): void };
}

function moduleOf(pglite: PGlite): EngineModule {
	return pglite.Module as unknown as EngineModule;
}

/** How PGlite's module leaves a statement that failed: PostgreSQL continues. */
const statementFailed = 100;

/**
 * The embedded PostgreSQL as something that takes bytes of its protocol and
 * answers with bytes. It notices what PGlite does not: that PostgreSQL ended
 * itself (PANIC, out of memory), after which a further call would never return,
 * and that the folder is gone. From then on every call fails with the reason.
 */
export class EmbeddedEngine {
	readonly #pglite: PGlite;
	readonly #timers: EngineTimers;
	/** `undefined`: in memory. */
	readonly #folder: EngineFolder | undefined;
	#isUsed = false;
	#aborted: unknown;
	#failure: RemError | undefined;

	constructor(
		pglite: PGlite,
		timers: EngineTimers,
		folder: string | undefined,
	) {
		this.#pglite = pglite;
		this.#timers = timers;
		this.#folder = folder === undefined ? undefined : new EngineFolder(folder);
		this.#noticeAbort(moduleOf(pglite));
	}

	/** Throws the reason if it has stopped. */
	check(): void {
		this.#failure ??= this.#folder?.problem();
		if (this.#failure !== undefined) throw this.#failure;
	}

	/** Sends messages and returns what PostgreSQL answers to them. */
	async send(messages: Uint8Array): Promise<Buffer[]> {
		this.check();
		const answer: Buffer[] = [];
		try {
			await this.#pglite.execProtocolRawStream(messages, {
				// It is a view of PostgreSQL's memory.
				onRawData: (bytes) => answer.push(Buffer.from(bytes)),
			});
		} catch (error) {
			this.#aborted ??= error;
		}
		if (this.#aborted === undefined) return answer;
		this.#timers.clear();
		this.#failure = stopped(this.#aborted, answer, this.#folder);
		throw this.#failure;
	}

	/** Ends what an earlier connection left behind: a transaction, settings, named statements. */
	async reset(): Promise<void> {
		this.check();
		const isUsed = this.#isUsed;
		this.#isUsed = true;
		if (!isUsed) return;
		await this.send(simpleQuery("ROLLBACK"));
		await this.send(simpleQuery("DISCARD ALL"));
	}

	async close(): Promise<void> {
		this.#timers.clear();
		if (this.#aborted === undefined) await this.#pglite.close();
		// It cannot end in order; at least its files are closed.
		else moduleOf(this.#pglite).FS.quit();
	}

	/**
	 * PGlite's loop takes an abort for a failed statement and calls on: that call
	 * spins forever. From the abort on, each step of the loop throws instead.
	 */
	#noticeAbort(module: EngineModule): void {
		const { _PostgresMainLoopOnce, stackRestore } = module;
		const { _PostgresSendReadyForQueryIfNecessary, _pgl_pq_flush } = module;
		const throwIfAborted = () => {
			if (this.#aborted !== undefined) throw this.#aborted;
		};
		Object.assign(module, {
			_PostgresMainLoopOnce: () => {
				try {
					_PostgresMainLoopOnce();
				} catch (error) {
					if (membersOf(error).status !== statementFailed)
						this.#aborted ??= error;
					throw error;
				}
			},
			stackRestore: (pointer: number) => {
				throwIfAborted();
				stackRestore(pointer);
			},
			_PostgresSendReadyForQueryIfNecessary: () => {
				throwIfAborted();
				_PostgresSendReadyForQueryIfNecessary();
			},
			_pgl_pq_flush: () => {
				throwIfAborted();
				_pgl_pq_flush();
			},
		});
	}
}

/** The folder of an open database. */
class EngineFolder {
	readonly path: string;
	readonly #version: string;
	readonly #identity: string | undefined;

	constructor(path: string) {
		this.path = path;
		this.#version = join(path, "PG_VERSION");
		this.#identity = this.#read();
	}

	/** PostgreSQL continues with the files that it has open: what it writes is lost. */
	problem(): RemError | undefined {
		const there = this.#read();
		if (there === this.#identity) return undefined;
		const what = there === undefined ? "deleted or moved" : "replaced";
		return new RemError(
			"CONNECTION_FAILED",
			`the folder ${this.path} of the embedded database was ${what} while it was open`,
			{ hint: "close the service, restore the folder, and connect again" },
		);
	}

	/** Which file is there: a new one may get the inode of the one that was deleted. */
	#read(): string | undefined {
		try {
			const { ino, birthtimeNs } = statSync(this.#version, { bigint: true });
			return `${ino} ${birthtimeNs}`;
		} catch {
			return undefined;
		}
	}

	get isDiskFull(): boolean {
		try {
			const { bavail, bsize } = statfsSync(this.path);
			return bavail * bsize < walSegmentBytes;
		} catch {
			return false;
		}
	}
}

const walSegmentBytes = 16 * 2 ** 20;

function stopped(
	aborted: unknown,
	answer: readonly Buffer[],
	folder: EngineFolder | undefined,
): RemError {
	const { sqlState, message } = panicIn(Buffer.concat(answer));
	const gone = folder?.problem();
	if (gone !== undefined) return gone;
	if (sqlState === diskFull || folder?.isDiskFull === true)
		return new RemError(
			"DATABASE",
			`the disk is full: the embedded database in ${folder?.path ?? "memory"} stopped (${message ?? "no space left on device"})`,
			{
				hint: "free space, close the service, and connect again: what was committed is still there",
				sqlState: diskFull,
			},
		);
	return new RemError(
		"DATABASE",
		`the embedded database in ${folder?.path ?? "memory"} stopped: ${message ?? String(aborted)}`,
		{
			hint: "close the service and connect again",
			...(sqlState === undefined ? {} : { sqlState }),
		},
	);
}

const diskFull = "53100";

/** SQLSTATE and text of the last error in an answer. */
function panicIn(answer: Buffer): { sqlState?: string; message?: string } {
	let found = {};
	for (let at = 0; at + 5 <= answer.length; ) {
		const end = at + 1 + answer.readUInt32BE(at + 1);
		if (answer[at] === errorResponse) {
			const fields = answer.toString("utf8", at + 5, end).split("\0");
			const field = (code: string) =>
				fields.find((text) => text.startsWith(code))?.slice(1);
			found = { sqlState: field("C"), message: field("M") };
		}
		at = end;
	}
	return found;
}

const errorResponse = 0x45;

function simpleQuery(text: string): Buffer {
	const body = Buffer.from(`${text}\0`);
	const header = Buffer.alloc(5);
	header.write("Q");
	header.writeUInt32BE(body.length + 4, 1);
	return Buffer.concat([header, body]);
}
