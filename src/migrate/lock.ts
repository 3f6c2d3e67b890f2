import type { Database, Handle, Session } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { literal, sql, toText } from "../sql.ts";

interface LockOptions {
	readonly schema: string;
	readonly signal?: AbortSignal | undefined;
	/** Called once when another migration is running. */
	readonly onWait: () => void;
}

const pollMs = 100;

/**
 * One migrator at a time. The lock is a transaction's, on a connection of its
 * own that does nothing else: so it outlasts a pooler too, and goes with its
 * connection. No transaction waits for it: it is polled, because a
 * waiting one and CREATE INDEX CONCURRENTLY would wait for each other.
 *
 * `checkLock` throws when the connection, and with it the lock, was lost.
 */
export async function underLock<T>(
	db: Database,
	{ schema, signal, onWait }: LockOptions,
	work: (session: Session, checkLock: () => void) => Promise<T>,
): Promise<T> {
	// One connection means one process, and its service migrates in turn.
	if (db.capabilities.maxConnections === 1)
		return withSession(db, {}, (session) => work(session, () => {}));
	let lost = false;
	const onLost = () => {
		lost = true;
	};
	return withSession(db, { onLost }, async (lock) => {
		for (let isFirst = true; ; isFirst = false) {
			signal?.throwIfAborted();
			const done = await lock.transaction(
				async (tx) => {
					if (!(await take(tx, schema))) return undefined;
					const result = await withSession(db, {}, (session) =>
						work(session, () => {
							if (lost) throw lockLost();
						}),
					);
					return { result };
				},
				{ settings: { idle_in_transaction_session_timeout: "0" } },
			);
			if (done !== undefined) return done.result;
			if (isFirst) onWait();
			await new Promise((resolve) =>
				setTimeout(resolve, pollMs * (0.5 + Math.random())),
			);
		}
	});
}

async function withSession<T>(
	db: Database,
	options: { readonly onLost?: () => void },
	work: (session: Session) => Promise<T>,
): Promise<T> {
	const session = await db.openSession(options);
	try {
		return await work(session);
	} finally {
		await session.close();
	}
}

/**
 * As a text without parameters: with them, the finished statement would retain its
 * snapshot until the next one, and CREATE INDEX CONCURRENTLY would wait for it.
 */
async function take(tx: Handle, schema: string): Promise<boolean> {
	const name = literal(`remdb migrate ${schema}`);
	const [result] = await tx.script(
		toText(
			sql`SELECT pg_try_advisory_xact_lock(hashtextextended(${name}, 0)) AS taken`,
		),
	);
	return result?.rows[0]?.taken === true;
}

function lockLost(): RemError {
	return new RemError(
		"CONNECTION_FAILED",
		"the connection that owned the migration lock was lost",
		{ hint: "what was applied is in rem_migrations: migrate again" },
	);
}
