import { Buckets } from "../buckets/buckets.ts";
import type { ServiceCore } from "../core/service-core.ts";
import { limited } from "../db/database.ts";
import { RemError } from "../errors.ts";
import {
	type Check,
	type DoctorOptions,
	type Examined,
	type Finding,
	failed,
	type RunCheck,
	warning,
} from "./check.ts";
import {
	checkClock,
	checkConnection,
	checkPooler,
	checkStandby,
} from "./connection.ts";
import { checkCoverage, checkQueue } from "./embeddings.ts";
import { checkIndexes, checkMemory } from "./indexes.ts";
import { checkInterruptedMoves } from "./interrupted-moves.ts";
import { checkAutovacuum, checkKvStore } from "./kv-store.ts";
import { notInTime } from "./locks.ts";
import { mergeChecks } from "./merge-checks.ts";
import { checkPool } from "./pool.ts";
import { checkReplica } from "./replica.ts";
import { checkPublications, checkSubscriptions } from "./replication.ts";
import { checkRoles, checkStatistics } from "./roles.ts";
import { checkMigrations, checkSchema } from "./schema.ts";
import { checkExtensions, checkLocale, checkVersions } from "./versions.ts";
import { checkWords } from "./words.ts";

export interface DoctorReport {
	/** The worst of the checks. */
	readonly state: Finding["state"];
	/** What does not apply to the engine is left out. */
	readonly checks: readonly Check[];
}

type NamedCheck = readonly [name: string, run: RunCheck];

const ofTheServer: readonly NamedCheck[] = [
	["connection", checkConnection],
	["versions", checkVersions],
	["extensions", checkExtensions],
	["clock", checkClock],
	["pool", checkPool],
	["pooler", checkPooler],
	["standby", checkStandby],
	["replica", checkReplica],
	["publications", checkPublications],
	["subscriptions", checkSubscriptions],
	["interrupted moves", checkInterruptedMoves],
];

const ofMigrations: readonly NamedCheck[] = [["migrations", checkMigrations]];

/** Checks that need the tables of the first migration. */
const ofTheTables: readonly NamedCheck[] = [
	["locale", checkLocale],
	["schema", checkSchema],
	["tenancy", checkRoles],
	["kv store", checkKvStore],
	["autovacuum", checkAutovacuum],
	["statistics", checkStatistics],
	["indexes", checkIndexes],
	["memory", checkMemory],
	["words", checkWords],
	["embeddings", checkCoverage],
	["queue", checkQueue],
];

/** Checks of the tables whose result is the same in each schema of a database. */
const ofTheDatabase: ReadonlySet<string> = new Set(["locale", "memory"]);

/** @internal Looks at everything that is known to go wrong, and changes nothing. */
export async function examine(
	core: ServiceCore,
	options: DoctorOptions,
): Promise<DoctorReport> {
	const checks =
		core instanceof Buckets
			? await examineBuckets(core, options)
			: [
					...(await lookAt(ofTheServer, core, options)),
					...(await examineTables(core, options)),
				];
	return { state: worstOf(checks), checks };
}

/** Checks the migrations and, unless these failed, the tables. */
async function examineTables(
	core: ServiceCore,
	options: DoctorOptions,
	leftOut: ReadonlySet<string> = new Set(),
): Promise<Check[]> {
	const migrations = await lookAt(ofMigrations, core, options);
	if (migrations.some(({ state }) => state === "failed")) return migrations;
	const group = ofTheTables.filter(([name]) => !leftOut.has(name));
	return [...migrations, ...(await lookAt(group, core, options))];
}

/** Checks the server once, and the tables of each bucket. */
async function examineBuckets(
	buckets: Buckets,
	options: DoctorOptions,
): Promise<Check[]> {
	const [first, ...others] = buckets.all();
	if (first === undefined) return [];
	const server = await lookAt(ofTheServer, first, options);
	const tables = [
		{
			bucket: first.settings.schema,
			checks: await examineTables(first, options),
		},
	];
	for (const core of others)
		tables.push({
			bucket: core.settings.schema,
			checks: await examineTables(core, options, ofTheDatabase),
		});
	return [...server, ...mergeChecks(tables)];
}

async function lookAt(
	group: readonly NamedCheck[],
	core: ServiceCore,
	options: DoctorOptions,
): Promise<Check[]> {
	const examined: Examined = {
		db: limited(core.db),
		replica: core.replica,
		registry: core.registry,
		settings: core.settings,
		embedder: core.embedder,
		embeddings: core.embeddings,
		kv: core.kv,
		indexer: core.indexer,
		schema: core.schema,
	};
	const checks: Check[] = [];
	for (const check of group)
		checks.push(...(await findings(check, examined, options)));
	return checks;
}

/** The findings of one check; one that cannot be made is reported, too. */
async function findings(
	[name, run]: NamedCheck,
	core: Examined,
	options: DoctorOptions,
): Promise<Check[]> {
	const found = await run(core, options).catch((error: unknown) =>
		cannotLook(core, error),
	);
	return [found].flat().map((finding) => ({ name, ...finding }));
}

async function cannotLook(core: Examined, error: unknown): Promise<Finding> {
	if (!(error instanceof RemError)) throw error;
	const { code, message, hint, sqlState } = error;
	if (code === "QUERY_TIMEOUT") return notInTime(core, message);
	if (sqlState === "42703")
		return failed(
			`${await tablesWithout(core, message)}${message}`,
			"rem migrate, or rem schema diff where it refuses",
		);
	if (sqlState === "42501")
		return warning(
			`not looked at: ${message}`,
			"rem doctor as the tables' owner",
		);
	return failed(message, hint ?? "docs/errors.md");
}

/** The tables that lack the column of the message: PostgreSQL does not name them. */
async function tablesWithout(core: Examined, message: string): Promise<string> {
	const [, column] =
		/^column (?:[^\s".]+\.)?"?([^\s"]+)"? does not exist/.exec(message) ?? [];
	if (column === undefined) return "";
	// What cannot be compared has a line of its own.
	const differences = await core.schema.diff().catch(() => []);
	const tables = differences
		.filter(({ messages }) =>
			messages.some((one) => one.startsWith(`column "${column}" is missing`)),
		)
		.map(({ table }) => table);
	return tables.length === 0 ? "" : `${[...new Set(tables)].join(", ")}: `;
}

function worstOf(checks: readonly Check[]): Finding["state"] {
	const states = new Set(checks.map(({ state }) => state));
	if (states.has("failed")) return "failed";
	return states.has("warning") ? "warning" : "ok";
}
