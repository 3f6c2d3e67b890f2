import { createHash } from "node:crypto";
import type { Database, Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import type { EntityTable } from "../models/registry.ts";
import { type BaseOptions, baseFiles } from "../schema/base.ts";
import { createIndex } from "../schema/declared-index.ts";
import { embeddingsDdl, tableDdl } from "../schema/entity-ddl.ts";
import { foregroundIndexes, indexesDdl } from "../schema/indexes.ts";
import { dropKvTriggerDdl, kvTriggerDdl } from "../schema/kv-trigger.ts";
import { ident, join, sql, toText } from "../sql.ts";
import {
	checkInternalTables,
	type LiveTable,
	readLiveTables,
} from "./live-tables.ts";
import { columnSteps } from "./steps.ts";

export interface MigrateResult {
	/** What was applied, by name: files, then `entity:<table>`. Empty: it was up to date. */
	readonly applied: readonly string[];
}

/**
 * Brings the database to the models: base files, then each entity's table,
 * vectors, triggers and indexes. Safe to run again and from several processes;
 * all of it is applied, or nothing, but for indexes on tables that have rows:
 * these are built afterwards, without blocking writers.
 */
export async function migrate(
	db: Database,
	tables: readonly EntityTable[],
	options: BaseOptions,
): Promise<MigrateResult> {
	const { applied, indexLater } = await underLock(db, options.schema, (tx) =>
		migrateTransaction(tx, tables, options),
	);
	for (const table of indexLater) await buildMissingIndexes(db, table);
	return { applied };
}

interface Migrated {
	readonly applied: string[];
	readonly indexLater: EntityTable[];
}

async function migrateTransaction(
	tx: Handle,
	tables: readonly EntityTable[],
	options: BaseOptions,
): Promise<Migrated> {
	await checkInternalTables(tx, options.schema);
	const ledger = await readLedger(tx, options.schema);
	const applied: string[] = [];
	for (const { name, text } of baseFiles(options))
		if (ledger.get(name) !== sha256(text)) {
			await apply(tx, options.schema, name, text, text);
			applied.push(name);
		}
	const live = await readLiveTables(tx, options.schema, tables);
	const indexLater: EntityTable[] = [];
	for (const table of tables) {
		const name = `entity:${table.entity.tableName}`;
		const found = live.get(table.entity.tableName);
		const definition = definitionText(table);
		const isKnown = ledger.get(name) === sha256(definition);
		const steps =
			found === undefined ? [] : columnSteps(table, found, !isKnown);
		const lacksIndex = foregroundIndexes(table).some(
			(index) => found?.indexes.has(index.name) === false,
		);
		if (found?.hasRows && lacksIndex) indexLater.push(table);
		const isCurrent =
			isKnown &&
			found !== undefined &&
			steps.length === 0 &&
			(found.hasRows || !lacksIndex);
		if (isCurrent) continue;
		const changes = steps.map((step) => `${toText(step)};\n`).join("");
		const text = changes + entityText(table, found);
		await apply(tx, options.schema, name, text, definition);
		applied.push(name);
	}
	return { applied, indexLater };
}

/** What is run: a table that has rows gets its indexes later, without a lock on it. */
function entityText(table: EntityTable, found: LiveTable | undefined): string {
	const indexes = found?.hasRows ? [] : [indexesDdl(table)];
	const hasLostCache = found !== undefined && !table.entity.createKvTrigger;
	const kvTrigger = hasLostCache
		? dropKvTriggerDdl(table)
		: kvTriggerDdl(table);
	return toText(
		join([tableDdl(table), embeddingsDdl(table), kvTrigger, ...indexes], ""),
	);
}

/** What the ledger knows the entity by: all that its model says. */
function definitionText(table: EntityTable): string {
	return entityText(table, undefined);
}

async function buildMissingIndexes(
	db: Database,
	table: EntityTable,
): Promise<void> {
	for (const index of foregroundIndexes(table)) {
		const { name } = index;
		await dropInvalidIndex(db, table.schema, name);
		const statement = createIndex(table.schema, index, { concurrently: true });
		try {
			await db.script(toText(statement));
		} catch (cause) {
			await dropInvalidIndex(db, table.schema, name);
			throw new RemError("INDEX_FAILED", `index "${name}" cannot be built`, {
				hint: "the rest of the migration is applied; mend the cause and migrate again",
				cause,
			});
		}
	}
}

/** IF NOT EXISTS takes the rest of a failed build for the index. */
async function dropInvalidIndex(
	db: Database,
	schema: string,
	name: string,
): Promise<void> {
	const { rowCount } = await db.query(sql`
SELECT FROM pg_index
WHERE indexrelid = to_regclass(${toText(ident(schema, name))}) AND NOT indisvalid`);
	if (rowCount > 0)
		await db.script(`DROP INDEX CONCURRENTLY ${toText(ident(schema, name))}`);
}

const lockPollMs = 50;

/** One migrator at a time. Polled: waiting for a lock inside a transaction deadlocks with CONCURRENTLY. */
async function underLock<T>(
	db: Database,
	schema: string,
	work: (tx: Handle) => Promise<T>,
): Promise<T> {
	for (;;) {
		const done = await db.transaction(async (tx) => {
			const { rows } = await tx.query<{ taken: boolean }>(
				sql`SELECT pg_try_advisory_xact_lock(hashtextextended(${`remdb migrate ${schema}`}, 0)) AS taken`,
			);
			return rows[0]?.taken === true ? { result: await work(tx) } : undefined;
		});
		if (done !== undefined) return done.result;
		await new Promise((resolve) => setTimeout(resolve, lockPollMs));
	}
}

async function readLedger(
	tx: Handle,
	schema: string,
): Promise<Map<string, string>> {
	const table = ident(schema, "rem_migrations");
	const { rowCount } = await tx.query(
		sql`SELECT WHERE to_regclass(${toText(table)}) IS NOT NULL`,
	);
	if (rowCount === 0) return new Map();
	const { rows } = await tx.query<{ name: string; sha256: string }>(
		sql`SELECT name, sha256 FROM ${table}`,
	);
	return new Map(rows.map((row) => [row.name, row.sha256]));
}

async function apply(
	tx: Handle,
	schema: string,
	name: string,
	text: string,
	definition: string,
): Promise<void> {
	const started = performance.now();
	try {
		await tx.script(text);
	} catch (cause) {
		throw migrationFailed(name, cause);
	}
	await tx.query(sql`
INSERT INTO ${ident(schema, "rem_migrations")} (name, sha256, duration_ms)
VALUES (${name}, ${sha256(definition)}, ${Math.round(performance.now() - started)})
ON CONFLICT (name) DO UPDATE SET
  sha256 = excluded.sha256, duration_ms = excluded.duration_ms,
  applied_at = now(), applied_by = current_user`);
}

function migrationFailed(name: string, cause: unknown): RemError {
	const { message, sqlState } = cause as RemError;
	const state = sqlState === undefined ? {} : { sqlState };
	if (sqlState === "42501" && name.startsWith("001"))
		return new RemError(
			"EXTENSION_MISSING",
			"this user may not create the extensions vector, pg_trgm and btree_gin",
			{
				hint: "let a superuser run, in this database: CREATE EXTENSION vector; CREATE EXTENSION pg_trgm; CREATE EXTENSION btree_gin",
				cause,
				...state,
			},
		);
	return new RemError("MIGRATION_FAILED", `${name}: ${message}`, {
		hint: "nothing of this migration was applied",
		cause,
		...state,
	});
}

function sha256(text: string): string {
	return createHash("sha256").update(text).digest("hex");
}
