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
