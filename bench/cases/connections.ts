import { PostgresService } from "remdb";
import { startServer } from "../../scripts/postgres-server.ts";
import type { BenchCase, Context, Figure } from "../support/case.ts";
import { Cached } from "../support/models.ts";
import {
	type Names,
	nameTenant,
	numbered,
	someNumbers,
	withNames,
} from "../support/names.ts";
import { milliseconds } from "../support/numbers.ts";
import { pairedRounds, settle, timed } from "../support/paired.ts";
import { ratios } from "../support/statistics.ts";

/** LOOKUP through PgBouncer next to direct, and spread over primary and replica next to the primary alone. */
export const connections: BenchCase = { name: "connections", run };

type Service = Names["service"];

const lookups = 2_000;
const atOnce = 10;

/** On servers of its own: a pooler and a standby belong to one. */
async function run(context: Context): Promise<Figure[]> {
	const primary = await startServer({ settings: { autovacuum: "off" } });
	const ownServer = {
		...context.server,
		url: primary.url,
		countsTime: false,
	};
	// A standby reads no other cache.
	process.env.KV_STORE__PERSISTENCE = "logged";
	try {
		const all = context.quick ? 10_000 : 100_000;
		return await withNames(
			{ ...context, server: ownServer },
			numbered,
			{ all },
			(names) => measure(context, primary, names),
		);
	} finally {
		delete process.env.KV_STORE__PERSISTENCE;
		await primary.remove();
	}
}

async function measure(
	context: Context,
	primary: Awaited<ReturnType<typeof startServer>>,
	names: Names,
): Promise<Figure[]> {
	const standby = await primary.copy({ asStandby: true });
	const pooler = await primary.startPooler({
		default_pool_size: String(atOnce),
	});
	const direct = await open(names.database.url, standby.port);
	const pooled = await open(through(pooler.url, names.database.url));
	try {
		return [
			await pooledFigure(context, names, { direct, pooled }, 1),
			await pooledFigure(context, names, { direct, pooled }, atOnce),
			await spreadFigure(context, names, direct),
		];
	} finally {
		await Promise.all([direct.close(), pooled.close()]);
		await pooler.stop();
		await standby.remove();
	}
}

/** One statement for each lookup: those of a tick would travel together. */
function open(connectionString: string, readPort?: number): Promise<Service> {
	return PostgresService.connect({
		connectionString,
		...(readPort === undefined ? {} : { readHost: `127.0.0.1:${readPort}` }),
		models: [Cached],
		backgroundIndex: { enabled: false },
		coalesceLookups: false,
		poolSize: atOnce,
	});
}

function through(poolerUrl: string, databaseUrl: string): string {
	const url = new URL(databaseUrl);
	url.port = new URL(poolerUrl).port;
	return url.href;
}

async function pooledFigure(
	{ rounds }: Context,
	names: Names,
	{ direct, pooled }: { direct: Service; pooled: Service },
	callers: number,
): Promise<Figure> {
	const times = await pairedRounds(
		{
			direct: () => timed(() => findAll(direct, names, callers, () => false)),
			pooled: () => timed(() => findAll(pooled, names, callers, () => false)),
		},
		{ rounds, before: () => settle(), after: async () => {} },
	);
	return {
		name: `LOOKUP, ${callers} at once: through PgBouncer ÷ direct, time`,
		values: ratios(times.pooled, times.direct),
		unit: "×",
		detail: `${each(times.pooled)}; ${each(times.direct)}`,
	};
}

async function spreadFigure(
	{ rounds }: Context,
	names: Names,
	service: Service,
): Promise<Figure> {
	const isEven = (caller: number) => caller % 2 === 0;
	const times = await pairedRounds(
		{
			primary: () => timed(() => findAll(service, names, atOnce, () => false)),
			spread: () => timed(() => findAll(service, names, atOnce, isEven)),
		},
		{ rounds, before: () => settle(), after: async () => {} },
	);
	return {
		name: `LOOKUP, ${atOnce} at once: rate over primary and replica ÷ primary only`,
		values: ratios(times.primary, times.spread),
		unit: "×",
		detail: `${each(times.spread)}; ${each(times.primary)}`,
	};
}

/** So many callers, each looking up one name after the other. */
async function findAll(
	service: Service,
	{ naming, own }: Names,
	callers: number,
	isOnReplica: (caller: number) => boolean,
): Promise<void> {
	const share = lookups / callers;
	const numbers = someNumbers(lookups, own);
	await Promise.all(
		Array.from({ length: callers }, async (_, caller) => {
			const consistency = isOnReplica(caller) ? "replica" : "primary";
			for (const at of numbers.slice(caller * share, (caller + 1) * share)) {
				const entityKey = naming.of(at);
				const hit = await service.lookupEntity({
					entityKey,
					tenantId: nameTenant,
					consistency,
				});
				if (hit?.entityKey !== entityKey)
					throw new Error(`"${entityKey}" was not found`);
			}
		}),
	);
}

function each(ms: readonly number[]): string {
	return milliseconds(ms.map((time) => time / lookups));
}
