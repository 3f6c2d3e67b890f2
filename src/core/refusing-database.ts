import type { Database } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { roles } from "../schema/row-security.ts";

/**
 * Stands in for the database where work concerns the rows of all tenants
 * (migrations, rebuilds, indexes, the queue of texts) and row level security
 * shows the connection those of one tenant only. Such work would miss rows, or
 * take them for deleted, so each statement is refused.
 */
export function refusingDatabase(db: Database): Database {
	const refuse = async (): Promise<never> => {
		throw new RemError(
			"CONFIG_INVALID",
			"migrations, indexes, the cache and the queue are those of all tenants, and row level security shows this connection one tenant",
			{ hint: `connect as a member of ${roles.owner}`, sqlState: "42501" },
		);
	};
	return {
		capabilities: db.capabilities,
		get writes() {
			return db.writes;
		},
		get activity() {
			return db.activity;
		},
		query: refuse,
		script: refuse,
		transaction: refuse,
		openSession: refuse,
		vectorOid: () => db.vectorOid(),
		close: () => db.close(),
	};
}
