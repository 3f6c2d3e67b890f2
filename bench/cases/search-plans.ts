import pg from "pg";
import { PostgresService } from "remdb";
import { BenchDatabase } from "../support/bench-database.ts";
import {
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { Note } from "../support/models.ts";
import { milliseconds, whole } from "../support/numbers.ts";
import { pairedRounds, settle, timed } from "../support/paired.ts";
import { ratios } from "../support/statistics.ts";
import { measureVectorCosts } from "../support/vector-costs.ts";

/** What the planner of searches is fitted to, and filtered searches of a large tenant. */
export const searchPlans: BenchCase = { name: "search-plans", run };

async function run(context: Context): Promise<Figure[]> {
	return [...(await costs(context)), ...(await filtered(context))];
}

const lengths = [384, 612, 1024, 1536, 3072];

/** `vectorsPerCandidate` of src/query/vector-plan.ts, at each length. */
async function costs({ server, quick, say }: Context): Promise<Figure[]> {
	const database = await BenchDatabase.create(server);
	try {
		await database.client.query("CREATE EXTENSION vector");
		const figures: Figure[] = [];
		for (const dimensions of quick ? lengths.slice(0, 1) : lengths) {
			const cost = await measureVectorCosts(database.client, dimensions);
			say(`search-plans: ${dimensions} dimensions are measured`);
			figures.push({
				name: `${dimensions} dimensions: a candidate ÷ a vector compared`,
				values: [cost.candidate / cost.vector],
				unit: "×",
				detail: `${cost.candidate.toFixed(1)} µs; ${cost.vector.toFixed(2)} µs`,
			});
		}
		return figures;
	} finally {
		await database.drop();
	}
}

const tenantId = "large";
const space = { provider: "bench", model: "uniform", dimensions: 16 };

async function filtered(context: Context): Promise<Figure[]> {
	const count = context.quick ? 100_000 : 1_000_000;
	const database = await BenchDatabase.create(context.server);
	try {
		const service = await PostgresService.connect({
			connectionString: database.url,
			models: [Note],
			backgroundIndex: { enabled: false },
			embedding: {
				name: space.provider,
				model: space.model,
				dimensions: space.dimensions,
				limits: { maxTexts: 1 },
				embed: async () => {
					throw new Error("every vector is given");
				},
			},
		});
		const raw = new pg.Client({ connectionString: database.url });
		try {
			await service.migrate();
			await raw.connect();
			await load(database, count);
			context.say(`search-plans: ${whole(count)} vectors are there`);
			const figures: Figure[] = [];
			for (const share of [100, 1000])
				figures.push(await compare(context, service, raw, share));
			return figures;
		} finally {
			await raw.end();
			await service.close();
		}
	} finally {
		await database.drop();
	}
}

/** `year`: a thousandth of the rows each; what triggers would do is left out. */
async function load({ client }: BenchDatabase, count: number): Promise<void> {
	const vector = Array.from(
		{ length: space.dimensions },
		() => "random()",
	).join(" || ',' || ");
	for (const text of [
		"ALTER TABLE notes DISABLE TRIGGER ALL; ALTER TABLE embeddings_notes DISABLE TRIGGER ALL",
		"SELECT setseed(0.5)",
		`INSERT INTO notes (tenant_id, name, description, content)
SELECT '${tenantId}', 'note ' || n, 'group ' || n % 1000, 'note ' || n FROM generate_series(1, ${count}) AS n`,
		`INSERT INTO embeddings_notes (entity_id, tenant_id, field_name, provider, model, dimensions, content_hash, chunk, embedding)
SELECT id, tenant_id, 'content', '${space.provider}', '${space.model}', ${space.dimensions}, '\\x00', 0, ('[' || ${vector} || ']')::vector FROM notes`,
		"CREATE INDEX bench_group ON notes (tenant_id, description)",
		"VACUUM (ANALYZE) notes",
		"VACUUM (ANALYZE) embeddings_notes",
	])
		await client.query(text);
}

/** The filter's rows first, their vectors one by one: the best SQL for few of many rows. */
const byRows = `WITH few AS MATERIALIZED (
  SELECT id FROM notes WHERE tenant_id = $2 AND deleted_at IS NULL AND description = ANY ($3)
)
SELECT r.*, n.distance FROM (
  SELECT e.entity_id, e.embedding <=> $1::vector AS distance FROM embeddings_notes AS e
  WHERE e.entity_id = ANY (ARRAY(SELECT id FROM few)) AND e.field_name = 'content' ORDER BY 2 LIMIT 10
) AS n JOIN notes AS r ON r.id = n.entity_id ORDER BY n.distance`;

async function compare(
	context: Context,
	service: PostgresService<readonly [typeof Note]>,
	raw: pg.Client,
	share: number,
): Promise<Figure> {
	const query = Float32Array.from(
		{ length: space.dimensions },
		(_, at) => ((at * 7) % 5) / 5,
	);
	const groups = Array.from({ length: 1000 / share }, (_, at) => `group ${at}`);
	const times = await pairedRounds(
		{
			ours: () =>
				timed(() =>
					service.vectorSearch({
						tableName: "notes",
						queryEmbedding: query,
						where: { description: { in: groups } },
						tenantId,
					}),
				),
			raw: () =>
				timed(() => raw.query(byRows, [`[${query}]`, tenantId, groups])),
		},
		{ rounds: context.rounds, before: () => settle(), after: async () => {} },
	);
	return {
		name: `SEARCH with a filter that one of ${whole(share)} rows fulfils ÷ best SQL`,
		values: ratios(times.ours, times.raw),
		unit: "×",
		target: atMost(3),
		detail: `${milliseconds(times.ours)}; ${milliseconds(times.raw)}`,
	};
}
