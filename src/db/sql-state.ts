import { RemError } from "../errors.ts";
import { membersOf } from "../util/present.ts";
import { tlsHint } from "./tls.ts";

/** What both `pg` and PGlite put on their errors. */
interface DatabaseFailure {
	readonly message: string;
	readonly code?: string;
	readonly severity?: string;
	readonly schema?: string;
	readonly table?: string;
	readonly column?: string;
	readonly constraint?: string;
	readonly routine?: string;
}

/**
 * The one place where database errors are recognised: by SQLSTATE, and by its
 * absence, which means that the connection is gone.
 *
 * Their `detail` and `where`, and for some classes the `message`, contain values of
 * rows: these stay out of what is thrown, `cause` included.
 */
export function toRemError(error: unknown): RemError {
	if (error instanceof RemError) return error;
	const failure = error as DatabaseFailure;
	const cause = withoutContent(failure);
	const sqlState = sqlStateOf(failure);
	// Thrown before anything was sent: the connection has no part in it.
	if (error instanceof TypeError || error instanceof RangeError)
		return new RemError(
			"VALIDATION",
			"a value of the statement cannot be sent",
			{
				hint: "values are strings, numbers, booleans, null, dates, Buffers, arrays and JSON",
				cause,
			},
		);
	if (isWrongCount(failure))
		return new RemError(
			"VALIDATION",
			"the number of values is not that of the statement's parameters",
			{
				hint: "pass one value for each of $1, $2, …",
				cause,
				sqlState: "08P01",
			},
		);
	if (sqlState === undefined) return unreachable(failure, cause);
	if (isNodeLost(failure))
		return new RemError(
			"CONNECTION_FAILED",
			"the coordinator lost its connection to a node of the cluster",
			{
				hint: "the node restarts or fails over: run it again once the node answers",
				cause,
				sqlState,
			},
		);
	const known = recognise(sqlState);
	return new RemError(
		known.code,
		known.message ?? describe(sqlState, failure),
		{
			...(known.hint === undefined ? {} : { hint: known.hint }),
			cause,
			sqlState,
		},
	);
}

/** The server reports it in the class of lost connections, and continues. */
function isWrongCount({ code, routine }: DatabaseFailure): boolean {
	return code === "08P01" && routine === "exec_bind_message";
}

const internalError = "XX000";
const ioError = "58030";

/**
 * The coordinator of a Citus cluster lost its connection to a node, and what was
 * not committed there. Citus reports this as an internal error. A failure that a
 * node itself reports with this SQLSTATE comes from the same routine: the text is
 * all that distinguishes it from one of the client library of the coordinator.
 */
function isNodeLost({ code, routine = "", message }: DatabaseFailure): boolean {
	if (code === ioError) return routinesOfLostCopies.has(routine);
	if (code !== internalError) return false;
	return (
		routinesOfLostNodes.has(routine) ||
		(routine === "ReportResultError" && ofClientLibrary.test(message.trim()))
	);
}

/** These report a failed connection, a failed PREPARE and a failed COMMIT of a node. */
const routinesOfLostNodes = new Set([
	"MarkRemoteTransactionFailed",
	"CheckRemoteTransactionsHealth",
	"FinishRemoteTransactionPrepare",
	"ErrorIfPostCommitFailedShardPlacements",
]);

/** Rows that Citus sends to a node by COPY, as of some INSERT … SELECT. */
const routinesOfLostCopies = new Set([
	"SendCopyDataToPlacement",
	"EndRemoteCopy",
]);

const ofClientLibrary =
	/^$|^server closed the connection|^could not (receive data from|send data to) server|^SSL (SYSCALL )?error|^SSL connection has been closed|^no connection to the server|^connection (not open|pointer is NULL|to server )|^lost synchronization with server|terminated abnormally/;

/** No SQLSTATE: the server had no part in it, or none any more. */
function unreachable({ code, message }: DatabaseFailure, cause: Error) {
	const ofTls = tlsHint(code);
	const what = ofTls === undefined ? (code ?? message) : message;
	return new RemError(
		"CONNECTION_FAILED",
		`connection to the database failed: ${what}`,
		{
			hint:
				ofTls ?? "check that the server runs and that host and port are right",
			cause,
		},
	);
}

/** Whether the connection itself is of no more use, so that it must not go back to the pool. */
export function isConnectionLost(error: unknown): boolean {
	return (
		error instanceof RemError &&
		(error.code === "CONNECTION_FAILED" || error.code === "OUTCOME_UNKNOWN")
	);
}

/** Serialization failure or deadlock: the whole transaction was rolled back and may be run again. */
export function isRolledBack(error: unknown): boolean {
	return (
		error instanceof RemError &&
		(error.sqlState === "40001" || error.sqlState === "40P01")
	);
}

/**
 * Whether the same may succeed on another connection a moment later: the server
 * restarts, fails over, is full, or was replaced as the primary.
 */
export function isTransient(error: unknown): boolean {
	if (!(error instanceof RemError)) return false;
	const { code, sqlState, cause } = error;
	if (ofSetting.has(error)) return false;
	if (sqlState !== undefined)
		return (
			transientStates.has(sqlState) ||
			sqlState.startsWith("08") ||
			// Of a node of a Citus cluster.
			((sqlState === internalError || sqlState === ioError) &&
				code === "CONNECTION_FAILED") ||
			isStalePlan(error) ||
			isStatementLost(error)
		);
	// One of our own, such as "the database is closed", has no cause.
	const isOfConnection =
		code === "CONNECTION_FAILED" || code === "OUTCOME_UNKNOWN";
	return isOfConnection && cause !== undefined;
}

const readOnlyServer = "25006";

const transientStates = new Set([
	readOnlyServer,
	"53200",
	"53300",
	"57P01",
	"57P02",
	"57P03",
	"57P05",
]);

/** The server takes no writes: it is not, or no longer, the primary. */
export function isReadOnlyServer(error: unknown): boolean {
	return (
		error instanceof RemError &&
		error.sqlState === readOnlyServer &&
		!ofSetting.has(error)
	);
}

/** Refusals of a primary whose database or role is read-only by a setting. */
const ofSetting = new WeakSet<RemError>();

/** The error of a write that `default_transaction_read_only` refuses: no other connection takes it. */
export function readOnlyBySetting({ cause }: RemError): RemError {
	const error = new RemError(
		"DATABASE",
		"default_transaction_read_only is on for this role or database: nothing can be written",
		{
			hint: "ALTER ROLE … RESET default_transaction_read_only, or ALTER DATABASE … RESET it, and connect again; after a switchover connect to the new primary",
			sqlState: readOnlyServer,
			cause,
		},
	);
	ofSetting.add(error);
	return error;
}

/** A table changed under a statement that this connection knows by name. */
export function isStalePlan(error: unknown): boolean {
	if (!(error instanceof RemError) || error.sqlState !== "0A000") return false;
	return membersOf(error.cause).routine === "RevalidateCachedQuery";
}

/** Named statements do not get through: a pooler sends each to another connection. */
export function isStatementLost(error: unknown): boolean {
	return (
		error instanceof RemError &&
		(error.sqlState === "26000" || error.sqlState === "42P05")
	);
}

/** Why what a COMMIT has written may be lost, or not be visible yet. */
export interface UnconfirmedCommit {
	readonly problem: string;
	readonly hint: string;
}

/** COMMIT returned, but a standby or a node of the cluster did not confirm it. */
export function unconfirmedCommit(notice: {
	readonly routine?: string | undefined;
}): UnconfirmedCommit | undefined {
	return notice.routine === undefined
		? undefined
		: unconfirmedCommits.get(notice.routine);
}

const unconfirmedCommits = new Map<string, UnconfirmedCommit>([
	[
		"SyncRepWaitForLSN",
		{
			problem:
				"the wait for a synchronous standby was cancelled: what was committed may be lost in a failover",
			hint: "write it again once the standby is back",
		},
	],
	// Citus has recorded the commit, and the node has prepared it.
	[
		"FinishRemoteTransactionCommit",
		{
			problem:
				"a node of the cluster was lost during COMMIT: what was committed becomes visible once the cluster has recovered it",
			hint: "Citus does so by itself, each citus.recover_2pc_interval; writing it again waits for that",
		},
	],
]);

/** The statement was refused in a transaction, before it did anything: VACUUM, CREATE INDEX CONCURRENTLY. */
export function runsOutsideTransactions(error: unknown): boolean {
	return toRemError(error).sqlState === "25001";
}

function sqlStateOf({ code }: DatabaseFailure): string | undefined {
	// The digit distinguishes a SQLSTATE from Node's own EPIPE.
	return code !== undefined && /^(?=.*\d)[0-9A-Z]{5}$/.test(code)
		? code
		: undefined;
}

interface Recognised {
	readonly code: RemError["code"];
	readonly message?: string;
	readonly hint?: string;
}

function recognise(sqlState: string): Recognised {
	switch (sqlState) {
		case "28P01":
			return {
				code: "CONNECTION_FAILED",
				hint: "check user and password (POSTGRES__USER, POSTGRES__PASSWORD or the connection string)",
			};
		case "28000":
			return {
				code: "CONNECTION_FAILED",
				hint: "check user and password, and the server's pg_hba.conf; where it wants TLS, set POSTGRES__SSLMODE",
			};
		case "3D000":
			return {
				code: "CONNECTION_FAILED",
				hint: "create the database first: createdb NAME",
			};
		case "53300":
			return {
				code: "CONNECTION_FAILED",
				hint: "lower POSTGRES__POOL_SIZE or raise the server's max_connections",
			};
		case "23505":
			return {
				code: "DUPLICATE_KEY",
				hint: "another live row of this tenant and user has the key, or this id",
			};
		case "42P01":
		case "42883":
		case "3F000":
			return {
				code: "SCHEMA_DRIFT",
				hint: "run `rem migrate` or service.migrate() first (`rem schema diff` shows what differs)",
			};
		// A column is missing; no unique index for ON CONFLICT: the model has another key; or another type.
		case "42703":
		case "42P10":
		case "42804":
			return {
				code: "SCHEMA_DRIFT",
				hint: "the table differs from its model: run `rem migrate` or service.migrate() first (`rem schema diff` shows what differs)",
			};
		case "42501":
			return {
				code: "DATABASE",
				hint: "this user lacks a privilege: let the owner do it, or GRANT it (docs/operations.md)",
			};
		case "54000":
			return {
				code: "INPUT_LIMIT",
				hint: "a text in an index may have about 2,700 bytes: shorten it, or leave its field out of `indexes`",
			};
		case "57014":
			return { code: "CANCELLED" };
		case readOnlyServer:
			return {
				code: "DATABASE",
				hint: "the server or the transaction is read-only: connect to the primary",
			};
		default:
			return sqlState.startsWith("08") || sqlState.startsWith("57P")
				? { code: "CONNECTION_FAILED", hint: "the server ended the connection" }
				: { code: "DATABASE" };
	}
}

function describe(sqlState: string, failure: DatabaseFailure): string {
	const place = [failure.table, failure.column, failure.constraint].filter(
		(name) => name !== undefined,
	);
	return `${safeMessage(sqlState, failure)}${place.length === 0 ? "" : ` (${place.join(", ")})`}`;
}

// Classes whose messages speak of statements, names and limits, never of values.
const speakingClasses = new Set([
	"08",
	"0A",
	"25",
	"28",
	"2B",
	"3D",
	"3F",
	"40",
	"42",
	"53",
	"54",
	"55",
	"57",
	"58",
]);

function safeMessage(sqlState: string, failure: DatabaseFailure): string {
	if (sqlState === "23505") return "the key is already taken";
	// A RAISE of a user's function may quote a row, whatever its class.
	const isRaised = failure.routine === "exec_stmt_raise";
	return !isRaised && speakingClasses.has(sqlState.slice(0, 2))
		? failure.message
		: `the database refused a value or failed (SQLSTATE ${sqlState})`;
}

function withoutContent(failure: DatabaseFailure): Error {
	const sqlState = sqlStateOf(failure);
	const cause = new Error(
		sqlState === undefined ? failure.message : safeMessage(sqlState, failure),
	);
	const { code, severity, schema, table, column, constraint, routine } =
		failure;
	return Object.assign(cause, {
		code,
		severity,
		schema,
		table,
		column,
		constraint,
		routine,
	});
}
