import { firstSchema } from "../buckets/bucket-names.ts";
import { Buckets, coreOfTenant } from "../buckets/buckets.ts";
import { checkBuckets } from "../buckets/directory.ts";
import { forget } from "../core/forget.ts";
import { readLocale } from "../core/locale.ts";
import { queueFigures, sumFigures } from "../core/queue-figures.ts";
import { ServiceCore } from "../core/service-core.ts";
import { sideBySide } from "../core/side-by-side.ts";
import type { CitusNodes } from "../db/citus-nodes.ts";
import { type Database, type Handle, limited } from "../db/database.ts";
import { refuseInsideTransaction } from "../db/open-transaction.ts";
import { isProviderError, type RemError } from "../errors.ts";
import {
	checkIsolation,
	type IsolationReport,
} from "../isolation/check-isolation.ts";
import { isUnderRowSecurity } from "../isolation/role-problems.ts";
import type { MigrateOptions, MigrateResult } from "../migrate/migrate.ts";
import { signal, tenantName } from "../models/checks.ts";
import type { Entity } from "../models/entity.ts";
import {
	narrowing,
	type OptionChecks,
	progressCallback,
	required,
} from "../models/options.ts";
import { Registry } from "../models/registry.ts";
import type { Settings } from "../settings/settings.ts";
import type { ForgetOptions, ForgetReport } from "../store/forget-rows.ts";
import type { QueueFigures } from "../telemetry/metrics.ts";

// What a service does with its core, or with the cores of its buckets.

interface Opened {
	readonly db: Database;
	readonly replica: Handle | undefined;
	readonly nodes: CitusNodes | undefined;
	readonly models: readonly Entity[];
	readonly settings: Settings;
}

/** The core of a service on this database; throws `CONFIG_INVALID` if its buckets differ from those of the settings. */
export async function openCore({
	db,
	replica,
	nodes,
	models,
	settings: given,
}: Opened): Promise<ServiceCore> {
	const { schema, language, buckets } = given;
	await checkBuckets(db, given);
	const rowSecurity = await isUnderRowSecurity(db, {
		...given,
		schema: firstSchema(given),
	});
	const registry = new Registry(schema, models, { language, rowSecurity });
	const settings = { ...given, rowLevelSecurity: rowSecurity };
	const parts = { db, registry, settings, replica, nodes };
	return buckets === undefined
		? new ServiceCore(parts)
		: new Buckets({ ...parts, buckets });
}

/** Checks, when a service connects, what may have changed since the last connection. */
export async function lookAround(core: ServiceCore): Promise<void> {
	// Another name may be that of a provider which is registered after this.
	const unknown = core.embedder.unknownProvider();
	if (unknown?.hint?.startsWith("did you mean")) warnOfProvider(core, unknown);
	// For 64 buckets, hundreds of statements: a read notices that the cache of its bucket was emptied.
	if (core instanceof Buckets) return core.embeddings.warnOfMismatch();
	// A crash may have emptied the cache since the last connection.
	await core.kv.noticeEmptied();
	await core.embeddings.warnOfMismatch();
}

/** Migrates the database, then fills its cache, adopts its embedding models and checks its indexes. */
export async function migrateCore(
	core: ServiceCore,
	options: MigrateOptions,
): Promise<MigrateResult> {
	const result = await core.schema.migrate(options);
	if (options.to === undefined) {
		await warnOfLocale(core);
		const unknown = core.embedder.unknownProvider();
		if (unknown !== undefined) warnOfProvider(core, unknown);
		else warnOfMissingKey(core);
	}
	// The migration of buckets has done the rest for each bucket.
	if (core instanceof Buckets) return result;
	await core.kv.catchUp();
	await core.embeddings.adopt();
	core.indexer.check();
	return result;
}

/** A service whose models embed nothing needs no provider. */
function warnOfProvider(
	{ registry, settings }: ServiceCore,
	{ message, hint }: RemError,
): void {
	if (!registry.all().some(({ entity }) => entity.embedFields.length > 0))
		return;
	settings.logger.warn(
		{},
		`${message}: texts cannot be embedded${hint === undefined ? "" : ` (${hint})`}; a provider of your own is registered with embeddings.registerProvider()`,
	);
}

/** Tables were set to the model of this provider: the first write of a text would be the first to report what it lacks. */
function warnOfMissingKey({ registry, embedder, settings }: ServiceCore): void {
	if (!registry.all().some(({ entity }) => entity.embedFields.length > 0))
		return;
	try {
		embedder.provider();
	} catch (error) {
		// A migration does not need the provider: the call that does reports any other failure.
		if (!isProviderError(error)) return;
		const { code, message, hint } = error;
		settings.logger.warn(
			{ code },
			`texts cannot be embedded yet: ${message}${hint === undefined ? "" : ` (${hint})`}; with another provider (EMBEDDING__PROVIDER=local needs no key), migrate again: tables without vectors take its model`,
		);
	}
}

async function warnOfLocale({ db, settings }: ServiceCore): Promise<void> {
	const { problems } = await readLocale(db);
	for (const { found, remedy } of problems)
		settings.logger.warn({ remedy }, found);
}

/** The lengths of the queues of the database. */
export async function figuresOfQueues(
	core: ServiceCore,
): Promise<QueueFigures[]> {
	const all = core instanceof Buckets ? core.all() : [core];
	const figures = await sideBySide(
		core,
		undefined,
		all.map(
			({ db, settings }) =>
				() =>
					queueFigures(limited(db), settings.schema),
		),
	);
	return sumFigures(figures.flat());
}

export const forgetChecks: OptionChecks<ForgetOptions> = {
	tenantId: required(tenantName),
	userId: narrowing(
		tenantName,
		"pass the user's id, or leave userId out to erase the whole tenant",
	),
	onProgress: progressCallback,
	signal,
};

/** Erases in the bucket of the tenant. */
export function forgetIn(
	core: ServiceCore,
	options: ForgetOptions,
): Promise<ForgetReport> {
	refuseInsideTransaction(core.db);
	return forget(coreOfTenant(core, options.tenantId), options);
}

/** Checks every bucket, and names those that have problems. */
export async function tryIsolation(
	core: ServiceCore,
): Promise<IsolationReport> {
	if (!(core instanceof Buckets)) return checkIsolation(core);
	const reports: IsolationReport[] = [];
	for (const bucket of core.all()) {
		const { library, database, tables } = await checkIsolation(bucket);
		const { schema } = bucket.settings;
		const placed = (found: readonly string[]) =>
			found.map((one) => `${schema}: ${one}`);
		reports.push({
			library: placed(library),
			database: { ...database, problems: placed(database.problems) },
			tables,
		});
	}
	return {
		library: reports.flatMap(({ library }) => library),
		database: {
			isSetUp: reports.some(({ database }) => database.isSetUp),
			problems: reports.flatMap(({ database }) => database.problems),
		},
		tables: reports[0]?.tables ?? [],
	};
}
