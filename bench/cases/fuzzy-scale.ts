import { type FuzzyMode, PostgresService } from "remdb";
import { BenchDatabase } from "../support/bench-database.ts";
import {
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { Cached } from "../support/models.ts";
import { milliseconds, whole } from "../support/numbers.ts";
import { pairedRounds, settle, timed } from "../support/paired.ts";
import { median, ratios } from "../support/statistics.ts";

/** FUZZY in one tenant with many names: every mode, and queries that much has in common with. */
export const fuzzyScale: BenchCase = { name: "fuzzy-scale", run };

const tenantId = "large";

async function run(context: Context): Promise<Figure[]> {
	const large = context.quick ? 100_000 : 1_000_000;
	return [
		...(await withNames(context, 10_000, (service) =>
			compareModes(context, service),
		)),
		...(await withNames(context, large, (service) =>
			timeQueries(context, service, large),
		)),
	];
}

type Service = PostgresService<readonly [typeof Cached]>;

/** Rows of the cache only, written by the server: words as frequent as in texts, the commonest in half of them. */
async function withNames<T>(
	context: Context,
	count: number,
	work: (service: Service) => Promise<T>,
): Promise<T> {
	const database = await BenchDatabase.create(context.server);
	try {
		const service = await PostgresService.connect({
			connectionString: database.url,
			models: [Cached],
			backgroundIndex: { enabled: false },
		});
		try {
			await service.migrate();
			const words = (how: number) =>
				`(SELECT string_agg(w.word, ' ') FROM (SELECT floor(exp(random() * ln(20000)) + 0 * n)::int AS id FROM generate_series(1, ${how}) OFFSET 0) AS g JOIN bench_words AS w USING (id))`;
			for (const text of [
				"DROP INDEX kv_store_fuzzy",
				`CREATE TABLE bench_words AS SELECT id, translate(substr(md5(id::text), 1, 3 + id % 7), '0123456789', 'ghijklmnop') AS word FROM generate_series(1, 20000) AS id`,
				"ALTER TABLE bench_words ADD PRIMARY KEY (id)",
				"ANALYZE bench_words",
				"SELECT setseed(0.5)",
				`INSERT INTO kv_store (tenant_id, entity_key, normalized_key, entity_type, entity_id, content_summary)
SELECT '${tenantId}', t.name, rem_normalize_key(t.name), 'cached_rows', uuidv7(), t.text
FROM (SELECT ${words(3)} || ' ' || n AS name, ${words(30)} AS text FROM generate_series(1, ${count}) AS n) AS t`,
				"SET maintenance_work_mem = '512MB'",
				"CREATE INDEX kv_store_fuzzy ON kv_store USING gin (tenant_id, entity_key gin_trgm_ops)",
				"CREATE INDEX kv_store_content ON kv_store USING gin (tenant_id, content_summary gin_trgm_ops)",
				"VACUUM (ANALYZE) kv_store",
			])
				await database.client.query(text);
			context.say(`fuzzy-scale: ${whole(count)} names are there`);
			return await work(service);
		} finally {
			await service.close();
		}
	} finally {
		await database.drop();
	}
}

const modes: readonly FuzzyMode[] = ["key", "word", "content"];

/** A word of the vocabulary, a letter of it missing; two words; a common one; a letter. */
async function queriesOf(service: Service): Promise<readonly string[]> {
	const { rows } = await service.execute<{ word: string }>(
		"SELECT word FROM bench_words WHERE id IN (1, 700, 7000) ORDER BY id",
	);
	const [common = "", some = "", rare = ""] = rows.map(({ word }) => word);
	const typo = rare.slice(0, 2) + rare.slice(3);
	return [rare, typo, `${some} ${typo}`, some, common, common.slice(0, 1)];
}

async function compareModes(
	context: Context,
	service: Service,
): Promise<Figure[]> {
	const queries = await queriesOf(service);
	const all = (mode: FuzzyMode) => () =>
		timed(async () => {
			for (const query of queries)
				await service.fuzzySearch({ query, mode, tenantId });
		});
	const times = await pairedRounds(
		{ key: all("key"), content: all("content") },
		{ rounds: context.rounds, before: () => settle(), after: async () => {} },
	);
	const each = (ms: readonly number[]) =>
		milliseconds(ms.map((time) => time / queries.length));
	return [
		{
			name: "FUZZY among 10,000 names: content ÷ key",
			values: ratios(times.content, times.key),
			unit: "×",
			target: atMost(5),
			detail: `${each(times.content)}; ${each(times.key)}`,
		},
	];
}

/** The slowest query of each mode. */
async function timeQueries(
	context: Context,
	service: Service,
	count: number,
): Promise<Figure[]> {
	const queries = await queriesOf(service);
	const figures: Figure[] = [];
	for (const mode of modes) {
		let slowest: readonly number[] = [0];
		for (const query of queries) {
			const find = () => service.fuzzySearch({ query, mode, tenantId });
			// The first one reads the sample.
			await find();
			const times: number[] = [];
			for (let round = 0; round < context.rounds; round++) {
				await settle();
				times.push(await timed(find));
			}
			if (median(times) > median(slowest)) slowest = times;
		}
		figures.push({
			name: `FUZZY by ${mode} among ${whole(count)} names, slowest query`,
			values: slowest,
			unit: "ms",
			target: atMost(300),
		});
	}
	return figures;
}
