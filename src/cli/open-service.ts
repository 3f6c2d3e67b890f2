import { existsSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { readEnvironment } from "../config.ts";
import { compileProgram, expectFewCalls } from "../db/engine-program.ts";
import { RemError } from "../errors.ts";
import type { PostgresService } from "../index.ts";
import type { Logger } from "../logger.ts";
import type { Entity } from "../models/entity.ts";
import type { DatabaseSettings } from "../settings/database-settings.ts";
import { loadModels } from "./models/load-models.ts";
import type { DatabaseOptions } from "./options.ts";
import { counted } from "./output/numbers.ts";
import type { Terminal } from "./output/terminal.ts";
import {
	errorOfOtherModels,
	namesModels,
	warnOfOtherModels,
} from "./undescribed-tables.ts";

/** A service whose models are known only now. */
export type AnyService = PostgresService<readonly Entity[]>;

interface OpenOptions extends DatabaseOptions {
	/** Whether the command embeds or compares vectors: only then their model is worth a notice. @default true */
	readonly embeds?: boolean;
}

interface ServiceOptions extends OpenOptions {
	/** The models, where they are loaded already. */
	readonly entities?: readonly Entity[];
	/** Is meant to create tables, or reports those that no model describes itself. @default false */
	readonly takesAnyTables?: boolean;
}

interface ReaderOptions extends ServiceOptions {
	/** Makes so many reads that optimised code is worth its time. @default false */
	readonly isLong?: boolean;
}

/** Opens the database, does the work, and closes it whatever happens. */
export async function withService<T>(
	terminal: Terminal,
	options: ServiceOptions,
	work: (service: AnyService) => Promise<T>,
): Promise<T> {
	const service = await openService(terminal, options);
	try {
		if (options.takesAnyTables === true) return await work(service);
		return await withOwnTables(terminal, options, { service, work });
	} finally {
		await service.close();
	}
}

interface ServiceWork<T> {
	readonly service: AnyService;
	readonly work: (service: AnyService) => Promise<T>;
}

/** A forgotten `--models` is named: in the error of a missing table, else in a warning. */
async function withOwnTables<T>(
	terminal: Terminal,
	options: ServiceOptions,
	{ service, work }: ServiceWork<T>,
): Promise<T> {
	const result = await work(service).catch(async (error: unknown) => {
		if (!isMissingTable(error)) throw error;
		const explained = errorOfOtherModels(error, service, options);
		throw (await explained.catch(() => undefined)) ?? error;
	});
	// With a path, a missing table is an error of the command itself: a read is saved.
	if (!namesModels(options))
		await warnOfOtherModels(terminal, service, options).catch(() => {
			// The command has succeeded.
		});
	return result;
}

function isMissingTable(error: unknown): error is RemError {
	return error instanceof RemError && error.code === "SCHEMA_DRIFT";
}

/** Opens the database; the caller closes it. */
export async function openService(
	terminal: Terminal,
	options: ServiceOptions,
): Promise<AnyService> {
	await beginOpening(options);
	// Loaded here: `rem --help` need not wait for drivers and engines.
	const { PostgresService } = await import("../index.ts");
	// Before the folder: models that are refused leave nothing behind.
	const models = options.entities ?? (await modelsOf(options));
	const folder = await missingFolder(options);
	if (folder !== undefined)
		terminal.notice(`creating the embedded database in ${folder}`);
	return PostgresService.connect({
		models,
		logger:
			options.embeds === false
				? withoutModelNotice(terminal.logger)
				: terminal.logger,
		...(options.url === undefined ? {} : { connectionString: options.url }),
	});
}

/** Without the warning that vectors are stored of another model than the configured one. */
function withoutModelNotice(logger: Logger): Logger {
	return {
		...logger,
		warn: (fields, message) => {
			if (fields.isOtherModel !== true) logger.warn(fields, message);
		},
	};
}

/** Begins to compile the embedded database, if it is meant: it takes as long as importing the rest. */
async function beginOpening(options: DatabaseOptions): Promise<void> {
	const { kind } = await databaseOf(options);
	if (kind === "embedded") compileProgram();
}

/** The same for a command that ends after a few calls. */
export async function beginShort(options: DatabaseOptions): Promise<void> {
	compileQuickly();
	await beginOpening(options);
}

/** The folder of the embedded database, if there is no database in it yet. */
export async function missingFolder(
	options: DatabaseOptions,
): Promise<string | undefined> {
	const database = await databaseOf(options);
	if (database.kind === "server" || database.folder === undefined)
		return undefined;
	return existsSync(join(database.folder, "data"))
		? undefined
		: database.folder;
}

async function databaseOf({ url }: DatabaseOptions): Promise<DatabaseSettings> {
	const { resolveDatabase } = await import("../settings/database-settings.ts");
	return resolveDatabase(
		url === undefined ? {} : { connectionString: url },
		readEnvironment(),
	);
}

/** The models of `--models` or MODELS__PATH, or the built-in ones. */
export async function modelsOf(
	options: DatabaseOptions,
): Promise<readonly Entity[]> {
	const path = options.models ?? readEnvironment().MODELS__PATH;
	if (path !== undefined) return loadModels(path);
	const { coreEntities } = await import("../models/core-entities.ts");
	return coreEntities;
}

/**
 * Opens for commands that change nothing: a missing embedded database is not
 * created, an empty one in memory takes its place.
 */
export async function withoutCreating<T>(
	terminal: Terminal,
	options: ReaderOptions,
	work: (service: AnyService) => Promise<T>,
): Promise<T> {
	const folder = await missingFolder(options);
	if (options.isLong !== true) compileQuickly();
	if (folder === undefined) return withService(terminal, options, work);
	terminal.notice(
		`there is no embedded database in ${folder}: it is treated as empty and not created`,
	);
	return withService(terminal, { ...options, url: "memory:" }, work);
}

/**
 * The embedded database is 9 MB of WebAssembly. A command that ends after a few
 * calls is over before the optimised code is there, which took a third of a lookup's
 * processor time and 85 MB. Of 15,000 functions it runs 3,000: only these are
 * validated, when they are compiled.
 */
function compileQuickly(): void {
	setFlagsFromString("--liftoff-only");
	setFlagsFromString("--wasm-lazy-validation");
	expectFewCalls();
}

/** The same for commands that need the tables, which a database in memory gets. */
export async function withReader<T>(
	terminal: Terminal,
	options: ReaderOptions,
	work: (service: AnyService) => Promise<T>,
): Promise<T> {
	if ((await missingFolder(options)) === undefined) {
		if (options.isLong !== true) compileQuickly();
		return withTables(terminal, options, work);
	}
	return withoutCreating(terminal, options, async (service) => {
		await service.migrate();
		return work(service);
	});
}

/**
 * Opens for commands that write and need the tables. The embedded database is
 * set up when it turns out that it is not (asking each time would cost 0.2 s), unless
 * it has the tables of other models; a server is its owner's.
 */
export async function withTables<T>(
	terminal: Terminal,
	options: DatabaseOptions,
	work: (service: AnyService) => Promise<T>,
): Promise<T> {
	return withService(terminal, options, async (service) => {
		try {
			return await work(service);
		} catch (error) {
			if (!isMissingTable(error) || service.capabilities.kind !== "embedded")
				throw error;
			await setUpTables(terminal, service, { options, error });
			return work(service);
		}
	});
}

interface MissingTables {
	readonly options: DatabaseOptions;
	/** The error that shows it. */
	readonly error: RemError;
}

/** Sets up the embedded database for what needs its tables, but not where it has those of other models. */
export async function setUpTables(
	terminal: Terminal,
	service: AnyService,
	{ options, error }: MissingTables,
): Promise<void> {
	const otherModels = await errorOfOtherModels(error, service, options);
	if (otherModels !== undefined) throw otherModels;
	await migrateAloud(terminal, service);
}

/** Brings the database to the models and prints what it created. */
export async function migrateAloud(
	terminal: Terminal,
	service: AnyService,
): Promise<readonly string[]> {
	const { applied } = await service.migrate();
	if (applied.length > 0) terminal.notice(describeMigration(applied));
	return applied;
}

const namedTables = 5;

/** `set up the database: 2 base files, tables documents and people` */
function describeMigration(applied: readonly string[]): string {
	const tables = applied.flatMap((name) =>
		name.startsWith("entity:") ? name.slice("entity:".length) : [],
	);
	const files = applied.length - tables.length;
	const parts = [
		...(files === 0 ? [] : [counted(files, "base file")]),
		...(tables.length === 0 ? [] : [describeTables(tables)]),
	];
	return `set up the database: ${parts.join(", ")}`;
}

function describeTables(tables: readonly string[]): string {
	const shown = tables.slice(0, namedTables).join(", ");
	const more = tables.length - namedTables;
	return `${counted(tables.length, "table")} (${shown}${more > 0 ? ` and ${more} more` : ""})`;
}
