import { AsyncLocalStorage } from "node:async_hooks";
import { RemError } from "../errors.ts";

interface OpenTransaction {
	readonly database: object;
	/** Work that was started and not awaited continues after the transaction. */
	isOpen: boolean;
	readonly outer: OpenTransaction | undefined;
}

// Only `service.transaction()` enters it: promises cost more from then on.
const context = new AsyncLocalStorage<OpenTransaction | undefined>();

/** Runs a user's work in a transaction of the database; calls beside its handle are noticed until it ends. */
export async function insideTransaction<T>(
	database: object,
	work: () => Promise<T>,
): Promise<T> {
	const transaction = { database, isOpen: true, outer: context.getStore() };
	try {
		return await context.run(transaction, work);
	} finally {
		transaction.isOpen = false;
	}
}

/** By a transaction's handle that was passed to a user's work: its database. */
const databases = new WeakMap<object, object>();

/** The handle belongs to that database: a call of another service refuses it. */
export function handleOfDatabase<H extends object>(
	handle: H,
	database: object,
): H {
	databases.set(handle, database);
	return handle;
}

/** The handle of a savepoint belongs to the database of the transaction's. */
export function savepointOf<H extends object>(handle: H, outer: object): H {
	const database = databases.get(outer);
	return database === undefined ? handle : handleOfDatabase(handle, database);
}

/** Its statements would read and write the rows of the other service's database. */
export function refuseHandleOfAnother(database: object, handle: object): void {
	const own = databases.get(handle) ?? database;
	if (own === database) return;
	throw new RemError(
		"VALIDATION",
		"transaction is the handle of another service: the call would read and write that service's database",
		{
			hint: "pass the handle that transaction() of the service that is called passes to its work",
		},
	);
}

/** Runs background work, whatever starts it: it is not part of the caller's transaction. */
export function outsideTransactions<T>(work: () => T): T {
	return context.getStore() === undefined
		? work()
		: context.run(undefined, work);
}

/**
 * A call to the database, within the work of one of its transactions but not on
 * its handle. On the embedded database it would wait for the transaction, which
 * waits for it; on a server it would commit on its own.
 */
export function refuseInsideTransaction(database: object): void {
	for (
		let transaction = context.getStore();
		transaction !== undefined;
		transaction = transaction.outer
	)
		if (transaction.isOpen && transaction.database === database)
			throw new RemError(
				"VALIDATION",
				"the call was made inside transaction() but without the transaction's handle: it would not be part of the transaction",
				{
					hint: "pass the handle (`transaction: tx`, or `tx.query()` for SQL); what must not be part of the transaction belongs before or after it, or to a second service",
				},
			);
}
