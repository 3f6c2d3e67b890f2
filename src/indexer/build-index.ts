import { dropIndex, readIndexes } from "../db/catalogue/indexes.ts";
import type { Handle } from "../db/database.ts";
import { sendEach } from "../db/send-each.ts";
import { boundedName } from "../models/names.ts";
import { type DeclaredIndex, definitionOf } from "../schema/index-types.ts";
import { createIndex } from "../schema/indexes.ts";
import { ident, literal, raw, sql, toText } from "../sql.ts";
import { readRunningBuilds } from "./build-progress.ts";
import { readIndexStates } from "./index-state.ts";

/** Where to build, and the settings of the server for it. */
interface BuildOptions {
	readonly schema: string;
	readonly lockTimeoutMs: number;
	readonly memoryMb: number | undefined;
	/** `undefined`: as many as the server is configured for. */
	readonly parallelWorkers: number | undefined;
}

/** A client that does not use our locks builds on the table, psql for instance. */
export class TableBusy extends Error {}

/**
 * Brings one index to its declaration, on a connection of its own that owns
 * the table's lock: clears what a dead build left, builds while others write,
 * puts a changed one beside the old one and swaps them. May be stopped anywhere
 * and run again.
 */
export async function buildIndex(
	session: Handle,
	index: DeclaredIndex,
	options: BuildOptions,
): Promise<void> {
	const { schema } = options;
	await refuseBusyTable(session, schema, index);
	try {
		await setLimits(session, options);
		await clearLeftovers(session, schema, index);
		const state = await stateOf(session, schema, index);
		if (state === "changed") return await replace(session, schema, index);
		await dropIndex(session, schema, namesBeside(index.name).next);
		if (state !== "valid") await create(session, schema, index);
	} finally {
		await resetLimits(session);
	}
}

async function refuseBusyTable(
	session: Handle,
	schema: string,
	{ tableName }: DeclaredIndex,
): Promise<void> {
	const running = await readRunningBuilds(session, schema);
	if (running.some((build) => build.tableName === tableName))
		throw new TableBusy(`another index is being built on "${tableName}"`);
}

const settings = {
	lock_timeout: ({ lockTimeoutMs }: BuildOptions) => `${lockTimeoutMs}ms`,
	statement_timeout: () => "0",
	idle_session_timeout: () => "0",
	maintenance_work_mem: ({ memoryMb }: BuildOptions) =>
		memoryMb === undefined ? undefined : `${memoryMb}MB`,
	max_parallel_maintenance_workers: ({ parallelWorkers }: BuildOptions) =>
		parallelWorkers?.toString(),
} as const;

/** In statements of their own: CONCURRENTLY must not share a text with others. */
async function setLimits(
	session: Handle,
	options: BuildOptions,
): Promise<void> {
	const statements = Object.entries(settings).flatMap(([name, choose]) => {
		const value = choose(options);
		return value === undefined
			? []
			: toText(sql`SET ${raw(name)} = ${literal(value)};`);
	});
	await sendEach(session, statements.join("\n"));
}

/** The embedded database continues with the same connection. */
async function resetLimits(session: Handle): Promise<void> {
	const statements = Object.keys(settings).map((name) => `RESET ${name};`);
	await sendEach(session, statements.join("\n")).catch(() => {
		// The connection is gone, and its settings with it.
	});
}

async function stateOf(session: Handle, schema: string, index: DeclaredIndex) {
	const { compared } = await readIndexStates(session, schema, [index]);
	return compared[0]?.state;
}

async function create(
	session: Handle,
	schema: string,
	index: DeclaredIndex,
): Promise<void> {
	const statement = createIndex(schema, index, {
		concurrently: true,
		mustBeNew: true,
	});
	try {
		await session.script(toText(statement));
	} catch (error) {
		await clearSoon(session, schema, index);
		throw error;
	}
	await analyzeExpressions(session, schema, index);
}

/**
 * ANALYZE gathers statistics of an expression once it has an index. Until then
 * the planner expects one row of it: TRAVERSE against the edges took seconds where
 * the index gives milliseconds.
 */
async function analyzeExpressions(
	session: Handle,
	schema: string,
	index: DeclaredIndex,
): Promise<void> {
	// The order of vectors needs no statistics, and they are long to read.
	if (definitionOf(index).vectors !== undefined) return;
	const { name, tableName } = index;
	const stored = await readIndexes(session, schema, [tableName]);
	if (!stored.some((one) => one.name === name && one.hasExpressions)) return;
	await session
		.script(`ANALYZE ${toText(ident(schema, tableName))}`)
		.catch(() => {
			// The index is built all the same, and autovacuum will analyze it.
		});
}

/** Invalid, every write may still maintain it. What blocked the build may block this: then the next attempt does it. */
async function clearSoon(
	session: Handle,
	schema: string,
	index: DeclaredIndex,
): Promise<void> {
	try {
		await session.script("SET lock_timeout = '1s'");
		await clearLeftovers(session, schema, index);
	} catch {
		// The first error is the one to report.
	}
}

async function replace(
	session: Handle,
	schema: string,
	index: DeclaredIndex,
): Promise<void> {
	const { next, old } = namesBeside(index.name);
	const beside = { ...index, name: next };
	if ((await stateOf(session, schema, beside)) !== "valid") {
		await dropIndex(session, schema, next);
		await create(session, schema, beside);
	}
	// Names only: no lock on the table, so no statement waits.
	await session.transaction((tx) =>
		sendEach(
			tx,
			`${rename(schema, index.name, old)}${rename(schema, next, index.name)}`,
		),
	);
	await dropIndex(session, schema, old);
}

/** Where the next index is built, and where the last one waits to be dropped. */
function namesBeside(name: string): { next: string; old: string } {
	return {
		next: boundedName(`${name}__next`),
		old: boundedName(`${name}__old`),
	};
}

function rename(schema: string, from: string, to: string): string {
	return toText(
		sql`ALTER INDEX ${ident(schema, from)} RENAME TO ${ident(to)};\n`,
	);
}

/** Drops what dead builds of the index left; the owner of the lock knows that none is alive. */
async function clearLeftovers(
	session: Handle,
	schema: string,
	index: Pick<DeclaredIndex, "name" | "tableName">,
): Promise<void> {
	const live = await readIndexes(session, schema, [index.tableName]);
	for (const { name, isValid } of live)
		if (isLeftover(index.name, name, isValid))
			await dropIndex(session, schema, name);
}

/** Whether `found` is left over from building `name`, by us or by REINDEX CONCURRENTLY. */
export function isLeftover(
	name: string,
	found: string,
	isValid: boolean,
): boolean {
	const { next, old } = namesBeside(name);
	if (found === old) return true;
	if (isValid) return false;
	if (found === name || found === next) return true;
	const [, stem] = /^(.+)_cc(?:new|old)\d*$/.exec(found) ?? [];
	// PostgreSQL cuts the stem where the whole would be too long.
	return stem === name || (found.length >= 63 && name.startsWith(stem ?? " "));
}
