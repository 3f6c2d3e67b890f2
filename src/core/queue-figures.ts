import type { Handle } from "../db/database.ts";
import { readQueued } from "../embed-sync/status.ts";
import { readQueue } from "../indexer/build-queue.ts";
import type { QueueFigures } from "../telemetry/metrics.ts";

/** How much waits in the database's queues, by table and state. */
export async function queueFigures(
	db: Handle,
	schema: string,
): Promise<QueueFigures[]> {
	const texts = await readQueued(db, schema);
	const builds = await readQueue(db, schema);
	return sumFigures([
		...texts.map(
			({ tableName, state, count, ageMs }): QueueFigures => ({
				queue: "embeddings",
				table: tableName,
				state,
				count,
				oldestMs: state === "pending" ? Number(ageMs) : undefined,
			}),
		),
		...builds
			.filter(({ state }) => state !== "built")
			.map(
				({ tableName, state }): QueueFigures => ({
					queue: "index_builds",
					table: tableName,
					state,
					count: 1,
				}),
			),
	]);
}

/** One figure for each queue, table and state, with the sums. */
export function sumFigures(figures: readonly QueueFigures[]): QueueFigures[] {
	const sums = new Map<string, QueueFigures>();
	for (const one of figures) {
		const key = JSON.stringify([one.queue, one.table, one.state]);
		const sum = sums.get(key);
		sums.set(key, {
			...one,
			count: one.count + (sum?.count ?? 0),
			oldestMs:
				one.oldestMs === undefined
					? undefined
					: Math.max(one.oldestMs, sum?.oldestMs ?? 0),
		});
	}
	return [...sums.values()];
}
