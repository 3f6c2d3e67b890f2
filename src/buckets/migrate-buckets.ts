import type { ServiceCore } from "../core/service-core.ts";
import type { MigrateOptions, MigrateResult } from "../migrate/migrate.ts";
import type { Buckets } from "./buckets.ts";
import { checkDirectory, createDirectory, readDirectory } from "./directory.ts";

/** Brings every bucket to the models. One that was begun is completed. */
export async function migrateBuckets(
	buckets: Buckets,
	options: MigrateOptions,
): Promise<MigrateResult> {
	const { db, settings, schemas } = buckets;
	const place = { schema: settings.schema, buckets: schemas.length };
	checkDirectory(await readDirectory(db, place.schema), place);
	await createDirectory(db, place.schema, place.buckets);
	// Another process may have recorded another number at the same time.
	checkDirectory(await readDirectory(db, place.schema), place);
	const applied: string[] = [];
	for (const core of buckets.all())
		applied.push(...(await migrateBucket(core, options)));
	return { applied };
}

async function migrateBucket(
	core: ServiceCore,
	options: MigrateOptions,
): Promise<string[]> {
	const { schema: bucket } = core.settings;
	const { applied } = await core.schema.migrate({
		...options,
		onProgress: (progress) =>
			options.onProgress?.(
				progress.kind === "waiting" ? progress : { ...progress, bucket },
			),
	});
	await core.kv.catchUp();
	await core.embeddings.adopt();
	core.indexer.check();
	return applied.map((name) => `${bucket}/${name}`);
}
