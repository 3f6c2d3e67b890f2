import { performance } from "node:perf_hooks";
import type pg from "pg";
import type { NewRow } from "remdb";
import { upsertBinary } from "../support/binary-rows.ts";
import {
	atLeast,
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { fingerprint } from "../support/fingerprint.ts";
import { Note } from "../support/models.ts";
import { milliseconds, rowsPerSecond, whole } from "../support/numbers.ts";
import { pairedRounds, timed } from "../support/paired.ts";
import { StagedRows } from "../support/staged-rows.ts";
import { median, ratios } from "../support/statistics.ts";
import { prepareNotes, tenantId, withWorkbench } from "../support/workbench.ts";

/** Entities with one vector each: the main job. */
export const oneVector: BenchCase = { name: "one-vector", run };

async function run({ server, quick, rounds }: Context): Promise<Figure[]> {
	const count = quick ? 1_000 : 10_000;
	const rowByRowCount = quick ? 100 : 500;
	const { bare, withVectors, provider } = prepareNotes(count);
	const vectors = withVectors.map(
		(row) => row.vectors?.content as Float32Array,
	);
	const texts = vectors.slice(0, rowByRowCount).map(vectorText);

	return withWorkbench(server, [Note], provider, async (database, service) => {
		const ready = () =>
			timed(() =>
				service.batchUpsert({
					tableName: "notes",
					entities: withVectors,
					tenantId,
					generateEmbeddings: false,
				}),
			);
		const embedded = () =>
			timed(() =>
				service.batchUpsert({ tableName: "notes", entities: bare, tenantId }),
			);
		await ready();
		const staged = await StagedRows.of(database, Note);
		const expected = await fingerprint(database, Note);

		const times = await pairedRounds(
			{
				ready,
				embedded,
				server: () => staged.insert(),
				binary: () =>
					timed(() =>
						upsertBinary(database.client, { rows: bare, vectors, tenantId }),
					),
				rowByRow: () => insertRowByRow(database.client, bare, texts),
			},
			{
				rounds,
				before: () => database.empty([Note]),
				after: async (name) => {
					if (name === "rowByRow")
						await database.expectCounts(counts(rowByRowCount), name);
					else if ((await fingerprint(database, Note)) !== expected)
						throw new Error(`${name} wrote other rows`);
				},
			},
		);
		const scaled = times.rowByRow.map((ms) => (ms / rowByRowCount) * count);
		const what = `${whole(count)} entities + ${whole(count)} vectors + kv`;
		return [
			{
				name: `${what}, ready vectors ÷ INSERT … SELECT`,
				values: ratios(times.ready, times.server),
				unit: "×",
				target: atMost(2.5),
				detail: `${milliseconds(times.ready)}, ${rowsPerSecond(count, times.ready)}; server ${milliseconds(times.server)}`,
			},
			{
				name: `${what}, provider in process ÷ INSERT … SELECT`,
				values: ratios(times.embedded, times.server),
				unit: "×",
				target: atMost(2.5),
				detail: `${milliseconds(times.embedded)}, ${rowsPerSecond(count, times.embedded)}`,
			},
			{
				name: `${what}, ready vectors ÷ the same as raw binary SQL by the driver`,
				values: ratios(times.ready, times.binary),
				unit: "×",
				target: atMost(1.35),
				detail: `${milliseconds(times.ready)}; driver ${milliseconds(times.binary)}`,
			},
			{
				name: "row-at-a-time text ÷ ready vectors",
				values: ratios(scaled, times.ready),
				unit: "×",
				target: atLeast(8),
				detail: `${whole(rowByRowCount)} rows, scaled: ${whole((rowByRowCount / median(times.rowByRow)) * 1000)} rows/s`,
			},
		];
	});
}

function counts(rows: number) {
	return { notes: rows, embeddings_notes: rows, kv_store: rows };
}

/** As most clients write: a statement a row, all values as text, each committed on its own. */
async function insertRowByRow(
	client: pg.Client,
	rows: readonly NewRow<typeof Note>[],
	vectors: readonly string[],
): Promise<number> {
	const started = performance.now();
	for (const [index, vector] of vectors.entries()) {
		const row = rows[index] as NewRow<typeof Note>;
		const result = await client.query<{ id: string }>(insertEntity, [
			tenantId,
			row.name,
			row.description,
			row.content,
			JSON.stringify(row.graphEdges),
			JSON.stringify(row.metadata),
		]);
		await client.query(insertEmbedding, [result.rows[0]?.id, tenantId, vector]);
	}
	return performance.now() - started;
}

const insertEntity = `
INSERT INTO notes (tenant_id, name, description, content, graph_edges, metadata)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant_id, user_id, name) WHERE deleted_at IS NULL DO UPDATE SET
  description = excluded.description, content = excluded.content,
  graph_edges = excluded.graph_edges, metadata = excluded.metadata, updated_at = now()
RETURNING id`;

const insertEmbedding = `
INSERT INTO embeddings_notes (entity_id, tenant_id, field_name, provider, model, dimensions, content_hash, embedding)
VALUES ($1, $2, 'content', 'bench', 'precomputed', 1536, '', $3::vector)
ON CONFLICT (entity_id, field_name, provider, model, dimensions, chunk) DO UPDATE SET
  embedding = excluded.embedding, updated_at = now()`;

/** With the nine digits that a float4 needs, and made before the clock runs: to the baseline's advantage. */
function vectorText(vector: Float32Array): string {
	return `[${Array.from(vector, (value) => Number(value.toPrecision(9))).join(",")}]`;
}
