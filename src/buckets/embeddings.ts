import { Embeddings } from "../core/embeddings.ts";
import { readDifferingModels, readOtherModels } from "../core/other-models.ts";
import { refuseInsideTransaction } from "../db/open-transaction.ts";
import type { FieldStatus } from "../embed-sync/status.ts";
import type { SyncProgress } from "../embed-sync/sync.ts";
import type { EmbeddingWorker } from "../embed-sync/worker.ts";
import { type BucketCores, mapBuckets, mapEveryBucket } from "./each.ts";
import { spread } from "./spread.ts";

/** The embeddings of all buckets: one set of providers, and one worker over all queues. */
export function embeddingsOfBuckets(
	buckets: BucketCores,
	worker: EmbeddingWorker,
): Embeddings {
	const { embedder } = buckets;
	const first = () => buckets.at(0).embeddings;
	return spread(Embeddings, {
		registerProvider: (provider) => {
			embedder.registerProvider(provider);
			worker.retry();
		},
		generateBatch: (texts, options) => embedder.generateBatch(texts, options),
		status: async () => {
			const all = await mapBuckets(buckets, ({ embeddings }) =>
				embeddings.status(),
			);
			return {
				configured: embedder.spaceIfKnown(),
				running: worker.isRunning,
				mismatched: [...new Set(all.flatMap(({ mismatched }) => mismatched))],
				fields: summedFields(all.flatMap(({ fields }) => fields)),
			};
		},
		sync: async ({ onProgress, ...options } = {}) => {
			let before = nothing;
			let now = nothing;
			const all = await mapEveryBucket(buckets, ({ embeddings }) =>
				embeddings
					.sync({
						...options,
						onProgress: (progress) => {
							now = sumOf(before, progress);
							onProgress?.(now);
						},
					})
					// What a bucket did before it failed counts.
					.finally(() => {
						before = now;
					}),
			);
			return all.reduce((sum, one) => ({
				embedded: sum.embedded + one.embedded,
				settled: sum.settled + one.settled,
				dead: sum.dead + one.dead,
				tokens: sum.tokens + one.tokens,
				removed: sum.removed + one.removed,
			}));
		},
		estimate: async (options = {}) => {
			const all = await mapBuckets(buckets, ({ embeddings }) =>
				embeddings.estimate(options),
			);
			return all.reduce((sum, { texts, tokens }) => ({
				texts: sum.texts + texts,
				tokens: sum.tokens + tokens,
			}));
		},
		retry: async () => {
			const all = await mapEveryBucket(buckets, ({ embeddings }) =>
				embeddings.retry(),
			);
			return all.reduce((sum, count) => sum + count, 0);
		},
		start: () => worker.start(),
		stop: async () => {
			refuseInsideTransaction(buckets.db);
			await Promise.all([
				worker.stop(),
				...buckets.opened().map(({ embeddings }) => embeddings.stop()),
			]);
		},
		// Unless all buckets are ready, none is switched.
		switch: async (name) => {
			await mapBuckets(buckets, ({ embeddings }) =>
				embeddings.checkSwitch(name),
			);
			const all = await mapEveryBucket(buckets, ({ embeddings }) =>
				embeddings.switch(name),
			);
			return [...new Set(all.flat())];
		},
		checkSwitch: async (name) => {
			const all = await mapBuckets(buckets, ({ embeddings }) =>
				embeddings.checkSwitch(name),
			);
			return all.flat();
		},
		prune: async (name, options = {}) => {
			const all = await mapEveryBucket(buckets, ({ embeddings }) =>
				embeddings.prune(name, options),
			);
			return all.reduce((sum, count) => sum + count, 0);
		},
		checkProvider: ({ entity }) =>
			first().checkProvider(buckets.at(0).registry.get(entity.tableName)),
		openFor: (table, space) => first().openFor(table, space),
		whyNot: (space) => first().whyNot(space),
		wake: () => worker.wake(),
		adopt: async () => {
			const others = await readOtherModels(buckets);
			await mapEveryBucket(buckets, ({ embeddings }) =>
				embeddings.adopt(others),
			);
		},
		plannedModels: async () => {
			const others = await readOtherModels(buckets);
			const all = await mapBuckets(buckets, ({ embeddings }) =>
				embeddings.plannedModels(others),
			);
			return [
				...new Map(
					all.flat().map((planned) => [planned.tableName, planned]),
				).values(),
			];
		},
		warnOfMismatch: async () => {
			// Else hundreds of tables would be read for nothing.
			if (embedder.namedSpace() === undefined) return;
			await first().warnOfMismatch(await readDifferingModels(buckets));
		},
	});
}

const nothing: SyncProgress = { done: 0, total: 0, tokens: 0, totalTokens: 0 };

function sumOf(a: SyncProgress, b: SyncProgress): SyncProgress {
	return {
		done: a.done + b.done,
		total: a.total + b.total,
		tokens: a.tokens + b.tokens,
		totalTokens: a.totalTokens + b.totalTokens,
	};
}

/** One status for each field, model and state, with the sums of all buckets. */
function summedFields(fields: readonly FieldStatus[]): FieldStatus[] {
	const sums = new Map<string, FieldStatus>();
	for (const one of fields) {
		const { tableName, fieldName, provider, model, dimensions, state } = one;
		const key = JSON.stringify([
			tableName,
			fieldName,
			provider,
			model,
			dimensions,
			state,
		]);
		const sum = sums.get(key);
		sums.set(key, sum === undefined ? one : summed(sum, one));
	}
	return [...sums.values()];
}

function summed(a: FieldStatus, b: FieldStatus): FieldStatus {
	const ages = [a.oldestMs, b.oldestMs].filter((age) => age !== undefined);
	const reasons = new Map<string, number>();
	for (const { reason, count } of [...a.reasons, ...b.reasons])
		reasons.set(reason, (reasons.get(reason) ?? 0) + count);
	return {
		...a,
		texts: a.texts + b.texts,
		embedded: a.embedded + b.embedded,
		queued: a.queued + b.queued,
		dead: a.dead + b.dead,
		oldestMs: ages.length === 0 ? undefined : Math.max(...ages),
		reasons: [...reasons]
			.map(([reason, count]) => ({ reason, count }))
			.sort((x, y) => y.count - x.count),
	};
}
