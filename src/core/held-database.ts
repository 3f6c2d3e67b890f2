import type { Database } from "../db/database.ts";
import { RemError } from "../errors.ts";
import { roles } from "../schema/row-security.ts";

/**
 * The database for what is about all tenants' rows (migrations, rebuilds,
 * indexes, the queue of texts), where row level security shows the connection
 * those of one. Work that sees nothing would find nothing to do, or take what it
 * does not see for gone: so it is told at its first statement.
 */
export function heldDatabase(db: Database): Database {
	const refuse = async (): Promise<never> => {
		throw new RemError(
			"CONFIG_INVALID",
			"this is about all tenants, and row level security shows this connection one",
			{ hint: `connect as a member of ${roles.owner}`, sqlState: "42501" },
		);
	};
	return {
		capabilities: db.capabilities,
		get writes() {
			return db.writes;
		},
		query: refuse,
		script: refuse,
		transaction: refuse,
		openSession: refuse,
		vectorOid: () => db.vectorOid(),
		close: () => db.close(),
	};
}
