import type { Handle, TransactionOptions } from "../db/database.ts";
import { tenantSetting } from "../schema/row-security.ts";

/**
 * A handle that sets the tenant for row level security. The setting is
 * transaction-local, the only kind that a pool cannot hand on to the next one:
 * so every statement has a transaction around it.
 */
export function tenantHandle(handle: Handle, tenantId: string): Handle {
	const settings = { [tenantSetting]: tenantId };
	const transaction = <T>(
		work: (tx: Handle) => Promise<T>,
		options: TransactionOptions = {},
	) =>
		handle.transaction(work, {
			...options,
			settings: { ...options.settings, ...settings },
		});
	return {
		query: (statement, options = {}) => {
			const { idempotent = false, isLimited = false, retries = 0 } = options;
			return transaction((tx) => tx.query(statement, options), {
				idempotent,
				isLimited,
				retries,
				readOnly: idempotent,
			});
		},
		script: (text) => transaction((tx) => tx.script(text)),
		transaction,
		vectorOid: () => handle.vectorOid(),
	};
}
