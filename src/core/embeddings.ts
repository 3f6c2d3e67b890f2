import { argument, optionalOptions } from "../calls/arguments.ts";
import {
	async,
	counts,
	publicMethods,
	sync as synchronous,
	traced,
} from "../calls/public-methods.ts";
import { type Database, limited } from "../db/database.ts";
import { refuseInsideTransaction } from "../db/open-transaction.ts";
import {
	estimateMissing,
	type TextEstimate,
} from "../embed-sync/find-missing.ts";
import { retryDeadLettered } from "../embed-sync/queue.ts";
import { settleFields } from "../embed-sync/settle-fields.ts";
import { type FieldStatus, readStatus } from "../embed-sync/status.ts";
import { type SyncOptions, type SyncResult, sync } from "../embed-sync/sync.ts";
import type {
	EmbedContext,
	OpenProvider,
} from "../embed-sync/work-on-lease.ts";
import { EmbeddingWorker } from "../embed-sync/worker.ts";
import type { EmbeddingProvider } from "../embeddings/provider.ts";
import {
	anyText,
	isRecord,
	listOf,
	oneOf,
	signal,
	text,
	typeName,
	wholeNumber,
} from "../models/checks.ts";
import { progressCallback, withParts } from "../models/options.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { explainDrift } from "../store/explain-drift.ts";
import { ModelAdoption, type PlannedModel } from "./adopt-models.ts";
import type { GenerateBatchOptions } from "./embedder.ts";
import { ModelChoice } from "./model-choice.ts";
import { type ModelParts, ModelProviders } from "./model-providers.ts";
import { type ModelName, ModelTables } from "./model-tables.ts";
import type { DifferingModel, OtherModel } from "./other-models.ts";

export interface EmbeddingStatus {
	/** The model of the configuration; `undefined` where it is not known. */
	readonly configured: VectorSpace | undefined;
	/** Whether this process works on the queue. */
	readonly running: boolean;
	/** Tables whose active model is another than the configured one. */
	readonly mismatched: readonly string[];
	/** Each field of each table, under each model that it has vectors of or waits for. */
	readonly fields: readonly FieldStatus[];
}

export interface SyncEmbeddingsOptions extends SyncOptions {
	/** A model to make vectors of, beside those that searches use. @default the models of the stored vectors */
	readonly model?: ModelName;
}

/** @internal */
export interface EmbeddingsParts extends Omit<ModelParts, "models"> {
	/** The worker, where several schemas share one. @default a worker for this schema */
	readonly worker?: EmbeddingWorker | undefined;
	/** Called with the number of vectors stored: they may need an index. */
	readonly onStored: (
		table: EntityTable,
		space: VectorSpace,
		vectors: number,
	) => void;
}

// A worker that waits for its provider occupies a lease all the time: the queue waits better.
const workerDeadlineMs = 30_000;

/** Embeddings: the providers, the queue of texts that wait, and the models whose vectors are stored. */
export class Embeddings {
	/** @internal */
	readonly models: ModelChoice;
	readonly #parts: EmbeddingsParts;
	/** For all but {@link sync}, {@link prune} and what runs in the background. */
	readonly #limited: Database;
	readonly #worker: EmbeddingWorker;
	readonly #providers: ModelProviders;
	readonly #tables: ModelTables;
	readonly #adoption: ModelAdoption;

	/** @internal */
	constructor(parts: EmbeddingsParts) {
		const { settings, embedder } = parts;
		this.#parts = parts;
		this.#limited = limited(parts.db);
		this.models = new ModelChoice(settings.schema, embedder);
		const shared = { ...parts, models: this.models };
		this.#providers = new ModelProviders(shared);
		this.#tables = new ModelTables(shared, this.#providers);
		this.#adoption = new ModelAdoption(shared, () => this.context);
		this.#worker =
			parts.worker ??
			new EmbeddingWorker(() => [this.context], settings.logger);
	}

	/** Adds a provider of one's own, to be asked for by its name. */
	registerProvider(provider: EmbeddingProvider): void {
		this.#parts.embedder.registerProvider(provider);
		this.#worker.retry();
	}

	/**
	 * The vectors of the texts, in their order: in as few calls as the provider
	 * takes, identical texts once, checked before they are returned. The
	 * specification's generate_embeddings_batch.
	 */
	generateBatch(
		texts: readonly string[],
		options?: GenerateBatchOptions,
	): Promise<Float32Array[]> {
		return this.#parts.embedder.generateBatch(texts, options);
	}

	/** How many texts there are, have their vector, wait for it, or are dead-lettered. It reads every text. */
	status(): Promise<EmbeddingStatus> {
		return this.#explained(this.#status());
	}

	async #status(): Promise<EmbeddingStatus> {
		const { settings, embedder } = this.#parts;
		const db = this.#limited;
		this.models.forget();
		const models = await this.models.all(db);
		const mismatched = models.filter(
			(model) => model.state === "active" && !this.models.isConfigured(model),
		);
		return {
			configured: embedder.spaceIfKnown(),
			running: this.#worker.isRunning,
			mismatched: mismatched
				.map(({ tableName }) => tableName)
				.filter((name) => this.context.table(name) !== undefined),
			fields: await readStatus(db, settings.schema, {
				tables: await this.#tables.embedded(),
				models,
			}),
		};
	}

	/**
	 * Embeds what waits, now, and finds whatever lacks its vector, also what no
	 * trigger saw. With `model`, makes the vectors of another model beside those
	 * that searches use, until {@link switch}. Cut off, it is resumed by calling it
	 * again. Throws `PROVIDER_…` if a provider gives no vectors, `CANCELLED`.
	 */
	sync(options: SyncEmbeddingsOptions = {}): Promise<SyncResult> {
		return this.#explained(this.#sync(options));
	}

	async #sync({
		model,
		...options
	}: SyncEmbeddingsOptions): Promise<SyncResult> {
		if (model !== undefined) await this.#tables.begin(model, options.signal);
		await settleFields(this.context, options.signal);
		const targets = await this.#tables.targets(model);
		const result = await sync(this.context, targets, options);
		for (const { table, space } of targets)
			this.#parts.onStored(table, space, result.embedded);
		return result;
	}

	/** What {@link sync} would embed; tokens are estimated, rather too many than too few. */
	estimate(
		options: Pick<SyncEmbeddingsOptions, "model" | "signal"> = {},
	): Promise<TextEstimate> {
		return this.#explained(this.#estimate(options));
	}

	async #estimate({
		model,
		signal,
	}: Pick<SyncEmbeddingsOptions, "model" | "signal">): Promise<TextEstimate> {
		let sum: TextEstimate = { texts: 0, tokens: 0 };
		for (const { table, space } of await this.#tables.targets(model)) {
			const { texts, tokens } = await estimateMissing(
				this.#limited,
				{ table, space },
				signal,
			);
			sum = { texts: sum.texts + texts, tokens: sum.tokens + tokens };
		}
		return sum;
	}

	/** An error with what differs from the models, where something does. */
	#explained<T>(work: Promise<T>): Promise<T> {
		return work.catch(async (error: unknown) => {
			const tables = this.#parts.registry
				.all()
				.filter(({ entity }) => entity.embedFields.length > 0);
			throw await explainDrift(this.#limited, tables, error);
		});
	}

	/**
	 * Retries dead-lettered texts; returns how many. What waits
	 * after a failure, or in the lease of a worker, may be taken at once as well.
	 */
	async retry(): Promise<number> {
		const { db, settings, registry } = this.#parts;
		const names = registry.all().map(({ entity }) => entity.tableName);
		const retried = await this.#explained(
			retryDeadLettered(db, settings.schema, names),
		);
		this.#worker.retry();
		return retried;
	}

	/** Works on the queue in the background until {@link stop} or `close()`. Starting twice is fine. */
	start(): void {
		this.#worker.start();
	}

	/** Gives back what the worker has, and ends it. */
	async stop(): Promise<void> {
		refuseInsideTransaction(this.#parts.db);
		await Promise.all([this.#worker.stop(), this.#adoption.stop()]);
	}

	/**
	 * Makes a model that was filled with `sync({ model })` the one that searches
	 * and writes use; returns the tables. Throws `VALIDATION` while texts lack
	 * their vector.
	 */
	switch(name: ModelName): Promise<string[]> {
		return this.#explained(this.#tables.switch(name));
	}

	/** @internal the tables that {@link switch} would switch, all of whose texts have their vectors */
	checkSwitch(name: ModelName): Promise<EntityTable[]> {
		return this.#explained(this.#tables.checkSwitch(name));
	}

	/** Removes the vectors of a model that no table uses any more; returns how many there were. */
	prune(
		name: ModelName,
		{ signal }: { readonly signal?: AbortSignal | undefined } = {},
	): Promise<number> {
		return this.#explained(this.#tables.prune(name, signal));
	}

	/** @internal {@link ModelProviders.check} */
	checkProvider(table: EntityTable): Promise<void> {
		return this.#providers.check(table);
	}

	/** @internal {@link ModelProviders.openFor} */
	openFor(table: EntityTable, space: VectorSpace): Promise<OpenProvider> {
		return this.#providers.openFor(table, space);
	}

	/** @internal {@link ModelProviders.whyNot} */
	whyNot(space: VectorSpace): string | undefined {
		return this.#providers.whyNot(space);
	}

	/** @internal {@link ModelProviders.warnOfMismatch} */
	warnOfMismatch(found?: readonly DifferingModel[]): Promise<void> {
		return this.#providers.warnOfMismatch(found);
	}

	/** @internal {@link ModelAdoption.adopt} */
	adopt(others?: readonly OtherModel[]): Promise<void> {
		return this.#adoption.adopt(others);
	}

	/** @internal {@link ModelAdoption.planned} */
	plannedModels(others?: readonly OtherModel[]): Promise<PlannedModel[]> {
		return this.#adoption.planned(others);
	}

	/** @internal something was queued here: the worker need not wait for a notification */
	wake(): void {
		this.#worker.wake();
	}

	/** @internal */
	get context(): EmbedContext {
		const { db, settings } = this.#parts;
		return {
			db,
			schema: settings.schema,
			table: (name) =>
				this.#parts.registry
					.all()
					.find(
						({ entity }) =>
							entity.createEmbeddings && entity.tableName === name,
					),
			open: (space) => {
				const { provider, calls } = this.#providers.open(space);
				const retry = { deadlineMs: workerDeadlineMs, ...calls.retry };
				return { provider, calls: { ...calls, retry } };
			},
		};
	}
}

const ofModel = withParts({
	model: text,
	provider: text,
	dimensions: wholeNumber(1, 16_000),
});

/** A model's name, or an object with its provider and length. */
function modelName(value: unknown): string | undefined {
	if (typeof value === "string") return text(value);
	if (!isRecord(value))
		return `must be a string or { model, provider, dimensions }, not ${typeName(value)}`;
	return value.model === undefined ? "has no model" : ofModel(value);
}

/** What a provider must have is checked where it is registered; here, that it can be read at all. */
function readable(value: unknown): string | undefined {
	Array.isArray(value);
	return value === undefined ? "is missing" : undefined;
}

publicMethods<Embeddings>()(
	Embeddings,
	{
		registerProvider: synchronous(argument("provider", readable)),
		generateBatch: async(
			argument("texts", listOf(anyText)),
			optionalOptions<GenerateBatchOptions>({
				provider: text,
				model: text,
				dimensions: wholeNumber(1, 16_000),
				purpose: oneOf("document", "query"),
			}),
		),
		status: async(),
		sync: traced(
			async(
				optionalOptions<SyncEmbeddingsOptions>({
					model: modelName,
					onProgress: progressCallback,
					signal,
				}),
			),
			{
				operation: "embeddings.sync",
				found: counts("embedded", "settled", "dead", "removed"),
			},
		),
		estimate: async(optionalOptions({ model: modelName, signal })),
		retry: traced(async(), { operation: "embeddings.retry" }),
		start: synchronous(),
		stop: async(),
		switch: traced(async(argument("name", modelName)), {
			operation: "embeddings.switch",
		}),
		prune: traced(
			async(argument("name", modelName), optionalOptions({ signal })),
			{ operation: "embeddings.prune" },
		),
	},
	[
		"openFor",
		"whyNot",
		"wake",
		"adopt",
		"warnOfMismatch",
		"checkProvider",
		"checkSwitch",
		"plannedModels",
	],
);
