import type { Database } from "./database.ts";

/**
 * The database for a call that is short: none of its statements may take longer
 * than the service's `queryTimeoutMs`. A statement outside of a transaction is
 * taken for a read, which may run again on another connection.
 */
export function limited(db: Database): Database {
	return {
		capabilities: db.capabilities,
		get writes() {
			return db.writes;
		},
		query: (statement, options) =>
			db.query(statement, { idempotent: true, ...options }),
		script: (text) => db.transaction((tx) => tx.script(text), short),
		transaction: (work, options) =>
			db.transaction(work, { ...short, ...options }),
		openSession: (options) => db.openSession(options),
		vectorOid: () => db.vectorOid(),
		close: () => db.close(),
	};
}

const short = { isLimited: true } as const;
