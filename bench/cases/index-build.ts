import pg from "pg";
import type { NewRow, PostgresService } from "remdb";
import {
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { Note } from "../support/models.ts";
import { milliseconds, whole } from "../support/numbers.ts";
import { median, ratios } from "../support/statistics.ts";
import { prepareNotes, tenantId, withWorkbench } from "../support/workbench.ts";

/** What writers feel while an HNSW index is built: by us, and by plain CREATE INDEX, which stops them. */
export const indexBuild: BenchCase = { name: "index-build", run };

type Service = PostgresService<readonly [typeof Note]>;
type Rows = NewRow<typeof Note>[];

async function run({ server, quick, rounds }: Context): Promise<Figure[]> {
	const count = quick ? 1_500 : 10_000;
	const { withVectors, provider } = prepareNotes(count + 2_000);
	const loaded = withVectors.slice(0, count);
	const written = withVectors.slice(count);
	return withWorkbench(server, [Note], provider, async (database, service) => {
		await upsert(service, loaded);
		await database.client.query("VACUUM (ANALYZE)");
		const { indexes } = await service.indexer.status();
		const { indexName } =
			indexes.find(({ indexType }) => indexType === "hnsw") ?? fail();
		const plain = new pg.Client({ connectionString: database.url });
		await plain.connect();
		const builds = {
			none: () => new Promise<void>((done) => setTimeout(done, 2_000)),
			ours: () =>
				service.createIndexConcurrently({
					tableName: "notes",
					indexType: "hnsw",
				}),
			plain: async () => {
				await plain.query(
					`CREATE INDEX "${indexName}" ON embeddings_notes USING hnsw ((embedding::vector(1536)) vector_cosine_ops)`,
				);
			},
		};
		const middle = { none: [], ours: [], plain: [] } as Figures;
		const longest = { none: [], ours: [], plain: [] } as Figures;
		for (let round = 0; round < rounds; round++)
			for (const name of ["none", "ours", "plain"] as const) {
				const times = await writeDuring(service, written, builds[name]());
				middle[name].push(median(times));
				longest[name].push(Math.max(...times));
				await database.client.query(`DROP INDEX IF EXISTS "${indexName}"`);
			}
		await plain.end();
		return [
			{
				name: `a write while ${whole(count)} vectors are indexed ÷ without a build, p50`,
				values: ratios(middle.ours, middle.none),
				unit: "×",
				target: atMost(3),
				detail: `${milliseconds(middle.ours)}; without ${milliseconds(middle.none)}`,
			},
			{
				name: "its longest wait ÷ that during CREATE INDEX",
				values: ratios(longest.ours, longest.plain),
				unit: "×",
				detail: `${milliseconds(longest.ours)}; CREATE INDEX ${milliseconds(longest.plain)}, without ${milliseconds(longest.none)}`,
			},
		];
	});
}

type Figures = Record<"none" | "ours" | "plain", number[]>;

/** Milliseconds of single upserts, one after the other until the build is done. */
async function writeDuring(
	service: Service,
	rows: Rows,
	build: Promise<void>,
): Promise<number[]> {
	let isDone = false;
	const ended = build.finally(() => {
		isDone = true;
	});
	const times: number[] = [];
	for (let at = 0; !isDone; at++) {
		const row = rows[at % rows.length] ?? fail();
		const started = performance.now();
		// Another text each time, so that its vector is written as well.
		await upsert(service, [{ ...row, content: `written ${at}` }]);
		if (!isDone || times.length === 0) times.push(performance.now() - started);
	}
	await ended;
	return times;
}

function upsert(service: Service, entities: Rows) {
	return service.batchUpsert({
		tableName: "notes",
		entities,
		tenantId,
		generateEmbeddings: false,
	});
}

function fail(): never {
	throw new Error("there is nothing to measure");
}
