import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { PGlite, PGliteOptions } from "@electric-sql/pglite";
import pg from "pg";
import { RemError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import {
	imageInMemory,
	readSnapshot,
	snapshotPath,
	unpackSnapshot,
} from "./boot-image.ts";
import type { Database } from "./database.ts";
import { resultTypes } from "./decode.ts";
import { EmbeddedEngine } from "./embedded-engine.ts";
import { doesNotStart } from "./embedded-failure.ts";
import { type FolderLock, lockFolder, makeFolder } from "./embedded-lock.ts";
import { engineFiles } from "./engine-files.ts";
import { compileProgram, engineParameters } from "./engine-program.ts";
import { EngineStream } from "./engine-stream.ts";
import { EngineTimers } from "./engine-timers.ts";
import { PoolDatabase } from "./pool-database.ts";

export { snapshotPath };

export interface EmbeddedOptions {
	/** Longest wait for the one connection, in milliseconds. */
	readonly connectTimeoutMs: number;
	readonly logger: Logger;
}

/** Opens the embedded database: in a folder, or in memory when that is `undefined`. */
export async function openEmbedded(
	folder: string | undefined,
	options: EmbeddedOptions,
): Promise<Database> {
	if (folder === undefined)
		return start(inMemory, options, { parts: loadParts({ isNew: true }) });
	const root = resolve(folder);
	const dataDir = join(root, "data");
	// Beside the lock, which waits for other programs.
	const parts = loadParts({
		isNew: !existsSync(join(dataDir, "PG_VERSION")),
	});
	const lock = await lockRoot(root);
	try {
		return await start(dataDir, options, { parts, lock });
	} catch (error) {
		lock.release();
		throw error;
	}
}

async function lockRoot(root: string): Promise<FolderLock> {
	try {
		keepOutOfRepositories(root);
		return await lockFolder(join(root, "lock"), root);
	} catch (cause) {
		if (cause instanceof RemError) throw cause;
		throw await doesNotStart(root, cause);
	}
}

/** A folder that is new, or empty, belongs to the database: git leaves it out. */
function keepOutOfRepositories(root: string): void {
	makeFolder(root);
	if (readdirSync(root).length === 0)
		writeFileSync(join(root, ".gitignore"), "*\n");
}

/**
 * Boots PGlite as initdb leaves it, installs the extensions and writes it out; the build
 * calls this. The two template databases, 600 of 1,000 files, have no use in an engine
 * that connects to one database: without them a start takes 0.3 s of processor time
 * instead of 0.5.
 */
export async function makeSnapshot(): Promise<Uint8Array> {
	const { PGlite, MemoryFS, extensions } = await loadPGlite();
	let dump: Blob | undefined;
	/** Writes the image when PostgreSQL has shut down: one of a running server begins with a recovery. */
	class ImageFiles extends MemoryFS {
		override async closeFs(): Promise<void> {
			dump = await this.dumpTar("image", "gzip");
			await super.closeFs();
		}
	}
	const engine = await PGlite.create({ fs: new ImageFiles(), extensions });
	await engine.exec(
		"CREATE EXTENSION vector; CREATE EXTENSION pg_trgm; CREATE EXTENSION btree_gin",
	);
	await engine.exec("UPDATE pg_database SET datistemplate = false");
	await engine.exec("DROP DATABASE template0");
	await engine.exec("DROP DATABASE template1");
	await engine.close();
	if (dump === undefined) throw new Error("PGlite closed without its files");
	return new Uint8Array(await dump.arrayBuffer());
}

interface Start {
	readonly parts: Parts;
	/** Of the folder. */
	readonly lock?: FolderLock;
}

async function start(
	dataDir: string,
	options: EmbeddedOptions,
	{ parts, lock }: Start,
): Promise<Database> {
	const folder = lock === undefined ? undefined : dataDir;
	const timers = new EngineTimers();
	const pglite = await boot(dataDir, parts, timers);
	const engine = new EmbeddedEngine(pglite, timers, folder);
	const stream = () => new EngineStream(engine);
	class EmbeddedClient extends pg.Client {
		constructor() {
			super({
				...engineAddress,
				stream,
				// Statements that do not wait for each other reach the engine in one piece.
				pipeline: true,
				types: resultTypes,
			});
		}
	}
	const pool = new pg.Pool({
		Client: EmbeddedClient,
		max: 1,
		connectionTimeoutMillis: options.connectTimeoutMs,
		// Another connection would only be the same engine, reset.
		idleTimeoutMillis: 0,
		allowExitOnIdle: true,
	});
	return new PoolDatabase(pool, {
		capabilities: {
			kind: "embedded",
			maxConnections: 1,
			copy: false,
			autovacuum: false,
			listen: false,
			namedStatements: true,
			citus: false,
		},
		logger: options.logger,
		address: dataDir,
		retryTimeoutMs: 0,
		onClose: async () => {
			try {
				await engine.close();
			} finally {
				lock?.release();
			}
		},
	});
}

/** What `pg` would otherwise read from the environment of a server's clients. */
const engineAddress = {
	host: "localhost",
	port: 5432,
	user: "postgres",
	password: "",
	database: "postgres",
	ssl: false,
};

/** What is read and compiled for a start, whatever the folder contains. */
interface Parts {
	readonly modules: ReturnType<typeof loadPGlite>;
	readonly program: ReturnType<typeof compileProgram>;
	/** `undefined`: the database exists. */
	readonly snapshot: ReturnType<typeof readSnapshot> | undefined;
}

function loadParts({ isNew }: { readonly isNew: boolean }): Parts {
	const parts = {
		program: compileProgram(),
		modules: loadPGlite(),
		snapshot: isNew ? readSnapshot() : undefined,
	};
	for (const part of Object.values(parts))
		part?.catch(() => {
			// Thrown where it is awaited, if the folder could be locked.
		});
	return parts;
}

const inMemory = "memory://";

async function boot(
	dataDir: string,
	parts: Parts,
	timers: EngineTimers,
): Promise<PGlite> {
	const { PGlite, MemoryFS, extensions } = await parts.modules;
	/** Reads no types of arrays: they are for its own interface, in whose place `pg` is. */
	class Engine extends PGlite {
		override async _initArrayTypes(): Promise<void> {}
	}
	const open = async (files: Pick<PGliteOptions, "dataDir" | "fs">) => {
		const program = await parts.program;
		const engine = new Engine({
			...files,
			extensions: {
				...extensions,
				files: engineFiles,
				timers: timers.extension,
			},
			startParams: [...PGlite.defaultStartParams, ...engineParameters()],
			...(program === undefined ? {} : { pgliteWasmModule: program as never }),
		});
		await engine.waitReady;
		return engine;
	};
	try {
		if (dataDir !== inMemory) {
			const version = await versionOf(dataDir);
			if (version !== undefined) checkVersion(dataDir, version);
			else
				await unpackSnapshot(dataDir, await (parts.snapshot ?? readSnapshot()));
			return await open({ dataDir });
		}
		const snapshot = await parts.snapshot;
		if (snapshot === undefined) return await open({ dataDir });
		return await open({ fs: imageInMemory(MemoryFS, snapshot) });
	} catch (cause) {
		throw await doesNotStart(dataDir, cause);
	}
}

async function loadPGlite() {
	const [{ PGlite, MemoryFS }, { vector }, { pg_trgm }, { btree_gin }] =
		await Promise.all([
			import("@electric-sql/pglite"),
			import("@electric-sql/pglite-pgvector"),
			import("@electric-sql/pglite/contrib/pg_trgm"),
			import("@electric-sql/pglite/contrib/btree_gin"),
		]);
	return { PGlite, MemoryFS, extensions: { vector, pg_trgm, btree_gin } };
}

async function versionOf(dataDir: string): Promise<string | undefined> {
	const text = await readFile(join(dataDir, "PG_VERSION"), "utf8").catch(
		(error: NodeJS.ErrnoException) => {
			if (error.code === "ENOENT") return undefined;
			throw error;
		},
	);
	return text?.trim();
}

const ownVersion = "18";

function checkVersion(dataDir: string, version: string): void {
	if (version === ownVersion) return;
	throw new RemError(
		"CONNECTION_FAILED",
		`the embedded database in ${dataDir} is of PostgreSQL ${version}, expected ${ownVersion}`,
		{
			hint: "open it with the version of remdb that made it, write its rows out, and load them into a new folder",
		},
	);
}
