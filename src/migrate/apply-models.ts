import { dropInvalidIndex } from "../db/catalogue/indexes.ts";
import type { Handle, Session } from "../db/database.ts";
import { sendEach, sendInTransaction } from "../db/send-each.ts";
import { RemError } from "../errors.ts";
import type { EntityTable } from "../models/registry.ts";
import { hasWords } from "../schema/word-indexes.ts";
import { registerWords } from "../schema/words.ts";
import { toText } from "../sql.ts";
import { diffSchema, findRenamed } from "./diff/diff.ts";
import { entityText, newEntityText } from "./diff/diff-entity.ts";
import type { Difference } from "./diff/difference.ts";
import { renameWarning } from "./diff/renamed-tables.ts";
import type { Target } from "./expected.ts";
import { mayRecord, readLedger } from "./ledger.ts";
import {
	isKnown,
	ledgerName,
	noteModels,
	readModelState,
	readNewState,
} from "./model-state.ts";
import { relationsOf } from "./ownership.ts";
import {
	type LockTimeoutOptions,
	ownObjects,
	patiently,
	patientTransaction,
	stepFailed,
} from "./step.ts";

interface AppliedModels {
	/** By their names in the ledger. */
	readonly applied: readonly string[];
	/** Safe steps that remain to be taken outside the transaction. */
	readonly online: readonly Difference[];
	/** What you should know if you intended something else. */
	readonly warnings: readonly string[];
}

/** Makes what is missing and takes the safe steps, in one transaction; what needs more is `SCHEMA_DRIFT`. */
export function applyModels(
	session: Session,
	{ tables, options }: Target,
	settings: LockTimeoutOptions & {
		/** Whether our own tables were made just now, where there were none. */
		readonly isBaseNew: boolean;
	},
): Promise<AppliedModels> {
	const made = { ...settings, settings: ownObjects };
	return patientTransaction(session, made, async (tx) => {
		const started = performance.now();
		const ledger = await readLedger(tx, options.schema);
		const target = { tables, options };
		const state =
			(settings.isBaseNew ? await readNewState(tx, target) : undefined) ??
			(await readModelState(tx, target, ledger));
		const { absent, changed } = state;
		const isBaseChanged = state.isBaseChanged && !settings.isBaseNew;
		const differences =
			changed.length > 0 || isBaseChanged
				? await diffSchema(tx, changed, options)
				: [];
		refuseDrift(differences);
		const renames = await findRenamed(tx, { missing: absent, tables }, options);
		const safe = differences.filter(({ risk }) => risk === undefined);
		// After a restore all is as it was, and has to be compared once: a role that may not record it continues.
		const isDone = absent.length === 0 && safe.length === 0;
		if (isDone && !(await mayRecord(tx, options.schema)))
			return { applied: [], online: [], warnings: [] };
		for (const table of absent)
			await run(
				tx,
				ledgerName(table),
				state.withoutRemains.has(table)
					? newEntityText(table)
					: entityText(table),
			);
		for (const { table, phase, statements } of safe)
			if (phase === "transaction")
				await run(tx, `table "${table}"`, statements.join("\n"));
		// Another language, or more fields: their words are made again in the background.
		for (const table of changed)
			if (hasWords(table.entity))
				await run(
					tx,
					`table "${table.entity.wordsTableName}"`,
					toText(registerWords(table)),
				);
		await noteLeft(tx, differences);
		const durationMs = Math.round(performance.now() - started);
		const online = safe.filter(({ phase }) => phase === "online");
		await noteModels(tx, target, {
			ledger,
			durationMs,
			unfinished: new Set(online.map(({ table }) => table)),
		});
		const repaired = new Set(safe.map(({ table }) => table));
		const isApplied = (table: EntityTable) =>
			absent.includes(table) ||
			relationsOf(table).some((name) => repaired.has(name)) ||
			(changed.includes(table) && !isKnown(ledger, table));
		return {
			applied: tables.filter(isApplied).map(ledgerName),
			online,
			warnings: renames.map(renameWarning),
		};
	});
}

/** What stays as it is has been examined: the next migration does not report it as new. */
async function noteLeft(
	tx: Handle,
	differences: readonly Difference[],
): Promise<void> {
	const statements = differences.flatMap(({ whenLeft }) => whenLeft ?? []);
	if (statements.length === 0) return;
	try {
		await tx.transaction((inner) => sendEach(inner, statements.join("\n")));
	} catch (error) {
		// A role that does not own the table cannot; the owner's migration will.
		if (!(error instanceof RemError && error.sqlState === "42501")) throw error;
	}
}

/** Takes the steps that need no transaction, one by one, while others read and write. */
export async function applyOnline(
	session: Session,
	steps: readonly Difference[],
	settings: LockTimeoutOptions & { readonly target: Target },
): Promise<void> {
	const { schema } = settings.target.options;
	for (const { statements } of steps)
		for (const statement of statements)
			if (/^(?:CREATE|DROP) .*INDEX CONCURRENTLY /.test(statement))
				await changeIndex(session, statement, { ...settings, schema });
			else
				await patientTransaction(session, settings, (tx) =>
					sendEach(tx, withoutFrame(statement)),
				);
	if (steps.length > 0)
		await session.transaction(async (tx) =>
			noteModels(tx, settings.target, {
				ledger: await readLedger(tx, schema),
				durationMs: 0,
				unfinished: new Set(),
			}),
		);
}

/** The transaction is ours. */
function withoutFrame(statement: string): string {
	return statement.replace(/^BEGIN;/, "").replace(/COMMIT;$/, "");
}

/** IF NOT EXISTS takes the rest of a failed build for the index, and a failed build leaves one. */
async function changeIndex(
	session: Session,
	statement: string,
	options: LockTimeoutOptions & { readonly schema: string },
): Promise<void> {
	const [, name] =
		/^CREATE .*INDEX CONCURRENTLY IF NOT EXISTS "([^"]+)"/.exec(statement) ??
		[];
	const dropRest = async () => {
		if (name !== undefined)
			await dropInvalidIndex(session, [options.schema, name]);
	};
	try {
		// Another build on the same table, the indexer's, makes it a deadlock.
		await patiently(options, async () => {
			await dropRest();
			await session.script(statement);
		});
	} catch (cause) {
		if (name === undefined) throw cause;
		await dropRest();
		throw new RemError("INDEX_FAILED", `index "${name}" cannot be built`, {
			hint: "the rest of the migration is applied; remove the cause and migrate again",
			cause,
		});
	}
}

function refuseDrift(differences: readonly Difference[]): void {
	const drift = differences.filter(
		({ risk, blocks }) => risk !== undefined && blocks,
	);
	if (drift.length === 0) return;
	const tables = [...new Set(drift.map(({ table }) => table))];
	const parts = tables.map((table) => {
		const messages = drift
			.filter((one) => one.table === table)
			.flatMap((one) => one.messages);
		return `table "${table}" differs from its model: ${messages.join("; ")}`;
	});
	const renames = drift.flatMap(({ statements, risk }) =>
		risk?.kind === "rename" ? [`${statements.join(" ")} ${risk.reason}`] : [],
	);
	const hint =
		"`rem schema diff` shows the statements that would repair it; no model's table was changed";
	throw new RemError("SCHEMA_DRIFT", parts.join("; "), {
		hint: [
			...renames.map((rename) => `if it was renamed: ${rename}`),
			hint,
		].join("\n"),
	});
}

async function run(tx: Handle, name: string, text: string): Promise<void> {
	try {
		await sendInTransaction(tx, text);
	} catch (error) {
		throw stepFailed(error, name, "no model's table was changed");
	}
}
