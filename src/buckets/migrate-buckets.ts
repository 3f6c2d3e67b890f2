import {
	chooseModels,
	type OtherModel,
	readOtherModels,
} from "../core/other-models.ts";
import type { ServiceCore } from "../core/service-core.ts";
import { sideBySide } from "../core/side-by-side.ts";
import { readActiveModels } from "../embed-sync/models.ts";
import { underLock } from "../migrate/lock.ts";
import type { MigrateOptions, MigrateResult } from "../migrate/migrate.ts";
import { isSameSpace } from "../models/vector.ts";
import { checkDirectory, createDirectory, readDirectory } from "./directory.ts";
import { type BucketCores, endsAll, type Failure, throwAll } from "./each.ts";
import { checkInTurn } from "./indexer.ts";

// Each migration opens two connections besides the pool.
const maxAtOnce = 3;

/**
 * Migrates every bucket that is behind the models; one process at a time. A bucket
 * that is up to date costs a few reads. A migration that was interrupted is
 * completed, and a bucket that fails does not stop the others.
 */
export async function migrateBuckets(
	buckets: BucketCores,
	options: MigrateOptions,
): Promise<MigrateResult> {
	await prepareDirectory(buckets);
	const behind = await findBehind(buckets, options);
	const applied =
		behind.length === 0 ? [] : await migrateBehind(buckets, behind, options);
	await follow(buckets, behind);
	return { applied };
}

async function prepareDirectory({ db, settings, schemas }: BucketCores) {
	const place = { schema: settings.schema, buckets: schemas.length };
	const found = await readDirectory(db, place.schema);
	checkDirectory(found, place);
	if (found.directory !== undefined) return;
	const failure = await createDirectory(db, place.schema, place.buckets).then(
		() => undefined,
		(error: unknown) => ({ error }),
	);
	// Of two processes that create it at the same time one fails, and finds that
	// of the other, which may have another number.
	const created = await readDirectory(db, place.schema);
	if (failure !== undefined && created.directory === undefined)
		throw failure.error;
	checkDirectory(created, place);
}

/** The buckets that are not up to date. */
async function findBehind(
	buckets: BucketCores,
	options: MigrateOptions,
): Promise<readonly ServiceCore[]> {
	const { signal } = options;
	const found = await sideBySide(
		buckets,
		undefined,
		buckets.all().map((core) => async () => {
			signal?.throwIfAborted();
			// The migration below fails with the same error, and names the bucket.
			const isDone = await core.schema.isUpToDate(options).catch((error) => {
				if (endsAll(error)) throw error;
				return false;
			});
			return isDone ? [] : [core];
		}),
	);
	return found.flat();
}

function migrateBehind(
	buckets: BucketCores,
	behind: readonly ServiceCore[],
	options: MigrateOptions,
): Promise<string[]> {
	const { db, settings } = buckets;
	const { signal, onProgress } = options;
	// A database with one connection has one process, and migrates one bucket at a time.
	if (db.capabilities.maxConnections === 1)
		return migrateAll(behind, options, { atOnce: 1, checkLock: () => {} });
	const onWait = () => onProgress?.({ kind: "waiting" });
	return underLock(
		db,
		{ schema: settings.schema, signal, onWait },
		(_, checkLock) =>
			migrateAll(behind, options, { atOnce: maxAtOnce, checkLock }),
	);
}

async function migrateAll(
	behind: readonly ServiceCore[],
	options: MigrateOptions,
	{ atOnce, checkLock }: { atOnce: number; checkLock: () => void },
): Promise<string[]> {
	const applied = new Map<ServiceCore, string[]>();
	const failures: Failure[] = [];
	let end: { readonly error: unknown } | undefined;
	const migrate = async (core: ServiceCore) => {
		if (end !== undefined) return;
		try {
			checkLock();
			applied.set(core, await migrateBucket(core, options));
		} catch (error) {
			if (endsAll(error)) end ??= { error };
			failures.push({ bucket: core.settings.schema, error });
		}
	};
	// The first creates the extensions: two that create them at once would fail.
	const [first, ...rest] = behind;
	if (first !== undefined) await migrate(first);
	const waiting = rest.values();
	const work = async () => {
		for (const core of waiting) await migrate(core);
	};
	await Promise.all(Array.from({ length: atOnce }, work));
	if (end !== undefined) throw end.error;
	throwAll(failures, "the other buckets are migrated");
	return behind.flatMap((core) => applied.get(core) ?? []);
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
	return applied.map((name) => `${bucket}/${name}`);
}

/** After the migration: fills caches that lack rows, adopts embedding models, checks indexes. */
async function follow(
	buckets: BucketCores,
	behind: readonly ServiceCore[],
): Promise<void> {
	await sideBySide(
		buckets,
		undefined,
		buckets.all().map(
			({ kv }) =>
				() =>
					kv.catchUp(),
		),
	);
	const others = await readOtherModels(buckets);
	for (const { embeddings } of await findToAdopt(buckets, behind, others))
		await embeddings.adopt(others);
	checkInTurn(behind, Promise.resolve());
}

/** The buckets that were migrated, and those whose tables do not use the embedding model they are to have, found by one statement. */
async function findToAdopt(
	buckets: BucketCores,
	behind: readonly ServiceCore[],
	others: readonly OtherModel[],
): Promise<readonly ServiceCore[]> {
	const { db, schemas, embedder, registry } = buckets;
	const all = buckets.all();
	if (behind.length === all.length) return all;
	const models = await readActiveModels(db, schemas);
	const modelOf = chooseModels(embedder, others);
	const embedding = registry.all().flatMap(({ entity }) => {
		const space = entity.embedFields.length === 0 ? undefined : modelOf(entity);
		return space === undefined ? [] : [{ entity, space }];
	});
	const isAsChosen = ({ settings: { schema } }: ServiceCore) =>
		embedding.every(({ entity, space }) =>
			models.some(
				(model) =>
					model.schema === schema &&
					model.tableName === entity.tableName &&
					isSameSpace(model, space),
			),
		);
	return all.filter((core) => behind.includes(core) || !isAsChosen(core));
}
