import { PostgresService } from "remdb";
import { BenchDatabase } from "./bench-database.ts";
import type { Context } from "./case.ts";
import { Cached } from "./models.ts";
import { whole } from "./numbers.ts";
import { randomFrom } from "./random.ts";

/** How row `i` of each tenant is called. */
export interface Naming {
	/** In SQL, of an integer expression. */
	readonly sql: (i: string) => string;
	readonly of: (i: number) => string;
}

/** Made with next to no work of the server. */
export const numbered: Naming = {
	sql: (i) => `'row ' || ${i} || ' of all'`,
	of: (i) => `row ${i} of all`,
};

/** Three words and a number: names that are like each other here and there. */
export const wordy: Naming = {
	sql: (i) =>
		[1, 3, 5].map((step) => `${wordSql(i, step)} || ' ' || `).join("") + i,
	of: (i) => [...[1, 3, 5].map((step) => wordOf(i, step)), i].join(" "),
};

/** The tenant that the names are looked up for, one of a hundred. */
export const nameTenant = "t7";

export const tenantCount = 100;

/** A database full of names and a service on it. */
export interface Names {
	readonly database: BenchDatabase;
	readonly service: PostgresService<readonly [typeof Cached]>;
	readonly naming: Naming;
	/** Of {@link nameTenant}, numbered from 0. */
	readonly own: number;
}

/** Of the whole database, all tenants alike; `own`: but for {@link nameTenant}. */
export interface NameCounts {
	readonly all: number;
	readonly own?: number;
}

/** The names are written by the server, the cache by the triggers, as for everybody. */
export async function withNames<T>(
	context: Context,
	naming: Naming,
	{ all, own = all / tenantCount }: NameCounts,
	work: (names: Names) => Promise<T>,
): Promise<T> {
	const database = await BenchDatabase.create(context.server);
	try {
		const service = await openNames(database);
		try {
			await service.migrate();
			for (let rank = 0; rank < tenantCount; rank++) {
				const tenantId = `t${rank}`;
				await database.client.query(
					`INSERT INTO cached_rows (tenant_id, name, description, content)
SELECT $1, ${naming.sql("i")}, 'a row with a name', 'row ' || i FROM generate_series(0, $2::int - 1) AS i`,
					[tenantId, tenantId === nameTenant ? own : all / tenantCount],
				);
			}
			await database.client.query("VACUUM (ANALYZE)");
			context.say(`${whole(all)} names are there`);
			return await work({ database, service, naming, own });
		} finally {
			await service.close();
		}
	} finally {
		await database.drop();
	}
}

export function openNames(
	database: BenchDatabase,
	poolSize = 20,
): Promise<Names["service"]> {
	return PostgresService.connect({
		connectionString: database.url,
		models: [Cached],
		backgroundIndex: { enabled: false },
		poolSize,
	});
}

/** Numbers of rows, at random but the same in each run. */
export function someNumbers(count: number, below: number): number[] {
	const random = randomFrom(below);
	return Array.from({ length: count }, () => Math.floor(random() * below));
}

function wordSql(i: string, step: number): string {
	const list = words.map((text) => `'${text}'`).join(",");
	return `(ARRAY[${list}])[1 + (${i} * ${step} + ${i} / 7) % ${words.length}]`;
}

function wordOf(i: number, step: number): string {
	return words[(i * step + Math.floor(i / 7)) % words.length] as string;
}

const words =
	"alpha harbor cedar lantern orbit meadow copper violet summit quartz ember willow falcon granite pepper sable tundra velvet walnut zephyr anchor basil cobalt dahlia".split(
		" ",
	);
