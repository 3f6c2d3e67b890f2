import { refuseInsideTransaction } from "../db/open-transaction.ts";
import { KvCache } from "../kv/kv-cache.ts";
import type { KvProblem } from "../kv/problems.ts";
import type { KvProgress } from "../kv/progress.ts";
import { defaultVerifyLimit } from "../kv/verify.ts";
import { type BucketCores, mapBuckets, mapEveryBucket } from "./each.ts";
import { spread } from "./spread.ts";

/** The caches of names of all buckets. */
export function kvOfBuckets(buckets: BucketCores): KvCache {
	return spread(KvCache, {
		status: async () => {
			const all = await mapBuckets(
				buckets,
				async ({ kv, settings: { schema } }) => {
					const status = await kv.status();
					return { ...status, problems: placed(status.problems, schema) };
				},
			);
			return {
				ready: all.every(({ ready }) => ready),
				rebuilding: all.some(({ rebuilding }) => rebuilding),
				persistence: all.some(({ persistence }) => persistence === "unlogged")
					? "unlogged"
					: "logged",
				standby: all.some(({ standby }) => standby),
				entries: all.some(({ entries }) => entries === null)
					? null
					: sumOf(all.map(({ entries }) => entries ?? {})),
				problems: all.flatMap(({ problems }) => problems),
			};
		},
		rebuild: async ({ onProgress, ...options } = {}) => {
			const progress = summed(onProgress);
			const all = await mapEveryBucket(buckets, ({ kv }) =>
				kv
					.rebuild({ ...options, onProgress: progress.report })
					.finally(progress.end),
			);
			return { entries: all.reduce((sum, { entries }) => sum + entries, 0) };
		},
		ensureReady: async ({ onProgress, ...options } = {}) => {
			const progress = summed(onProgress);
			await mapEveryBucket(buckets, ({ kv }) =>
				kv
					.ensureReady({ ...options, onProgress: progress.report })
					.finally(progress.end),
			);
		},
		verify: async ({ onProgress, ...options } = {}) => {
			const { sample, limit } = options;
			const progress = summed(onProgress);
			const each =
				sample === undefined
					? options
					: { ...options, sample: Math.ceil(sample / buckets.schemas.length) };
			const all = await mapBuckets(
				buckets,
				async ({ kv, settings: { schema } }) => {
					const result = await kv
						.verify({ ...each, onProgress: progress.report })
						.finally(progress.end);
					return { ...result, problems: placed(result.problems, schema) };
				},
			);
			return {
				ready: all.every(({ ready }) => ready),
				compared: all.reduce((sum, { compared }) => sum + compared, 0),
				differing: all.reduce((sum, { differing }) => sum + differing, 0),
				differences: all
					.flatMap(({ differences }) => differences)
					.slice(0, limit ?? defaultVerifyLimit),
				repaired: all.reduce((sum, { repaired }) => sum + repaired, 0),
				problems: all.flatMap(({ problems }) => problems),
			};
		},
		vacuum: async () => {
			await mapEveryBucket(buckets, ({ kv }) => kv.vacuum());
		},
		catchUp: async () => {
			const all = await mapEveryBucket(buckets, ({ kv }) => kv.catchUp());
			return all.includes(true);
		},
		settle: async () => {
			refuseInsideTransaction(buckets.db);
			await Promise.all(buckets.opened().map(({ kv }) => kv.settle()));
		},
		noticeEmptied: async () => {
			await mapEveryBucket(buckets, ({ kv }) => kv.noticeEmptied());
		},
		rebuildInBackground: () => {
			for (const { kv } of buckets.all()) kv.rebuildInBackground();
		},
		sources: async (db) =>
			(await mapBuckets(buckets, ({ kv }) => kv.sources(db))).flat(),
	});
}

/** What one bucket after the other reports, with the rows of those before it; `end` after each. */
function summed(onProgress: ((progress: KvProgress) => void) | undefined) {
	let before = { done: 0, total: 0 };
	let now = before;
	const report = (progress: KvProgress) => {
		const { done, total } = progress;
		now = { done: before.done + done, total: before.total + total };
		onProgress?.({ ...progress, ...now });
	};
	const end = () => {
		before = now;
	};
	return { report: onProgress && report, end };
}

function placed(
	problems: readonly KvProblem[],
	schema: string,
): readonly KvProblem[] {
	return problems.map((problem) => ({
		...problem,
		message: `${schema}: ${problem.message}`,
	}));
}

function sumOf(
	counts: readonly Readonly<Record<string, number>>[],
): Record<string, number> {
	const sums: Record<string, number> = {};
	for (const one of counts)
		for (const [name, count] of Object.entries(one))
			sums[name] = (sums[name] ?? 0) + count;
	return sums;
}
