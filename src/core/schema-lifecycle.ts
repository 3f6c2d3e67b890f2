import { optionalOptions, options } from "../calls/arguments.ts";
import { async, publicMethods } from "../calls/public-methods.ts";
import { type Database, limited } from "../db/database.ts";
import type { Logger } from "../logger.ts";
import { diffSchema } from "../migrate/diff/diff.ts";
import type { Difference } from "../migrate/diff/difference.ts";
import type { Target } from "../migrate/expected.ts";
import {
	isMigrated,
	type MigrateOptions,
	type MigrateResult,
	migrate,
	migrateChecks,
} from "../migrate/migrate.ts";
import { type MigrationPlan, planMigration } from "../migrate/plan.ts";
import { type Repaired, repairHistory } from "../migrate/repair.ts";
import { type MigrationStatus, readStatus } from "../migrate/status.ts";
import { listOf, text } from "../models/checks.ts";
import { required } from "../models/options.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import type { BaseOptions } from "../schema/base.ts";
import type { HnswOptions } from "../schema/index-types/definition.ts";

export interface SchemaLifecycleOptions extends BaseOptions {
	readonly hnsw: HnswOptions;
	readonly logger: Logger;
	/** Schemas in which names of your own files are looked for first. @default the role's own */
	readonly searchPath?: readonly string[] | undefined;
	readonly tables: () => readonly EntityTable[];
	/** The vectors that get HNSW indexes. */
	readonly space: () => VectorSpace | undefined;
}

/** The models against the database, from the first day to the hundredth change. */
export class SchemaLifecycle {
	readonly #db: Database;
	/** For all but migrations. */
	readonly #limited: Database;
	readonly #options: SchemaLifecycleOptions;
	#last: Promise<unknown> = Promise.resolve();

	/** @internal */
	constructor(db: Database, options: SchemaLifecycleOptions) {
		this.#db = db;
		this.#limited = limited(db);
		this.#options = options;
	}

	/**
	 * How the tables differ from the models, each difference with the SQL that
	 * repairs it; empty: they do not. Reads only.
	 */
	diff(): Promise<Difference[]> {
		const { tables, options } = this.#target;
		return diffSchema(this.#limited, tables, options);
	}

	/** What `migrate` would do. Reads only. */
	plan(
		options: Pick<MigrateOptions, "migrations" | "to"> = {},
	): Promise<MigrationPlan> {
		return planMigration(this.#limited, this.#target, options);
	}

	/** What was applied and what is to be, file by file and model by model. */
	status(
		options: Pick<MigrateOptions, "migrations"> = {},
	): Promise<MigrationStatus[]> {
		return readStatus(this.#limited, this.#target, options);
	}

	/** Accepts files of the folder that were edited, or removed, after they were applied. */
	repair(options: {
		readonly migrations: string;
		readonly names: readonly string[];
	}): Promise<Repaired[]> {
		return repairHistory(this.#limited, this.#options.schema, options);
	}

	/** @internal whether `migrate` has nothing to do */
	isUpToDate(options: MigrateOptions): Promise<boolean> {
		return isMigrated(this.#db, this.#target, options);
	}

	/** @internal one at a time: on the embedded database nothing else serialises two */
	migrate(options: MigrateOptions): Promise<MigrateResult> {
		const { logger, searchPath } = this.#options;
		const turn = this.#last.then(() =>
			migrate(this.#db, this.#target, { ...options, logger, searchPath }),
		);
		this.#last = turn.catch(() => {
			// The caller gets the error.
		});
		return turn;
	}

	get #target(): Target {
		const { schema, kvPersistence, hnsw, tables, space } = this.#options;
		const embedding = space();
		return {
			tables: tables(),
			options: {
				schema,
				kvPersistence,
				hnsw,
				...(embedding === undefined ? {} : { embedding }),
			},
		};
	}
}

const { migrations, to } = migrateChecks;

publicMethods<SchemaLifecycle>()(
	SchemaLifecycle,
	{
		diff: async(),
		plan: async(optionalOptions({ migrations, to })),
		status: async(optionalOptions({ migrations })),
		repair: async(
			options<{ migrations: string; names: readonly string[] }>({
				migrations: required(text),
				names: required(listOf(text)),
			}),
		),
	},
	["migrate", "isUpToDate"],
);
