import { createReadStream } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	atLeast,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { Note } from "../support/models.ts";
import { whole } from "../support/numbers.ts";
import { prepareNotes, tenantId, withWorkbench } from "../support/workbench.ts";

/** Rows with vectors out to a file and back, against a batch upsert of the same rows with ready vectors. */
export const exportAndImport: BenchCase = { name: "export", run };

async function run({
	server,
	quick,
	full,
	rounds,
}: Context): Promise<Figure[]> {
	const count = quick ? 2_000 : full ? 100_000 : 20_000;
	const { withVectors, provider } = prepareNotes(count);
	const folder = await mkdtemp(join(tmpdir(), "rem-bench-"));
	const path = join(folder, "rows.jsonl");
	try {
		return await withWorkbench(
			server,
			[Note],
			provider,
			async (database, service) => {
				const rates = { export: [] as number[], import: [] as number[] };
				const growth: number[] = [];
				for (let round = 0; round < rounds; round++) {
					await database.empty([Note]);
					const upsert = await timed(() =>
						service.batchUpsert({
							tableName: Note.tableName,
							entities: withVectors,
							atomic: "chunk",
							tenantId,
						}),
					);
					const before = process.memoryUsage().rss;
					let peak = before;
					const onProgress = () => {
						peak = Math.max(peak, process.memoryUsage().rss);
					};
					const file = await open(path, "w");
					const exported = await timed(() =>
						service.exportRows({
							vectors: true,
							write: (text) => file.appendFile(text),
							onProgress,
						}),
					);
					await file.close();
					await database.empty([Note]);
					const imported = await timed(() =>
						service.importRows({ text: createReadStream(path), onProgress }),
					);
					rates.export.push(upsert / exported);
					rates.import.push(upsert / imported);
					growth.push((peak - before) / 1e6);
				}
				const what = `${whole(count)} rows with vectors`;
				const target = atLeast(0.5);
				return [
					{
						name: `export of ${what}: rate ÷ batch upsert`,
						values: rates.export,
						unit: "×",
						target,
					},
					{
						name: `import of ${what}: rate ÷ batch upsert`,
						values: rates.import,
						unit: "×",
						target,
					},
					{
						name: `export and import of ${what}: growth of the process`,
						values: growth,
						unit: "MB",
					},
				];
			},
		);
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

async function timed(work: () => Promise<unknown>): Promise<number> {
	const started = performance.now();
	await work();
	return performance.now() - started;
}
