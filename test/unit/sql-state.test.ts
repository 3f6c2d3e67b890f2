import { expect, test } from "vitest";
import {
	isConnectionLost,
	isTransient,
	toRemError,
	unconfirmedCommit,
} from "../../src/db/sql-state.ts";

const reported = (fields: {
	message: string;
	routine: string;
	code?: string;
}) =>
	toRemError(
		Object.assign(new Error(fields.message), { code: "XX000", ...fields }),
	);

// What Citus 14 passes on from libpq, and reports itself.
test.each([
	[
		"ReportResultError",
		"server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n\tbefore or while processing the request.\n",
	],
	[
		"ReportResultError",
		"could not receive data from server: Connection reset by peer",
	],
	["ReportResultError", "could not send data to server: Broken pipe"],
	["ReportResultError", "SSL SYSCALL error: EOF detected"],
	["ReportResultError", "SSL error: unexpected eof while reading"],
	["ReportResultError", "SSL connection has been closed unexpectedly"],
	["ReportResultError", "no connection to the server\n"],
	["ReportResultError", "connection not open"],
	[
		"ReportResultError",
		'connection to server at "10.0.0.6", port 5432 failed: Connection refused',
	],
	["ReportResultError", ""],
	[
		"MarkRemoteTransactionFailed",
		"failure on connection marked as essential: 10.0.0.6:5432",
	],
	[
		"CheckRemoteTransactionsHealth",
		"failure on connection marked as essential: 10.0.0.6:5432",
	],
	[
		"FinishRemoteTransactionPrepare",
		"failed to prepare transaction 'citus_0_1_2_3' on host 10.0.0.6:5432",
	],
	[
		"ErrorIfPostCommitFailedShardPlacements",
		"could not commit transaction for shard 102008 on at least one active node",
	],
])(
	"a node that a coordinator lost is a lost connection: %s %j",
	(routine, message) => {
		const error = reported({ routine, message });
		expect(error).toMatchObject({
			code: "CONNECTION_FAILED",
			sqlState: "XX000",
		});
		expect(isConnectionLost(error)).toBe(true);
		expect(isTransient(error)).toBe(true);
	},
);

test("a node that fails during a statement or refuses connections is one, too", () => {
	for (const [code, message] of [
		[
			"08006",
			"connection to the remote node postgres@10.0.0.6:5432 failed with the following error: FATAL:  the database system is in recovery mode",
		],
		["57P01", "terminating connection due to administrator command"],
		[
			"57P02",
			"terminating connection because of crash of another server process",
		],
	] as const) {
		const error = reported({ routine: "ReportResultError", code, message });
		expect(error).toMatchObject({ code: "CONNECTION_FAILED", sqlState: code });
		expect(isConnectionLost(error)).toBe(true);
		expect(isTransient(error)).toBe(true);
	}
});

test.each([
	["ReportResultError", "tuple concurrently updated"],
	["ReportResultError", "could not open relation with OID 16384"],
	["exec_stmt_raise", "server closed the connection unexpectedly"],
	["simple_heap_update", "tuple concurrently updated"],
])("an internal error is not a lost connection: %s %j", (routine, message) => {
	const error = reported({ routine, message });
	expect(error).toMatchObject({ code: "DATABASE", sqlState: "XX000" });
	expect(isConnectionLost(error)).toBe(false);
	expect(isTransient(error)).toBe(false);
});

test("a commit that a node did not confirm is reported, other notices are not", () => {
	const of = (routine?: string) => unconfirmedCommit({ routine })?.problem;
	expect(of("FinishRemoteTransactionCommit")).toMatch(/node of the cluster/);
	expect(of("SyncRepWaitForLSN")).toMatch(/standby/);
	expect(of("ReportResultError")).toBeUndefined();
	expect(of()).toBeUndefined();
});

test("rows that a lost node did not take by COPY are a lost connection, other errors of files are not", () => {
	const message = "failed to COPY to shard 102018 on 10.0.0.6:5432";
	for (const routine of ["SendCopyDataToPlacement", "EndRemoteCopy"]) {
		const error = reported({ code: "58030", routine, message });
		expect(error.code).toBe("CONNECTION_FAILED");
		expect(isTransient(error)).toBe(true);
	}
	const other = reported({ code: "58030", routine: "mdread", message: "x" });
	expect(other.code).toBe("DATABASE");
	expect(isTransient(other)).toBe(false);
});
