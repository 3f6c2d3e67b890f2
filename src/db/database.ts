import type { Sql, Statement } from "../sql.ts";
import type { SlowStatement } from "./slow-statements.ts";

/** What an engine can do: data to decide by, instead of asking which engine it is. */
export interface Capabilities {
	readonly kind: "server" | "embedded";
	/** Connections that can work at the same time. */
	readonly maxConnections: number;
	/** Whether COPY works through the driver. */
	readonly copy: boolean;
	/** Whether statistics are gathered automatically. */
	readonly autovacuum: boolean;
	/** Whether NOTIFY reaches other processes. */
	readonly listen: boolean;
	/** Whether a statement sent by name is still there the next time. */
	readonly namedStatements: boolean;
	/** Whether the server is the coordinator of a Citus cluster, which has each schema on one of its nodes. */
	readonly citus: boolean;
}

export interface Result<R = Record<string, unknown>> {
	readonly rows: R[];
	/** Rows the statement returned or changed. */
	readonly rowCount: number;
}

export interface QueryOptions {
	/** Plan it once per connection. Only where the plan need not follow the tenant's size. */
	readonly name?: string | undefined;
	/**
	 * How one with a name is planned, outside transactions: `generic` at once by the
	 * plan for any values.
	 * @default as the role is set: by default for their values the first five times on each connection
	 */
	readonly plan?: "generic" | undefined;
	/**
	 * It reads an UNLOGGED table, which a standby cannot: there it fails with
	 * SQLSTATE 0A000, as a rule without being sent.
	 */
	readonly readsUnlogged?: boolean;
	/**
	 * It is a read: run again on another connection when the one it was sent on
	 * is lost, and no reason for a replica to catch up. Not within a transaction,
	 * which has the option itself. @default false
	 */
	readonly idempotent?: boolean;
	/** A write that ends by the service's `queryTimeoutMs`, as a read does. @default false */
	readonly isLimited?: boolean;
	/**
	 * Runs after a failure that certainly left nothing behind, as of a
	 * transaction: a deadlock, a serialization failure. Not within a transaction,
	 * which has the option itself. @default 0
	 */
	readonly retries?: number;
	/** Once aborted, it is not sent, or the server is asked to cancel it: `CANCELLED`. @default none */
	readonly signal?: AbortSignal;
	/** Longest time that it may take; then it is cancelled on the server: `QUERY_TIMEOUT`. @default none */
	readonly timeoutMs?: number;
}

export interface TransactionOptions {
	/** @default "read committed" */
	readonly isolation?: "read committed" | "repeatable read" | "serializable";
	/** @default false */
	readonly readOnly?: boolean;
	/**
	 * Runs, each from the start, after a failure that certainly left nothing
	 * behind: a serialization failure, a deadlock, a connection lost before
	 * COMMIT. @default 0
	 */
	readonly retries?: number;
	/**
	 * It may be applied twice: run again, too, when a COMMIT went unanswered; and
	 * none of its statements may take longer than the service's
	 * `queryTimeoutMs`. @default false
	 */
	readonly idempotent?: boolean;
	/** None of its statements may take longer than the service's `queryTimeoutMs`, as of one that is `idempotent`. @default false */
	readonly isLimited?: boolean;
	/** The server's settings inside it, by name. @default as they are */
	readonly settings?: Readonly<Record<string, string>>;
}

/**
 * Who may answer a read: the primary, or a replica, if there is one, that has
 * all that was written through the same service before.
 */
export type Consistency = "primary" | "replica";

/** Something that statements can be sent to: a database, or a transaction of it. */
export interface Handle {
	query<R = Record<string, unknown>>(
		statement: Sql | Statement,
		options?: QueryOptions,
	): Promise<Result<R>>;
	/** Sends a text of any number of statements without parameters, as psql would. */
	script(text: string): Promise<Result[]>;
	/**
	 * Runs the work in one transaction: committed when it returns, rolled back
	 * when it throws. On a transaction's handle it is a savepoint. Inside, use
	 * only the handle that is passed: the embedded database has one connection.
	 */
	transaction<T>(
		work: (tx: Handle) => Promise<T>,
		options?: TransactionOptions,
	): Promise<T>;
	/** OID of the type `vector` in this database; binary vector arrays name it. */
	vectorOid(): Promise<number>;
}

/**
 * A connection of one's own, past a pooler where POSTGRES__DIRECT_HOST is given:
 * for what outlasts a statement, such as an index build, LISTEN or a lock of the
 * session. On the embedded database it shares the only connection.
 */
export interface Session extends Handle {
	/** The server's process behind it; `undefined` on the embedded database. */
	readonly processId: number | undefined;
	/** Calls back for each NOTIFY on the channel; only where `capabilities.listen`. */
	listen(channel: string, onMessage: (payload: string) => void): Promise<void>;
	/** Lets the process end while it is open. */
	unref(): void;
	/** Ends it, even in the midst of a statement. Closing twice is fine. */
	close(): Promise<void>;
}

export interface SessionOptions {
	/** Called once when it was closed. */
	readonly onClosed?: () => void;
	/** Called once when the connection is lost; not when it is closed. */
	readonly onLost?: (error: unknown) => void;
	/** Lets the process end though the session is open. @default false */
	readonly isBackground?: boolean;
}

/** What this process has open, and what took long. */
export interface DatabaseActivity {
	readonly connections: {
		readonly max: number;
		readonly open: number;
		/** Of the open ones. */
		readonly idle: number;
		/** Calls that wait for a connection. */
		readonly waiting: number;
	};
	/** Statements of the last 15 minutes that took longest, at most 50, slowest first. */
	readonly slowest: readonly SlowStatement[];
}

export interface Database extends Handle {
	readonly capabilities: Capabilities;
	readonly activity: DatabaseActivity;
	/** How often something ended that may have written: what a replica may not have yet. */
	readonly writes: number;
	/** Opens a connection beside the pool; its caller closes it. */
	openSession(options?: SessionOptions): Promise<Session>;
	/** Waits for what runs, then closes. Closing twice is fine. */
	close(): Promise<void>;
}

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
		get activity() {
			return db.activity;
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
