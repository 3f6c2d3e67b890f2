import { readRelationHeads } from "../db/catalogue/relations.ts";
import type { Session } from "../db/database.ts";
import { sendInTransaction } from "../db/send-each.ts";
import { RemError } from "../errors.ts";
import { type BaseOptions, baseFiles } from "../schema/base.ts";
import { sql } from "../sql.ts";
import { readFunctionTraces } from "./fingerprint.ts";
import { type Ledger, record, sha256 } from "./ledger.ts";
import { baseNames, checkOwnership } from "./ownership.ts";
import {
	type LockTimeoutOptions,
	ownObjects,
	patientTransaction,
	stepFailed,
} from "./step.ts";

interface AppliedBase {
	/** Names of files. */
	readonly applied: readonly string[];
	/** Whether nothing of ours was there before: then it is as the files make it. */
	readonly isNew: boolean;
}

/** Applies the files of ours that are new or changed; their statements may run again. */
export async function applyBase(
	session: Session,
	ledger: Ledger,
	options: BaseOptions & LockTimeoutOptions,
): Promise<AppliedBase> {
	refuseNewer(ledger, options);
	const names = baseNames(options).relations;
	const before = await readRelationHeads(session, options.schema, { names });
	checkOwnership([], names, {
		relations: new Map(before.map((one) => [one.name, one])),
	});
	const isNew =
		before.length === 0 && (await readFunctionTraces(session, options)) === "";
	const applied: string[] = [];
	for (const { name, text } of pendingBaseFiles(ledger, options)) {
		const started = performance.now();
		try {
			const made = { ...options, settings: ownObjects };
			await patientTransaction(session, made, async (tx) => {
				await sendInTransaction(tx, text);
				await record(tx, options.schema, {
					name,
					sha256: sha256(text),
					durationMs: Math.round(performance.now() - started),
				});
			});
		} catch (cause) {
			throw await baseFailed(session, name, cause);
		}
		applied.push(name);
	}
	return { applied, isNew };
}

export function pendingBaseFiles(ledger: Ledger, base: BaseOptions) {
	return baseFiles(base).filter(
		({ name, text }) => ledger.get(name)?.sha256 !== sha256(text),
	);
}

/** An older package must not work on tables it does not know. */
export function refuseNewer(ledger: Ledger, base: BaseOptions): void {
	const known = new Set(baseFiles(base).map(({ name }) => name));
	const newer = [...ledger.keys()].find(
		(name) => /^\d+_.*\.sql$/.test(name) && !known.has(name),
	);
	if (newer === undefined) return;
	throw new RemError(
		"MIGRATION_FAILED",
		`the database was migrated by a newer version of remdb, which has ${newer}`,
		{ hint: "upgrade the package remdb; there is no downgrade" },
	);
}

async function baseFailed(
	session: Session,
	name: string,
	error: unknown,
): Promise<unknown> {
	const failure = stepFailed(error, name, "nothing of this file was applied");
	if (!(failure instanceof RemError) || failure.sqlState !== "42501")
		return failure;
	const missing = await missingExtensions(session);
	if (missing.length === 0) return failure;
	return new RemError(
		"EXTENSION_MISSING",
		`this user may not create the ${missing.length === 1 ? "extension" : "extensions"} ${missing.join(", ")}`,
		{
			hint: `let a superuser run, in this database: ${missing.map((extension) => `CREATE EXTENSION ${extension}`).join("; ")}`,
			cause: failure.cause,
			sqlState: failure.sqlState,
		},
	);
}

async function missingExtensions(session: Session): Promise<string[]> {
	const { rows } = await session.query<{ name: string }>(sql`
SELECT name FROM unnest('{vector,pg_trgm,btree_gin}'::text[]) AS name
WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = name)`);
	return rows.map(({ name }) => name);
}
