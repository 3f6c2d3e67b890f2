/**
 * Measures every verb among 1,000 to 1,000,000 rows, and writes docs/growth.md.
 *
 *     npm run growth -- --help
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import pg from "pg";
import { PostgresService } from "remdb";
import { openBenchServer } from "./support/bench-server.ts";
import type {
	GrownRow,
	GrownService,
	GrowthCall,
} from "./support/grown-row.ts";
import { Grown, grownSpace, growRows } from "./support/grown-rows.ts";
import { growthCalls, rowsOf } from "./support/growth-calls.ts";
import {
	type GrowthFigures,
	type GrowthTime,
	growthPage,
} from "./support/growth-page.ts";
import { growthPlot } from "./support/growth-plot.ts";
import { ProcessorTime } from "./support/processor-time.ts";
import { median } from "./support/statistics.ts";

const usage = `npm run growth -- [options]

  --sizes=A,B      rows (default 1000,10000,100000,1000000)
  --tenants=A,B    tenants that they are spread over (default 1,1000)
  --only=A,B       only these calls; the others keep their figures
  --calls=N        calls of each verb, at least 20 (default 20)
  --keep           use databases of an earlier run, and leave them
  --page           only write the page and its plot from bench/figures/growth.json

REM_TEST_DATABASE_URL names a PostgreSQL 18 to measure on (as a superuser); without it one is started.`;

const files = {
	figures: "bench/figures/growth.json",
	page: "docs/growth.md",
	plot: "docs/images/growth.svg",
};

interface Options {
	readonly only: readonly string[] | undefined;
	readonly calls: number;
	readonly keeps: boolean;
}

async function main(): Promise<void> {
	const { values } = parseArgs({
		options: {
			sizes: { type: "string", default: "1000,10000,100000,1000000" },
			tenants: { type: "string", default: "1,1000" },
			only: { type: "string" },
			calls: { type: "string", default: "20" },
			keep: { type: "boolean", default: false },
			page: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (values.help) return void process.stdout.write(`${usage}\n`);
	const options = {
		only: values.only?.split(/,(?! )/),
		calls: Math.max(20, Number(values.calls)),
		keeps: values.keep,
	};
	if (!values.page)
		for (const tenants of values.tenants.split(",").map(Number))
			for (const rows of values.sizes.split(",").map(Number))
				await measureSize(rows, tenants, options);
	writePage();
}

async function measureSize(
	rows: number,
	tenants: number,
	options: Options,
): Promise<void> {
	const server = await openBenchServer();
	const admin = new pg.Client({ connectionString: server.url });
	await admin.connect();
	const name = `rem_growth_${rows}_${tenants}`;
	const url = new URL(server.url);
	url.pathname = `/${name}`;
	try {
		const { rows: found } = await admin.query(
			"SELECT FROM pg_database WHERE datname = $1",
			[name],
		);
		const isThere = found.length > 0 && options.keeps;
		if (!isThere) {
			await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
			await admin.query(
				`CREATE DATABASE ${name} ENCODING 'UTF8' TEMPLATE template0`,
			);
		}
		const service = await open(url.href);
		try {
			if (!isThere) await fill(url.href, service, { rows, tenants });
			say(`${rows} rows in ${tenants} tenants are there`);
			await measureCalls(url.href, service, {
				...options,
				rows,
				tenants,
				version: server.version,
			});
		} finally {
			await service.close();
		}
		if (!options.keeps) await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
	} finally {
		await admin.end();
		await server.stop();
	}
}

/** On one connection, whose time is measured. */
async function open(connectionString: string): Promise<GrownService> {
	const service = await PostgresService.connect({
		connectionString,
		models: [Grown],
		poolSize: 1,
		backgroundIndex: { enabled: false, memoryMb: 4000 },
		embedding: {
			name: grownSpace.provider,
			model: grownSpace.model,
			dimensions: grownSpace.dimensions,
			limits: { maxTexts: 1 },
			embed: async () => {
				throw new Error("every vector is given");
			},
		},
	});
	await service.migrate();
	return service;
}

/** The rows, and every index that they pay for. */
async function fill(
	connectionString: string,
	service: GrownService,
	size: { readonly rows: number; readonly tenants: number },
): Promise<void> {
	const client = new pg.Client({ connectionString });
	await client.connect();
	try {
		await growRows(client, size);
		await service.indexer.repair({ missing: true });
		await service.indexer.drain();
		await client.query("ANALYZE");
	} finally {
		await client.end();
	}
}

interface Measured extends Options {
	readonly rows: number;
	readonly tenants: number;
	readonly version: string;
}

async function measureCalls(
	url: string,
	service: GrownService,
	{ rows, tenants, only, calls, version }: Measured,
): Promise<void> {
	const samples = await readSamples(url, { rows, tenants, count: calls });
	const times = new Map<string, GrowthTime>();
	for (const [name, call] of Object.entries(growthCalls)) {
		if (only !== undefined && !only.includes(name)) continue;
		const time = await measureCall(service, call, samples);
		times.set(name, time);
		say(
			`${name}: ${time.wallMs.toFixed(1)} ms, of the processor ${time.processorMs?.toFixed(1)}`,
		);
	}
	const figures = readFigures();
	const key = `${rows}/${tenants}`;
	const all = {
		...figures,
		server: version,
		node: process.version,
		processors: cpus().map(({ model }) => model),
		dimensions: grownSpace.dimensions,
		calls,
		sizes: {
			...figures.sizes,
			[key]: {
				rows,
				tenants,
				at: new Date().toISOString(),
				times: {
					...figures.sizes[key]?.times,
					...Object.fromEntries(times),
				},
			},
		},
	};
	writeFileSync(files.figures, `${JSON.stringify(all, null, "\t")}\n`);
}

/** One that reads a whole tenant is not called longer than this. */
const maxMs = 60_000;

async function measureCall(
	service: GrownService,
	{ prepare, call }: GrowthCall,
	samples: readonly GrownRow[],
): Promise<GrowthTime> {
	const processor = await ProcessorTime.of(service);
	const wall: number[] = [];
	const work: number[] = [];
	const end = performance.now() + maxMs;
	// Two of them warm up.
	for (const [at, row] of [...samples.slice(0, 2), ...samples].entries()) {
		const prepared = (await prepare?.(
			service,
			row,
			rowsOf(service, row),
		)) as never;
		const before = processor?.read();
		const started = performance.now();
		await call(service, row, prepared);
		const ms = performance.now() - started;
		const isLate = performance.now() > end;
		if (at < 2 && !isLate) continue;
		wall.push(ms);
		if (processor !== undefined && before !== undefined)
			work.push(processor.read() - before);
		if (isLate) break;
	}
	return {
		calls: wall.length,
		wallMs: median(wall),
		...(work.length === 0 ? {} : { processorMs: median(work) }),
	};
}

/** Rows from all over the table, each with a vector near its own. */
async function readSamples(
	connectionString: string,
	{
		rows,
		tenants,
		count,
	}: {
		readonly rows: number;
		readonly tenants: number;
		readonly count: number;
	},
): Promise<GrownRow[]> {
	const client = new pg.Client({ connectionString });
	await client.connect();
	try {
		const samples: GrownRow[] = [];
		for (let at = 0; at < count; at++) {
			const no = 1 + Math.floor(((at + 0.5) / count) * (rows - 1));
			const { rows: found } = await client.query<
				Omit<GrownRow, "vector"> & { vector: string }
			>(
				`SELECT r.id, r.tenant_id AS "tenantId", r.name, r.content, r.session_id AS "sessionId", e.embedding::text AS vector
FROM notes AS r JOIN embeddings_notes AS e ON e.entity_id = r.id
WHERE r.tenant_id = 't' || $1::bigint % $2::bigint AND r.name = growth_name($1::bigint)`,
				[no, tenants],
			);
			for (const row of found)
				samples.push({
					...row,
					vector: Float32Array.from(
						JSON.parse(row.vector) as number[],
						(value, place) => value + 0.1 * Math.sin(at + place),
					),
				});
		}
		return samples;
	} finally {
		await client.end();
	}
}

function readFigures(): GrowthFigures {
	return existsSync(files.figures)
		? (JSON.parse(readFileSync(files.figures, "utf8")) as GrowthFigures)
		: { sizes: {} };
}

function writePage(): void {
	const figures = readFigures();
	writeFileSync(files.page, growthPage(figures, growthCalls));
	writeFileSync(files.plot, growthPlot(figures, Object.keys(growthCalls)));
}

function say(line: string): void {
	process.stderr.write(`growth: ${line}\n`);
}

await main();
