import pg from "pg";
import {
	atLeast,
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import {
	type Names,
	nameTenant,
	numbered,
	openNames,
	someNumbers,
	tenantCount,
	withNames,
} from "../support/names.ts";
import { milliseconds, whole } from "../support/numbers.ts";
import { pairedRounds, settle, timed } from "../support/paired.ts";
import { hasPgbench, pgbench } from "../support/pgbench.ts";
import { ratios } from "../support/statistics.ts";

/** Names found, next to pgbench with the very same statement; among many and few names; one by one and many at once. */
export const lookup: BenchCase = { name: "lookup", run };

async function run(context: Context): Promise<Figure[]> {
	const all = context.quick ? 10_000 : 100_000;
	return withNames(context, numbered, { all }, (few) =>
		withNames(context, numbered, { all: 10 * all }, async (many) => [
			...(await besidePgbench(context, few)),
			...(await besideDriver(context, few)),
			await amongMore(context, few, many),
			await atOnce(context, few),
		]),
	);
}

const lookups = 2_000;

async function besidePgbench(
	context: Context,
	named: Names,
): Promise<Figure[]> {
	if (!hasPgbench()) {
		context.say("lookup: there is no pgbench on this machine");
		return [];
	}
	const script = await pgbenchScript(named);
	const figures: Figure[] = [];
	for (const { clients, min } of [
		{ clients: 1, min: 0.8 },
		{ clients: 10, min: 1.1 },
	]) {
		const each = lookups / clients;
		const rates = await pairedRounds(
			{
				// Rates, not times: more is better.
				ours: async () => {
					const ms = await timed(() =>
						findAll(named, { callers: clients, each }),
					);
					return (lookups / ms) * 1000;
				},
				pgbench: () =>
					pgbench(named.database.url, { script, clients, transactions: each }),
			},
			{
				rounds: context.rounds,
				before: () => settle(),
				after: async () => {},
			},
		);
		figures.push({
			name: `LOOKUP, ${clients} at once: rate ÷ pgbench -M prepared`,
			values: ratios(rates.ours, rates.pgbench),
			unit: "×",
			target: atLeast(min),
			detail: `${rate(rates.ours)}; pgbench ${rate(rates.pgbench)}`,
		});
	}
	return figures;
}

/** One by one, next to the driver alone with the same named statement; without and with the rows themselves. */
async function besideDriver(context: Context, named: Names): Promise<Figure[]> {
	const figures: Figure[] = [];
	for (const hydrate of [false, true]) {
		const statement = await preparedStatement(named, hydrate);
		const client = new pg.Client({ connectionString: named.database.url });
		await client.connect();
		try {
			const times = await pairedRounds(
				{
					ours: () => timed(() => findAll(named, { each: lookups, hydrate })),
					driver: () => timed(() => findAllBare(named, client, statement)),
				},
				{
					rounds: context.rounds,
					before: () => settle(),
					after: async () => {},
				},
			);
			figures.push({
				name: `LOOKUP one by one${hydrate ? ", with the row" : ""}: rate ÷ bare driver, same statement`,
				values: ratios(times.driver, times.ours),
				unit: "×",
				target: atLeast(0.85),
				detail: `${eachOf(times.ours)}; driver ${eachOf(times.driver)}`,
			});
		} finally {
			await client.end();
		}
	}
	return figures;
}

async function findAllBare(
	{ naming, own }: Names,
	client: pg.Client,
	text: string,
): Promise<void> {
	for (const number of someNumbers(lookups, own)) {
		const key = naming.of(number);
		const { rows } = await client.query<{ entity_key: string }>({
			name: "lookup",
			text,
			values: [[key], nameTenant],
		});
		if (rows[0]?.entity_key !== key)
			throw new Error(`"${key}" was not found by the driver`);
	}
}

function eachOf(ms: readonly number[]): string {
	return milliseconds(ms.map((time) => time / lookups));
}

/** So many callers, each looking up one name after the other. */
async function findAll(
	{ service, naming, own }: Names,
	{
		callers = 1,
		each,
		hydrate = false,
	}: {
		readonly callers?: number;
		readonly each: number;
		readonly hydrate?: boolean;
	},
): Promise<void> {
	const numbers = someNumbers(callers * each, own);
	await Promise.all(
		Array.from({ length: callers }, async (_, caller) => {
			for (const number of numbers.slice(caller * each, (caller + 1) * each)) {
				const entityKey = naming.of(number);
				const hit = await service.lookupEntity({
					entityKey,
					tenantId: nameTenant,
					hydrate,
				});
				if (hit?.entityKey !== entityKey)
					throw new Error(`"${entityKey}" was not found`);
			}
		}),
	);
}

/** The statement of a LOOKUP, with a name at random in the place of its keys. */
async function pgbenchScript(named: Names): Promise<string> {
	const { naming, own } = named;
	const statement = (await preparedStatement(named, false))
		.replaceAll("$1::text[]", `ARRAY[${naming.sql(":i")}]`)
		.replaceAll("$2", `'${nameTenant}'`);
	return `\\set i random(0, ${own - 1})\n${statement};\n`;
}

/** The statement that the service prepares for a LOOKUP: the keys are `$1`, the tenant is `$2`. */
async function preparedStatement(
	{ database }: Names,
	hydrate: boolean,
): Promise<string> {
	const service = await openNames(database, 1);
	try {
		await service.lookupEntity({
			entityKey: "one",
			tenantId: nameTenant,
			hydrate,
		});
		const { rows } = await service.execute<{ statement: string }>(
			"SELECT statement FROM pg_prepared_statements WHERE name LIKE 'rem_lookup_%'",
		);
		const [prepared] = rows;
		if (rows.length !== 1 || prepared === undefined)
			throw new Error(`LOOKUP prepared ${rows.length} statements, expected 1`);
		const { statement } = prepared;
		const others = statement.replaceAll("$1::text[]", "").replaceAll("$2", "");
		if (/\$\d/.test(others))
			throw new Error(`LOOKUP has other parameters now:\n${statement}`);
		return statement;
	} finally {
		await service.close();
	}
}

async function amongMore(
	{ rounds }: Context,
	few: Names,
	many: Names,
): Promise<Figure> {
	const times = await pairedRounds(
		{
			few: () => timed(() => findAll(few, { each: lookups })),
			many: () => timed(() => findAll(many, { each: lookups })),
		},
		{ rounds, before: () => settle(), after: async () => {} },
	);
	const size = ({ own }: Names) => whole(own * tenantCount);
	return {
		name: `LOOKUP among ${size(many)} names ÷ among ${size(few)}`,
		values: ratios(times.many, times.few),
		unit: "×",
		target: atMost(1.2),
		detail: `${eachOf(times.many)}; ${eachOf(times.few)}`,
	};
}

async function atOnce({ rounds }: Context, named: Names): Promise<Figure> {
	const { service, naming, own } = named;
	const keys = 100;
	const repeats = 20;
	const times = await pairedRounds(
		{
			single: () => timed(() => findAll(named, { each: keys * repeats })),
			together: () =>
				timed(async () => {
					const numbers = someNumbers(keys * repeats, own);
					for (let at = 0; at < numbers.length; at += keys)
						await service.lookupEntities({
							entityKeys: numbers.slice(at, at + keys).map(naming.of),
							tenantId: nameTenant,
						});
				}),
		},
		{ rounds, before: () => settle(), after: async () => {} },
	);
	const each = (ms: readonly number[]) =>
		milliseconds(ms.map((time) => time / repeats));
	return {
		name: `${keys} names one by one ÷ at once`,
		values: ratios(times.single, times.together),
		unit: "×",
		target: atLeast(10),
		detail: `${each(times.single)}; ${each(times.together)}`,
	};
}

function rate(values: readonly number[]): string {
	const middle = [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
	return `${whole(middle)}/s`;
}
