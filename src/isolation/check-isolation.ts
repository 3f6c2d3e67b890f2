import type { ServiceCore } from "../core/service-core.ts";
import { type Database, type Handle, limited } from "../db/database.ts";
import { ident, sql } from "../sql.ts";
import type { ProbeScope } from "../verbs/verb.ts";
import {
	type Canary,
	type CanaryPlace,
	canaryTenants,
	insertCanary,
	setTenant,
	trySql,
} from "./canaries.ts";
import { roleProblems } from "./role-problems.ts";
import { readTableWalls } from "./table-problems.ts";
import { tryVerbs } from "./try-verbs.ts";

export interface IsolationReport {
	/** Ways in which the library itself gave, or changed, another tenant's or another user's row: there must be none. */
	readonly library: readonly string[];
	/** The second wall, row level security. */
	readonly database: {
		/** Whether any table has it. */
		readonly isSetUp: boolean;
		/** Why it does not apply; none: SQL without any condition stays inside the tenant. */
		readonly problems: readonly string[];
	};
	/** Tables that were tried with a row of a made-up tenant. */
	readonly tables: readonly string[];
}

/**
 * @internal
 * Tries whether tenants are isolated: a row of a made-up tenant in every
 * table, and another tenant that looks for it through every read and write of
 * the library, and then with SQL that has no condition at all; and a row of a
 * user, which another user of the tenant, and a scope of shared rows, look for.
 * Everything is rolled back.
 */
export async function checkIsolation(
	core: ServiceCore,
): Promise<IsolationReport> {
	const { registry } = core;
	const db = limited(core.db);
	const space = core.embedder.spaceIfKnown();
	const tables = registry.all().filter(({ entity }) => entity.tenantScoped);
	const walls = await readTableWalls(db, registry.schema, registry.all());
	const isSetUp = walls.some(({ hasPolicies }) => hasPolicies);
	const problems = isSetUp
		? [
				...(await roleProblems(db)),
				...walls.flatMap(({ table, problems }) =>
					problems.map((problem) => `${table}: ${problem}`),
				),
			]
		: [];
	const library: string[] = [];
	for (const table of tables) {
		const tried = await tryTable(core, db, { table, space, isSetUp });
		library.push(
			...tried.library,
			...(await tryUsers(core, db, { table, space })),
		);
		problems.push(...tried.database);
	}
	return {
		library,
		database: { isSetUp, problems },
		tables: tables.map(({ entity }) => entity.tableName),
	};
}

async function tryTable(
	core: ServiceCore,
	db: Database,
	{ isSetUp, ...place }: CanaryPlace & { readonly isSetUp: boolean },
): Promise<{ library: readonly string[]; database: readonly string[] }> {
	const { own, foreign } = canaryTenants();
	let library: readonly string[] = [];
	let database: readonly string[] = [];
	await rolledBack(db, async (tx) => {
		await setTenant(tx, foreign);
		const canary = await insertCanary(tx, place, foreign);
		await setTenant(tx, own);
		const asOwn = { tenantId: own, transaction: tx };
		library = [
			...(await tryVerbs(core, "reads", { row: canary, scope: asOwn })),
			...(await tryVerbs(core, "writes", { row: canary, scope: asOwn })),
			...(await missing(tx, canary, foreign)),
			...(await unseen(core, canary, { ...asOwn, tenantId: foreign })),
		];
		await setTenant(tx, own);
		if (isSetUp) database = await trySql(tx, canary, foreign);
	});
	return { library, database };
}

/** What another user of the tenant, and a session without a user, reach of a user's row. */
async function tryUsers(
	core: ServiceCore,
	db: Database,
	place: CanaryPlace,
): Promise<string[]> {
	const { own: tenantId } = canaryTenants();
	const { tableName } = place.table.entity;
	const found: string[] = [];
	await rolledBack(db, async (transaction) => {
		await setTenant(transaction, tenantId);
		const owner = "rem-canary-owner";
		const row = await insertCanary(transaction, place, tenantId, owner);
		const scope = { tenantId, transaction };
		for (const [userId, who] of [
			["rem-canary-user", "another user"],
			[null, "a scope of shared rows"],
		] as const)
			for (const kind of ["reads", "writes"] as const) {
				const reached = await tryVerbs(core, kind, { row, scope, userId });
				found.push(...reached.map((text) => `as ${who}: ${text} of a user`));
			}
		const seen = await tryVerbs(core, "reads", { row, scope, userId: owner });
		if (seen.length === 0)
			found.push(`the check cannot see its user's row of ${tableName}`);
	});
	return found;
}

/** Reads that cannot find the row for its own tenant would find nothing wrong either. */
async function unseen(
	core: ServiceCore,
	canary: Canary,
	scope: ProbeScope,
): Promise<readonly string[]> {
	await setTenant(scope.transaction, scope.tenantId);
	const found = await tryVerbs(core, "reads", { row: canary, scope });
	return found.length > 0
		? []
		: [`the check cannot see its own row of ${canary.table.entity.tableName}`];
}

/** Whether the row is as it was. */
async function missing(
	tx: Handle,
	{ table, id }: Canary,
	foreign: string,
): Promise<readonly string[]> {
	await setTenant(tx, foreign);
	const { entity, schema } = table;
	const { rowCount } = await tx.query(
		sql`SELECT FROM ${ident(schema, entity.tableName)} WHERE id = ${id}::uuid AND tenant_id = ${foreign} AND deleted_at IS NULL`,
	);
	return rowCount === 1
		? []
		: [`another tenant's row of ${entity.tableName} is gone`];
}

class RollBack extends Error {}

async function rolledBack(
	db: Database,
	work: (tx: Handle) => Promise<void>,
): Promise<void> {
	try {
		await db.transaction(async (tx) => {
			await work(tx);
			throw new RollBack();
		});
	} catch (error) {
		if (!(error instanceof RollBack)) throw error;
	}
}
