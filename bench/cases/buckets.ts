import { coreEntities, PostgresService } from "remdb";
import { BenchDatabase } from "../support/bench-database.ts";
import {
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { dimensions, generateVectors } from "../support/data.ts";
import { Note } from "../support/models.ts";
import { milliseconds, rowsPerSecond, whole } from "../support/numbers.ts";
import { pairedRounds, timed } from "../support/paired.ts";
import { median, ratios } from "../support/statistics.ts";

/** Tenants spread over buckets of plain PostgreSQL, against all in one schema. */
export const buckets: BenchCase = { name: "buckets", run };

const tenants = Array.from({ length: 100 }, (_, at) => `tenant-${at}`);
const models = [Note] as const;
type Service = PostgresService<typeof models>;

interface Size {
	readonly buckets: number;
	readonly rowsOfTenant: number;
	/** Calls of a round. */
	readonly upserts: number;
	readonly lookups: number;
	readonly searches: number;
}

const usual: Size = {
	buckets: 64,
	rowsOfTenant: 100,
	upserts: 40,
	lookups: 1000,
	searches: 200,
};
const small: Size = {
	buckets: 8,
	rowsOfTenant: 20,
	upserts: 10,
	lookups: 200,
	searches: 50,
};

/** Rows of one call: a page of a document store, as an application writes them. */
const rowsOfCall = 50;

async function run(context: Context): Promise<Figure[]> {
	const size = context.quick ? small : usual;
	const { say } = context;
	const one = await open(context, undefined);
	try {
		const many = await open(context, size.buckets);
		try {
			say(`buckets: fill ${whole(tenants.length * size.rowsOfTenant)} rows`);
			for (const { service } of [one, many]) await fill(service, size);
			await Promise.all(
				[one, many].map(({ database }) =>
					database.client.query("VACUUM (ANALYZE)"),
				),
			);
			return [
				...(await calls(context, size, {
					one: one.service,
					many: many.service,
				})),
				...(await counts(context, size, {
					one: one.service,
					many: many.service,
				})),
				...(await migrations(context, size)),
			];
		} finally {
			await many.close();
		}
	} finally {
		await one.close();
	}
}

interface Opened {
	readonly database: BenchDatabase;
	readonly service: Service;
	close(): Promise<void>;
}

async function open(
	{ server }: Context,
	buckets: number | undefined,
): Promise<Opened> {
	const database = await BenchDatabase.create(server);
	const service = await PostgresService.connect({
		connectionString: database.url,
		models,
		...(buckets === undefined ? {} : { buckets }),
		embedding: { provider: "local", dimensions },
		backgroundIndex: { enabled: false },
	});
	await service.migrate();
	return {
		database,
		service,
		close: async () => {
			await service.close();
			await database.drop();
		},
	};
}

function rowsOf(tenantId: string, from: number, count: number) {
	const vectors = generateVectors(count, from + 1);
	return vectors.map((content, at) => ({
		name: `note ${from + at}`,
		description: `of ${tenantId}`,
		content: `Note ${from + at} of ${tenantId}`,
		vectors: { content },
	}));
}

async function fill(service: Service, { rowsOfTenant }: Size): Promise<void> {
	for (const tenantId of tenants)
		await service.batchUpsert({
			tableName: "notes",
			tenantId,
			entities: rowsOf(tenantId, 0, rowsOfTenant),
		});
}

function tenantAt(at: number): string {
	return tenants[(at * 37) % tenants.length] as string;
}

/** A service without buckets, and one with them. */
interface Services {
	readonly one: Service;
	readonly many: Service;
}

/** Verbs with a tenant: each goes to one schema. */
async function calls(
	{ rounds, say }: Context,
	size: Size,
	{ one, many }: Services,
): Promise<Figure[]> {
	let next = size.rowsOfTenant;
	const [query] = generateVectors(1, 7);
	// The rows of a round, made before it is measured.
	const prepare = {
		upsert: (from: number) =>
			Array.from({ length: size.upserts }, (_, at) => ({
				tenantId: tenantAt(at),
				entities: rowsOf(tenantAt(at), from, rowsOfCall),
			})),
		mixed: (from: number) => [
			{
				entities: tenants.flatMap((tenantId) =>
					rowsOf(tenantId, from, 5).map((row) => ({ ...row, tenantId })),
				),
			},
		],
		lookup: () => [],
		search: () => [],
	};
	type Batches = ReturnType<(typeof prepare)["upsert" | "mixed"]>;
	const write = async (service: Service, batches: Batches) => {
		for (const batch of batches)
			await service.batchUpsert({ tableName: "notes", ...batch });
	};
	const kinds = {
		upsert: write,
		mixed: write,
		lookup: async (service: Service) => {
			for (let at = 0; at < size.lookups; at++) {
				const hit = await service.lookupEntity({
					entityKey: `note ${at % size.rowsOfTenant}`,
					tenantId: tenantAt(at),
				});
				if (hit === undefined) throw new Error("a name was not found");
			}
		},
		search: async (service: Service) => {
			for (let at = 0; at < size.searches; at++) {
				const rows = await service.vectorSearch({
					tableName: "notes",
					queryEmbedding: query as Float32Array,
					tenantId: tenantAt(at),
					minSimilarity: -1,
					limit: 10,
				});
				if (rows.length === 0) throw new Error("a search found nothing");
			}
		},
	};
	const targets = { upsert: 1.1, lookup: 1.05, search: 1 };
	const names = {
		upsert: `batchUpsert, ${size.upserts} calls of ${rowsOfCall} rows of one tenant`,
		mixed: `batchUpsert, a call of ${5 * tenants.length} rows of ${tenants.length} tenants`,
		lookup: `LOOKUP, ${whole(size.lookups)} names`,
		search: `SEARCH, ${size.searches} in ${whole(size.rowsOfTenant)} rows of a tenant`,
	};
	const figures: Figure[] = [];
	for (const [kind, work] of Object.entries(kinds)) {
		say(`buckets: ${kind}`);
		const name = kind as keyof typeof kinds;
		let from = next;
		let done = 0;
		let batches: Batches = prepare[name](from);
		const times = await pairedRounds(
			{
				one: () => timed(() => work(one, batches)),
				many: () => timed(() => work(many, batches)),
			},
			{
				rounds,
				before: async () => undefined,
				after: async () => {
					// Both write the same rows, then both the next ones.
					if (++done % 2 === 1) return;
					from += rowsOfCall;
					batches = prepare[name](from);
				},
			},
		);
		next = from + rowsOfCall;
		const bound = name in targets ? targets[name as keyof typeof targets] : 0;
		figures.push({
			name: `${size.buckets} buckets ÷ none: ${names[name]}`,
			values: ratios(times.many, times.one),
			unit: "×",
			...(bound === 0 ? {} : { target: atMost(bound) }),
			detail: `${milliseconds(times.many)}; none ${milliseconds(times.one)}`,
		});
	}
	return figures;
}

/** `count` over all tenants: a statement for each bucket. */
async function counts(
	{ rounds, say }: Context,
	size: Size,
	{ one, many }: Services,
): Promise<Figure[]> {
	say("buckets: count");
	const [tenantId] = tenants;
	const times = await pairedRounds(
		{
			one: () => timed(() => one.repository(Note).count()),
			many: () => timed(() => many.repository(Note).count()),
			// A tenant's: as cheap as a statement on a bucket can be.
			cheap: () =>
				timed(() =>
					many
						.repository(Note)
						.count({ tenantId: tenantId as string, name: "note 0" }),
				),
		},
		{ rounds, before: async () => undefined, after: async () => undefined },
	);
	const cheap = median(times.cheap);
	return [
		{
			name: `count of all tenants: more than ${size.buckets} × ${cheap.toFixed(2)} ms, a count of one row`,
			values: times.many.map((ms) => ms - size.buckets * cheap),
			unit: "ms",
			target: atMost(20),
			detail: `${milliseconds(times.many)}; none ${milliseconds(times.one)}`,
		},
	];
}

/** Buckets of all built-in models. */
async function migrations(
	{ server, rounds, say }: Context,
	size: Size,
): Promise<Figure[]> {
	const database = await BenchDatabase.create(server);
	const service = await PostgresService.connect({
		connectionString: database.url,
		models: coreEntities,
		buckets: size.buckets,
		embedding: { provider: "local" },
		backgroundIndex: { enabled: false },
	});
	try {
		say(`buckets: migrate ${size.buckets} × ${coreEntities.length} models`);
		const first = await timed(() => service.migrate());
		const changeOne = async () => {
			await database.client.query(
				"ALTER TABLE public_b01.resources ALTER COLUMN metadata DROP DEFAULT",
			);
		};
		const nothing: number[] = [];
		const one: number[] = [];
		for (let round = 0; round < rounds; round++) {
			nothing.push(await timed(() => service.migrate()));
			await changeOne();
			let applied: readonly string[] = [];
			one.push(
				await timed(async () => {
					({ applied } = await service.migrate());
				}),
			);
			if (applied.length === 0) throw new Error("no change was found");
		}
		const what = `migrate of ${size.buckets} buckets × ${coreEntities.length} models`;
		return [
			{
				name: `${what}, nothing changed`,
				values: nothing,
				unit: "ms",
				detail: `the first: ${milliseconds([first])}, ${rowsPerSecond(size.buckets, [first]).replace("rows", "buckets")}`,
			},
			{
				name: `${what}, one bucket changed`,
				values: one,
				unit: "ms",
			},
		];
	} finally {
		await service.close();
		await database.drop();
	}
}
