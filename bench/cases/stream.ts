import { BenchDatabase } from "../support/bench-database.ts";
import {
	type BenchCase,
	below,
	type Context,
	type Figure,
} from "../support/case.ts";
import { childPath, runChild } from "../support/child.ts";
import { whole } from "../support/numbers.ts";

/** An iterable longer than memory: its rows go through, they do not pile up. */
export const stream: BenchCase = { name: "stream", run };

async function run({ server, quick }: Context): Promise<Figure[]> {
	const count = quick ? 50_000 : 1_000_000;
	const database = await BenchDatabase.create(server);
	try {
		const child = await runChild(childPath("stream-rows.mjs"), [
			database.url,
			String(count),
		]);
		const { ms }: { ms: number } = JSON.parse(child.stdout);
		await database.expectCounts(
			{ events: count, kv_store: count },
			"the stream",
		);
		const what = `stream of ${whole(count)} rows without vectors`;
		return [
			{
				name: `${what}: peak memory of the process`,
				values: [child.peakMB],
				unit: "MB",
				target: below(400),
			},
			{
				name: `${what}: rate`,
				values: [(count / ms) * 1000],
				unit: "rows/s",
			},
		];
	} finally {
		await database.drop();
	}
}
