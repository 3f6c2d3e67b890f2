import {
	dropInvalidIndex,
	readIndexPresence,
} from "../db/catalogue/indexes.ts";
import type { Handle, Session } from "../db/database.ts";
import { RemError, withParts } from "../errors.ts";
import type { SqlNode } from "../sql-grammar.ts";
import { type FileStatus, filePrefix } from "./history.ts";
import { type LedgerEntry, record, sha256 } from "./ledger.ts";
import type { MigrationFile } from "./migration-file.ts";
import { type FileStatement, splitStatements } from "./split-statements.ts";
import {
	type LockTimeoutOptions,
	patientTransaction,
	stepFailed,
} from "./step.ts";

export interface PendingFile extends FileStatus {
	readonly file: MigrationFile;
}

interface RunOptions extends LockTimeoutOptions {
	readonly schema: string;
	/** Throws when the migration must stop: cancelled, or the lock was lost. */
	readonly checkGoOn: () => void;
}

/** Applies a file of the user's: all of it or nothing, unless it states that it is no transaction. */
export async function runFile(
	session: Session,
	{ file, entry }: PendingFile,
	options: RunOptions,
): Promise<void> {
	const statements = await splitStatements(file.name, file.text);
	const run: FileRun = { ...options, session, file };
	if (file.isTransaction) await runInTransaction(run, statements);
	else await runOneByOne(run, toUnits(file, statements), entry);
}

/** A file on its way into the database. */
interface FileRun extends RunOptions {
	readonly session: Session;
	readonly file: MigrationFile;
}

async function runInTransaction(
	run: FileRun,
	statements: readonly FileStatement[],
): Promise<void> {
	const { session, file, schema } = run;
	const inside = withoutFrame(file, statements);
	for (const statement of inside) refuseOutside(file, statement);
	const started = performance.now();
	await patientTransaction(session, run, async (tx) => {
		for (const statement of inside) await runStatement(tx, file, statement);
		await record(tx, schema, {
			name: filePrefix + file.name,
			sha256: file.sha256,
			durationMs: Math.round(performance.now() - started),
		});
	});
}

/** A BEGIN and COMMIT around everything, as psql needs them, are ours already. */
function withoutFrame(
	file: MigrationFile,
	statements: readonly FileStatement[],
): readonly FileStatement[] {
	const isFramed =
		transactionKind(statements[0]) === "BEGIN" &&
		transactionKind(statements.at(-1)) === "COMMIT";
	const inside = isFramed ? statements.slice(1, -1) : statements;
	const control = inside.find(
		(statement) => transactionKind(statement) !== undefined,
	);
	if (control === undefined) return inside;
	throw new RemError(
		"MIGRATION_FAILED",
		`${place(file, control)}: a file is one transaction, and this ends or begins one`,
		{ hint: "split the file, or begin it with -- rem: no-transaction" },
	);
}

function refuseOutside(file: MigrationFile, statement: FileStatement): void {
	if (!runsOutside(statement.node)) return;
	throw new RemError(
		"MIGRATION_FAILED",
		`${place(file, statement)}: this cannot run in a transaction`,
		{ hint: "put it into a file that begins with -- rem: no-transaction" },
	);
}

/** One or several statements that are done or not done together. */
interface Unit {
	readonly statements: readonly FileStatement[];
	readonly text: string;
}

/** BEGIN … COMMIT in a file that is no transaction is one for the statements between them. */
function toUnits(
	file: MigrationFile,
	statements: readonly FileStatement[],
): Unit[] {
	const units: Unit[] = [];
	let open: FileStatement[] | undefined;
	for (const statement of statements) {
		const kind = transactionKind(statement);
		if (kind === "BEGIN") open = [];
		else if (kind !== undefined && open !== undefined) {
			units.push(toUnit(open));
			open = undefined;
		} else if (open !== undefined) open.push(statement);
		else units.push(toUnit([statement]));
	}
	if (open === undefined) return units;
	throw new RemError(
		"MIGRATION_FAILED",
		`${file.name}: a transaction is begun and not ended`,
		{ hint: "end it with COMMIT" },
	);
}

function toUnit(statements: readonly FileStatement[]): Unit {
	return { statements, text: statements.map(({ text }) => text).join(";\n") };
}

/**
 * What is done is recorded after each statement, in its own transaction where it
 * can be; so a file that was interrupted continues where it stopped.
 */
async function runOneByOne(
	run: FileRun,
	units: readonly Unit[],
	entry: LedgerEntry | undefined,
): Promise<void> {
	const { session, file, schema } = run;
	const isResumed = entry !== undefined && entry.durationMs === null;
	const done = isResumed ? (entry.statementsDone ?? 0) : 0;
	if (isResumed) checkDonePart(file, units.slice(0, done), entry);
	const note = (tx: Handle, count: number) =>
		record(tx, schema, {
			name: filePrefix + file.name,
			sha256: hashOf(units.slice(0, count)),
			durationMs: null,
			statementsDone: count,
		});
	const started = performance.now();
	if (!isResumed) await note(session, 0);
	for (const [at, unit] of units.entries()) {
		if (at < done) continue;
		run.checkGoOn();
		try {
			await runUnit(run, unit, {
				mayBeDone: isResumed && at === done,
				note: (tx) => note(tx, at + 1),
			});
		} catch (error) {
			throw stopped(error, at, units.length);
		}
	}
	await record(session, schema, {
		name: filePrefix + file.name,
		sha256: file.sha256,
		durationMs: Math.round(performance.now() - started),
	});
}

interface UnitOptions {
	/** Whether an interrupted run may have done it and not recorded it. */
	readonly mayBeDone: boolean;
	readonly note: (tx: Handle) => Promise<void>;
}

async function runUnit(
	run: FileRun,
	{ statements }: Unit,
	{ mayBeDone, note }: UnitOptions,
): Promise<void> {
	const { session, file } = run;
	const [first] = statements;
	if (first !== undefined && runsOutside(first.node)) {
		if (!(await isRepaired(session, first, mayBeDone)))
			await runStatement(session, file, first);
		return note(session);
	}
	await patientTransaction(session, run, async (tx) => {
		for (const statement of statements) await runStatement(tx, file, statement);
		await note(tx);
	});
}

/** Drops what a failed build left; returns whether there is nothing more to do. */
async function isRepaired(
	session: Session,
	{ node }: FileStatement,
	mayBeDone: boolean,
): Promise<boolean> {
	if ("DropStmt" in node) {
		if (!mayBeDone) return false;
		const names = (node.DropStmt.objects ?? []).map(nameOf);
		const states = await Promise.all(
			names.map((name) => readIndexPresence(session, name)),
		);
		return states.every((state) => state === "missing");
	}
	if (!("IndexStmt" in node)) return false;
	const { idxname, relation } = node.IndexStmt;
	if (idxname === undefined) return false;
	const name = [
		...(relation?.schemaname === undefined ? [] : [relation.schemaname]),
		idxname,
	];
	const state = await readIndexPresence(session, name);
	if (state === "invalid") await dropInvalidIndex(session, name);
	return state === "valid" && mayBeDone;
}

/** `a.b` as the grammar gives it. */
function nameOf(node: SqlNode): string[] {
	const items = "List" in node ? (node.List.items ?? []) : [node];
	return items.flatMap((item) =>
		"String" in item && item.String.sval !== undefined ? item.String.sval : [],
	);
}

function checkDonePart(
	file: MigrationFile,
	done: readonly Unit[],
	entry: LedgerEntry,
): void {
	if (hashOf(done) === entry.sha256) return;
	throw new RemError(
		"MIGRATION_FAILED",
		`${file.name} was interrupted after ${entry.statementsDone} statements, and these were edited since`,
		{ hint: "restore what was applied; what follows may be edited" },
	);
}

function hashOf(units: readonly Unit[]): string {
	return sha256(units.map(({ text }) => text).join(";\n"));
}

async function runStatement(
	tx: Handle,
	file: MigrationFile,
	statement: FileStatement,
): Promise<void> {
	try {
		await tx.script(statement.text);
	} catch (error) {
		throw stepFailed(
			error,
			place(file, statement),
			"nothing of the file was applied; correct it and migrate again",
		);
	}
}

function stopped(error: unknown, at: number, count: number): unknown {
	if (!(error instanceof RemError) || error.code !== "MIGRATION_FAILED")
		return error;
	return withParts(error, {
		hint: `${at} of its ${count} statements are applied; correct the rest and migrate again: it continues there`,
	});
}

function place({ name }: MigrationFile, { line }: FileStatement): string {
	return `${name}, line ${line}`;
}

/** BEGIN, COMMIT and the like; savepoints are a file's own affair. */
function transactionKind(
	statement: FileStatement | undefined,
): "BEGIN" | "COMMIT" | "other" | undefined {
	const node = statement?.node;
	if (node === undefined || !("TransactionStmt" in node)) return undefined;
	switch (node.TransactionStmt.kind) {
		case "TRANS_STMT_BEGIN":
		case "TRANS_STMT_START":
			return "BEGIN";
		case "TRANS_STMT_COMMIT":
			return "COMMIT";
		case "TRANS_STMT_SAVEPOINT":
		case "TRANS_STMT_RELEASE":
		case "TRANS_STMT_ROLLBACK_TO":
			return undefined;
		default:
			return "other";
	}
}

/** What PostgreSQL refuses inside a transaction, and what may commit by itself. */
function runsOutside(node: SqlNode): boolean {
	if ("IndexStmt" in node) return node.IndexStmt.concurrent === true;
	if ("DropStmt" in node) return node.DropStmt.concurrent === true;
	if ("ReindexStmt" in node)
		return (
			/DATABASE|SYSTEM|SCHEMA/.test(node.ReindexStmt.kind ?? "") ||
			(node.ReindexStmt.params ?? []).some(
				(param) =>
					"DefElem" in param && param.DefElem.defname === "concurrently",
			)
		);
	if ("VacuumStmt" in node) return node.VacuumStmt.is_vacuumcmd === true;
	return [
		"AlterSystemStmt",
		"CreatedbStmt",
		"DropdbStmt",
		"CreateTableSpaceStmt",
		"DropTableSpaceStmt",
		"CallStmt",
	].some((kind) => kind in node);
}
