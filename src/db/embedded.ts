import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { PGlite } from "@electric-sql/pglite";
import pg from "pg";
import { RemError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { readSnapshot, snapshotPath, unpackSnapshot } from "./boot-image.ts";
import type { Database } from "./database.ts";
import { resultTypes } from "./decode.ts";
import { type FolderLock, lockFolder } from "./embedded-lock.ts";
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
	if (folder === undefined) return start("memory://", options, undefined);
	const root = resolve(folder);
	const lock = lockRoot(root);
	try {
		return await start(join(root, "data"), options, lock);
	} catch (error) {
		lock.release();
		throw error;
	}
}

function lockRoot(root: string): FolderLock {
	try {
		return lockFolder(join(root, "lock"), root);
	} catch (cause) {
		if (cause instanceof RemError) throw cause;
		throw doesNotStart(root, cause);
	}
}

/** Boots PGlite as initdb leaves it, installs the extensions and writes it out; the build calls this. */
export async function makeSnapshot(): Promise<Uint8Array> {
	const { PGlite, extensions } = await loadPGlite();
	const engine = await PGlite.create("memory://", { extensions });
	await engine.exec(
		"CREATE EXTENSION vector; CREATE EXTENSION pg_trgm; CREATE EXTENSION btree_gin",
	);
	const dump = await engine.dumpDataDir("gzip");
	await engine.close();
	return new Uint8Array(await dump.arrayBuffer());
}

async function start(
	dataDir: string,
	options: EmbeddedOptions,
	lock: FolderLock | undefined,
): Promise<Database> {
	const { createPgConfig } = await import("@electric-sql/pglite/node-postgres");
	const engine = await boot(dataDir);
	// A pool over createPgConfig itself breaks for good after the first SQL
	// error; a client that makes its own config does not.
	class EmbeddedClient extends pg.Client {
		constructor() {
			const config = Object.assign(createPgConfig(engine), {
				types: resultTypes,
			});
			super(config as unknown as pg.ClientConfig);
		}
	}
	const pool = new pg.Pool({
		Client: EmbeddedClient,
		max: 1,
		connectionTimeoutMillis: options.connectTimeoutMs,
	} as pg.PoolConfig);
	return new PoolDatabase(pool, {
		capabilities: {
			kind: "embedded",
			maxConnections: 1,
			copy: false,
			autovacuum: false,
			listen: false,
			namedStatements: true,
		},
		logger: options.logger,
		address: dataDir,
		retryTimeoutMs: 0,
		onClose: async () => {
			await engine.close();
			lock?.release();
		},
	});
}

async function boot(dataDir: string): Promise<PGlite> {
	const { PGlite, extensions } = await loadPGlite();
	const inMemory = dataDir.startsWith("memory:");
	try {
		const isNew = inMemory || !(await exists(dataDir));
		const snapshot = isNew ? await readSnapshot() : undefined;
		if (snapshot === undefined)
			return await PGlite.create(dataDir, { extensions });
		if (inMemory)
			return await PGlite.create(dataDir, {
				extensions,
				loadDataDir: new Blob([new Uint8Array(snapshot)], {
					type: "application/x-gzip",
				}),
			});
		await unpackSnapshot(snapshot, dataDir);
		return await PGlite.create(dataDir, { extensions });
	} catch (cause) {
		throw doesNotStart(dataDir, cause);
	}
}

function doesNotStart(folder: string, cause: unknown): RemError {
	return new RemError(
		"CONNECTION_FAILED",
		`the embedded database in ${folder} does not start`,
		{ hint: "is it a folder this user can write, made by remdb?", cause },
	);
}

async function loadPGlite() {
	const [{ PGlite }, { vector }, { pg_trgm }, { btree_gin }] =
		await Promise.all([
			import("@electric-sql/pglite"),
			import("@electric-sql/pglite-pgvector"),
			import("@electric-sql/pglite/contrib/pg_trgm"),
			import("@electric-sql/pglite/contrib/btree_gin"),
		]);
	return { PGlite, extensions: { vector, pg_trgm, btree_gin } };
}

async function exists(dataDir: string): Promise<boolean> {
	return readFile(join(dataDir, "PG_VERSION")).then(
		() => true,
		() => false,
	);
}
