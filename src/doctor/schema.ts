import { RemError } from "../errors.ts";
import { refuseNewer } from "../migrate/apply-base.ts";
import type { Difference } from "../migrate/diff/difference.ts";
import { readLedger } from "../migrate/ledger.ts";
import type { MigrationStatus } from "../migrate/status.ts";
import {
	type Finding,
	failed,
	ok,
	type RunCheck,
	some,
	warning,
} from "./check.ts";

/** Whether everything was applied, and nothing but what is known here. */
export const checkMigrations: RunCheck = async (core, { migrations }) => {
	const { schema, kvPersistence } = core.settings;
	const ledger = await readLedger(core.db, schema);
	if (ledger.size === 0)
		return failed(
			"nothing was applied yet",
			"rem migrate: it sets up a database, or adopts what psql made",
		);
	refuseNewer(ledger, { schema, kvPersistence });
	const all = await core.schema.status({ migrations });
	const inState = (...states: MigrationStatus["state"][]) =>
		all.filter(({ state }) => states.includes(state));
	const broken = inState("interrupted", "edited", "missing", "out of order");
	if (broken.length > 0)
		return failed(
			some(broken.map(({ name, state }) => `${name} is ${state}`)),
			"docs/migrations.md: bring the file back, `rem migrate` again, or `rem migrate repair`",
		);
	const pending = inState("pending", "changed");
	if (pending.length > 0)
		return warning(
			some(
				pending.map(({ name, kind, state }) =>
					kind === "model"
						? `model ${name} is ${state}`
						: `${name} is ${state}`,
				),
			),
			"rem migrate",
		);
	return ok(`${all.length} applied, none pending`);
};

/** The models against the live catalogue. */
export const checkSchema: RunCheck = async (core) => {
	const differences = await core.schema.diff().catch((error: unknown) => {
		if (error instanceof RemError && error.sqlState === "25006")
			return undefined;
		throw error;
	});
	if (differences === undefined)
		return warning(
			"not compared: a standby makes no temporary tables",
			"rem doctor on the primary",
		);
	if (differences.length === 0) return ok("the database is as the models are");
	const tables = new Set(differences.map(({ table }) => table));
	return [...tables].map((table) =>
		ofTable(
			table,
			differences.filter((one) => one.table === table),
		),
	);
};

/** All that differs in one table, with the remedy of its worst difference. */
function ofTable(table: string, differences: readonly Difference[]): Finding {
	const messages = differences.flatMap((one) => one.messages);
	const found = `${table}: ${messages.join("; ")}`;
	if (differences.some(({ risk, blocks }) => risk !== undefined && blocks))
		return failed(
			found,
			"rem schema diff shows the statements that would repair it; `rem migrate` refuses",
		);
	if (differences.some(({ risk }) => risk === undefined))
		return warning(found, "rem migrate repairs what is safe");
	return warning(found, "rem schema diff --write NAME, and look at it");
}
