import type { Database, Session } from "../db/database.ts";
import { repinText } from "../db/session-settings.ts";
import type { Logger } from "../logger.ts";
import { longestWaitMs, signal, text, wholeNumber } from "../models/checks.ts";
import { type OptionChecks, progressCallback } from "../models/options.ts";
import { ident, join, sql, toText } from "../sql.ts";
import { applyBase, pendingBaseFiles, refuseNewer } from "./apply-base.ts";
import { applyModels, applyOnline } from "./apply-models.ts";
import type { Target } from "./expected.ts";
import {
	checkHistory,
	type FileStatus,
	fileHistory,
	filePrefix,
} from "./history.ts";
import { readLedger } from "./ledger.ts";
import { underLock } from "./lock.ts";
import {
	checkTarget,
	type MigrationFile,
	readMigrationFiles,
	refuseUndecided,
} from "./migration-file.ts";
import { readModelState } from "./model-state.ts";
import { type PendingFile, runFile } from "./run-file.ts";
import { type LockTimeoutOptions, patientTransaction } from "./step.ts";

export interface MigrateOptions extends LockTimeoutOptions {
	/** A folder of .sql files of your own, each applied once, in the order of their numbers. @default none */
	readonly migrations?: string | undefined;
	/** The last of these files to apply; models wait then, too. @default all */
	readonly to?: string | undefined;
	readonly onProgress?: ((progress: MigrateProgress) => void) | undefined;
	/** Stops before the next file or step; what is applied stays. */
	readonly signal?: AbortSignal | undefined;
}

export const migrateChecks: OptionChecks<MigrateOptions> = {
	migrations: text,
	to: text,
	lockTimeoutMs: wholeNumber(1, longestWaitMs),
	lockAttempts: wholeNumber(1, 1_000_000),
	onProgress: progressCallback,
	signal,
};

/** The caller's options, and the logger of warnings. */
interface MigrateSettings extends MigrateOptions {
	readonly logger?: Logger;
	/** Schemas in which names of the files are looked for first. @default the role's own */
	readonly searchPath?: readonly string[] | undefined;
}

/** What a migration is at: `waiting` while another one runs. */
export type MigrateProgress =
	| { readonly kind: "waiting" }
	| {
			readonly kind: "applying";
			readonly name: string;
			/** The schema, where tenants are spread over several. */
			readonly bucket?: string;
	  };

export interface MigrateResult {
	/** What was applied, by name: files of this package, `file:<name>`, `entity:<table>`; with buckets behind `<schema>/`. Empty: all was up to date. */
	readonly applied: readonly string[];
}

/**
 * Brings the database to the models: our files, then the user's, then each
 * entity's table, vectors, triggers and indexes. Safe to run again and from
 * several processes.
 */
export async function migrate(
	db: Database,
	target: Target,
	options: MigrateSettings = {},
): Promise<MigrateResult> {
	const goal: Goal = { ...target, files: await filesOf(options) };
	if (await isUpToDate(db, goal, options)) return { applied: [] };
	const { signal, onProgress } = options;
	const { schema } = target.options;
	const onWait = () => onProgress?.({ kind: "waiting" });
	return underLock(
		db,
		{ schema, signal, onWait },
		async (session, checkLock) => {
			const checkGoOn = () => {
				signal?.throwIfAborted();
				checkLock();
			};
			return {
				applied: await applyAll(session, goal, { ...options, checkGoOn }),
			};
		},
	);
}

interface Goal extends Target {
	/** The user's; `undefined`: none are given. */
	readonly files: readonly MigrationFile[] | undefined;
}

export async function filesOf({
	migrations,
	to,
}: Pick<MigrateOptions, "migrations" | "to">): Promise<
	readonly MigrationFile[] | undefined
> {
	const files =
		migrations === undefined ? undefined : await readMigrationFiles(migrations);
	if (to !== undefined) checkTarget(to, files ?? []);
	return files;
}

/** Files still to be applied, in order, up to the one that was asked for; throws on a history that cannot be gone on with. */
export function pendingFiles(
	history: readonly FileStatus[],
	to: string | undefined,
): PendingFile[] {
	checkHistory(history);
	const last = history.findIndex(({ name }) => name === to);
	const wanted = last < 0 ? history : history.slice(0, last + 1);
	return wanted.flatMap((status) => {
		const { file, state } = status;
		const isPending = state === "pending" || state === "interrupted";
		return isPending && file !== undefined ? { ...status, file } : [];
	});
}

/** Whether {@link migrate} has nothing to do. */
export async function isMigrated(
	db: Database,
	target: Target,
	options: MigrateOptions,
): Promise<boolean> {
	const goal: Goal = { ...target, files: await filesOf(options) };
	return isUpToDate(db, goal, options);
}

/** Without a lock: another migration that works on it leaves it as it should be, or not up to date. */
async function isUpToDate(
	db: Database,
	goal: Goal,
	options: MigrateOptions,
): Promise<boolean> {
	const { files, options: diff } = goal;
	const { to } = options;
	return patientTransaction(db, options, async (tx) => {
		const ledger = await readLedger(tx, diff.schema);
		refuseNewer(ledger, diff);
		if (pendingBaseFiles(ledger, diff).length > 0) return false;
		if (
			files !== undefined &&
			pendingFiles(fileHistory(files, ledger), to).length > 0
		)
			return false;
		if (to !== undefined) return true;
		const state = await readModelState(tx, goal, ledger);
		return (
			state.absent.length === 0 &&
			state.changed.length === 0 &&
			!state.isBaseChanged
		);
	});
}

async function applyAll(
	session: Session,
	target: Goal,
	options: MigrateSettings & { readonly checkGoOn: () => void },
): Promise<string[]> {
	const { files } = target;
	const { schema } = target.options;
	const begin = (name: string) => {
		options.checkGoOn();
		options.onProgress?.({ kind: "applying", name });
	};
	const readApplied = () =>
		patientTransaction(session, options, (tx) => readLedger(tx, schema));
	begin("base files");
	const base = await applyBase(session, await readApplied(), {
		...options,
		...target.options,
	});
	const applied = [...base.applied];
	if (files !== undefined) {
		const history = fileHistory(files, await readApplied());
		const pending = pendingFiles(history, options.to);
		refuseUndecided(pending.map(({ file }) => file));
		for (const file of pending) {
			begin(file.name);
			const path = options.searchPath;
			if (path !== undefined) await session.script(searchPathText(path));
			await runFile(session, file, { ...options, schema });
			await session.script(repinText(session.processId));
			applied.push(filePrefix + file.name);
		}
	}
	if (options.to !== undefined) return applied;
	begin("models");
	const models = await applyModels(session, target, {
		...options,
		isBaseNew: base.isNew,
	});
	for (const warning of models.warnings) options.logger?.warn({}, warning);
	if (models.online.length > 0) begin("indexes");
	await applyOnline(session, models.online, { ...options, target });
	return [...applied, ...models.applied];
}

function searchPathText(schemas: readonly string[]): string {
	const names = schemas.map((schema) => ident(schema));
	return toText(sql`SET search_path TO ${join(names)}`);
}
