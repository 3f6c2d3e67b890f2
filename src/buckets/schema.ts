import { SchemaLifecycle } from "../core/schema-lifecycle.ts";
import { type BucketCores, mapBuckets, mapEveryBucket } from "./each.ts";
import { migrateBuckets } from "./migrate-buckets.ts";
import { spread } from "./spread.ts";

/** The schemas of all buckets compared with the models; each result names its bucket. */
export function schemaOfBuckets(buckets: BucketCores): SchemaLifecycle {
	let last: Promise<unknown> = Promise.resolve();
	return spread(SchemaLifecycle, {
		diff: async () => {
			const all = await mapBuckets(
				buckets,
				async ({ schema, settings: { schema: bucket } }) =>
					(await schema.diff()).map((found) => ({ ...found, bucket })),
			);
			return all.flat();
		},
		plan: async (options = {}) => {
			const all = await mapBuckets(
				buckets,
				async ({ schema, settings: { schema: bucket } }) => {
					const { files, differences } = await schema.plan(options);
					return {
						files: files.map((file) => ({ ...file, bucket })),
						differences: differences.map((found) => ({ ...found, bucket })),
					};
				},
			);
			return {
				files: all.flatMap(({ files }) => files),
				differences: all.flatMap(({ differences }) => differences),
			};
		},
		status: async (options = {}) => {
			const all = await mapBuckets(
				buckets,
				async ({ schema, settings: { schema: bucket } }) =>
					(await schema.status(options)).map((one) => ({ ...one, bucket })),
			);
			return all.flat();
		},
		repair: async (options) => {
			const all = await mapEveryBucket(
				buckets,
				async ({ schema, settings: { schema: bucket } }) =>
					(await schema.repair(options)).map((one) => ({ ...one, bucket })),
			);
			return all.flat();
		},
		isUpToDate: async (options) => {
			const all = await mapBuckets(buckets, ({ schema }) =>
				schema.isUpToDate(options),
			);
			return !all.includes(false);
		},
		// One call at a time: the embedded database has no lock that serialises two.
		migrate: (options) => {
			const turn = last.then(() => migrateBuckets(buckets, options));
			last = turn.catch(() => {
				// The caller gets the error.
			});
			return turn;
		},
	});
}
