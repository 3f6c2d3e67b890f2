import { argument, optionalOptions } from "../calls/arguments.ts";
import {
	async,
	counts,
	publicMethods,
	sync as synchronous,
	traced,
} from "../calls/public-methods.ts";
import { dropIndex } from "../db/catalogue/indexes.ts";
import { type Database, limited } from "../db/database.ts";
import { refuseInsideTransaction } from "../db/open-transaction.ts";
import {
	asRegistered,
	readFields,
	registerFields,
} from "../embed-sync/fields.ts";
import {
	estimateMissing,
	type TextEstimate,
} from "../embed-sync/find-missing.ts";
import {
	activateModel,
	adoptModel,
	beginModel,
	hasVectors,
	isSameSpace,
	removeModel,
	type Target,
} from "../embed-sync/models.ts";
import { countTexts, retryDeadLettered } from "../embed-sync/queue.ts";
import { settleFields } from "../embed-sync/settle-fields.ts";
import { type FieldStatus, readStatus } from "../embed-sync/status.ts";
import { type SyncOptions, type SyncResult, sync } from "../embed-sync/sync.ts";
import type {
	EmbedContext,
	OpenProvider,
} from "../embed-sync/work-on-lease.ts";
import { EmbeddingWorker } from "../embed-sync/worker.ts";
import type { EmbeddingProvider } from "../embeddings/provider.ts";
import { builtInProviders } from "../embeddings/resolve-provider.ts";
import { RemError } from "../errors.ts";
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
import type { EntityTable, Registry } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { hnswIndex } from "../schema/index-types/hnsw.ts";
import type { Settings } from "../settings/settings.ts";
import { explainDrift } from "../store/explain-drift.ts";
import type { Embedder, GenerateBatchOptions } from "./embedder.ts";
import { ModelChoice } from "./model-choice.ts";
import {
	chooseModels,
	type DifferingModel,
	formerModel,
	notReadable,
	type OtherModel,
	readDifferingModels,
	readOtherModels,
} from "./other-models.ts";

/** A model by its name; provider and length where they are not the service's own. */
export type ModelName =
	| string
	| {
			readonly model: string;
			readonly provider?: string | undefined;
			readonly dimensions?: number | undefined;
	  };

/** @internal A table whose texts get the vectors of another model from the next migration on. */
export interface PlannedModel {
	readonly tableName: string;
	/** `undefined`: it has had none. */
	readonly from: VectorSpace | undefined;
	readonly to: VectorSpace;
}

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
export interface EmbeddingsParts {
	readonly db: Database;
	readonly registry: Registry;
	readonly settings: Settings;
	readonly embedder: Embedder;
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

/** How long a migration waits for fields whose vectors begin or cease. */
const settleWaitMs = 2000;
const settleAgainMs = 65_000;

/** Embeddings: the providers, the queue of texts that wait, and the models whose vectors are stored. */
export class Embeddings {
	/** @internal */
	readonly models: ModelChoice;
	readonly #parts: EmbeddingsParts;
	/** For all but {@link sync}, {@link prune} and what goes on in the background. */
	readonly #limited: Database;
	readonly #worker: EmbeddingWorker;
	#settling: Promise<void> = Promise.resolve();
	#settleStop = new AbortController();
	#settleAgain: NodeJS.Timeout | undefined;

	/** @internal */
	constructor(parts: EmbeddingsParts) {
		const { settings, embedder } = parts;
		this.#parts = parts;
		this.#limited = limited(parts.db);
		this.models = new ModelChoice(settings.schema, embedder);
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
				tables: await this.#embedded(),
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
		if (model !== undefined) await this.#begin(model, options.signal);
		await settleFields(this.context, options.signal);
		const targets = await this.#targets(model);
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
		for (const { table, space } of await this.#targets(model)) {
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
			throw await explainDrift(this.#limited, this.#tables, error);
		});
	}

	/**
	 * Retries dead-lettered texts; returns how many. What waits
	 * after a failure, or in the lease of a worker, may be taken at once as well.
	 */
	async retry(): Promise<number> {
		const { db, settings, registry } = this.#parts;
		const names = registry.all().map(({ entity }) => entity.tableName);
		const retried = await retryDeadLettered(db, settings.schema, names);
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
		clearTimeout(this.#settleAgain);
		this.#settleStop.abort();
		await Promise.all([this.#worker.stop(), this.#settling]);
	}

	/**
	 * Makes a model that was filled with `sync({ model })` the one that searches
	 * and writes use; returns the tables. Throws `VALIDATION` while texts lack
	 * their vector.
	 */
	async switch(name: ModelName): Promise<string[]> {
		const space = this.#space(name);
		const filling = await this.checkSwitch(name);
		if (filling.length === 0) return [];
		await this.#limited.transaction(async (tx) => {
			for (const table of filling) await activateModel(tx, table, space);
		});
		this.models.forget();
		return filling.map(({ entity }) => entity.tableName);
	}

	/** @internal the tables that {@link switch} would switch, all of whose texts have their vectors */
	async checkSwitch(name: ModelName): Promise<EntityTable[]> {
		const space = this.#space(name);
		const filling = await this.#tablesIn(space, "filling");
		if (filling.length === 0) {
			const active = await this.#tablesIn(space, "active");
			if (active.length > 0) return [];
			throw this.#withoutVectors(space);
		}
		for (const table of filling) await this.#checkFilled(table, space);
		return filling;
	}

	/** Removes the vectors of a model that no table uses any more; returns how many there were. */
	async prune(
		name: ModelName,
		{ signal }: { readonly signal?: AbortSignal | undefined } = {},
	): Promise<number> {
		const space = this.#space(name);
		const [active] = await this.#tablesIn(space, "active");
		if (active !== undefined)
			throw new RemError(
				"VALIDATION",
				`"${active.entity.tableName}" is searched in ${describe(space)}`,
				{ hint: "switch to another model first" },
			);
		let removed = 0;
		for (const table of await this.#embedded()) {
			await this.#dropIndexes(table, space);
			removed += await removeModel(this.#parts.db, { table, space }, signal);
		}
		this.models.forget();
		return removed;
	}

	/** @internal Throws `PROVIDER_NOT_CONFIGURED` if an upsert into the table could embed nothing; works before the first migration. */
	async checkProvider(table: EntityTable): Promise<void> {
		const { db, embedder } = this.#parts;
		try {
			// A table without vectors takes the configured model when it is migrated.
			this.open(embedder.space());
		} catch (error) {
			const active = await this.models.active(db, table).catch(() => undefined);
			if (active === undefined) throw error;
			await this.openFor(table, active);
		}
	}

	/**
	 * @internal the provider of a space that texts of the table, or a query of it,
	 * are embedded in: where the table is set to another model than this service,
	 * the error names both
	 */
	async openFor(table: EntityTable, space: VectorSpace): Promise<OpenProvider> {
		try {
			return this.open(space);
		} catch (error) {
			const { db, embedder } = this.#parts;
			const configured = embedder.spaceIfKnown();
			const active = await this.models.active(db, table).catch(() => undefined);
			const isSetTo =
				active !== undefined &&
				isSameSpace(active, space) &&
				configured !== undefined &&
				!isSameSpace(configured, space);
			if (!isSetTo || !(error instanceof RemError)) throw error;
			throw otherModel({ table, error, active, configured });
		}
	}

	/** @internal the provider of a space */
	open(space: VectorSpace): OpenProvider {
		const { embedder } = this.#parts;
		const provider = embedder.provider(space);
		if (provider.dimensions !== space.dimensions)
			throw new RemError(
				"PROVIDER_NOT_CONFIGURED",
				`provider "${space.provider}" makes vectors of ${provider.dimensions} dimensions, those of ${describe(space)} are stored`,
				{
					hint: "configure its length, or change the model with sync and switch",
				},
			);
		return { provider, calls: embedder.calls(space) };
	}

	/** @internal why nothing can be embedded in the space here; `undefined`: it can */
	whyNot(space: VectorSpace): string | undefined {
		try {
			this.open(space);
			return undefined;
		} catch (error) {
			return toMessage(error);
		}
	}

	/** @internal something was queued here: the worker need not wait for a notification */
	wake(): void {
		this.#worker.wake();
	}

	/**
	 * @internal after a migration: a table without vectors takes the configured
	 * model, and the models' fields are noted. Older texts of a field that is new
	 * among them are queued, and the vectors of one that is none any more removed;
	 * that goes on in the background where it takes longer.
	 */
	async adopt(others?: readonly OtherModel[]): Promise<void> {
		await this.#adoptModels(others ?? (await this.#others()));
		const { db, registry, settings } = this.#parts;
		const fields = await readFields(db, settings.schema);
		await registerFields(db, settings.schema, {
			tables: registry.all(),
			fields,
		});
		this.models.forget();
		await this.#settleSoon();
	}

	/** The models of this schema, where it has no buckets. */
	#others(): Promise<OtherModel[]> {
		const { settings } = this.#parts;
		return readOtherModels({ ...this.#parts, schemas: [settings.schema] });
	}

	async #adoptModels(others: readonly OtherModel[]): Promise<void> {
		this.models.forget();
		const { db, embedder } = this.#parts;
		const modelOf = chooseModels(embedder, others);
		for (const table of this.#tables) {
			const space = modelOf(table.entity);
			if (space === undefined) continue;
			const active = await this.models.active(db, table);
			if (active === undefined || !isSameSpace(active, space))
				await adoptModel(db, table, space);
		}
	}

	/**
	 * @internal what the next migration does to the models of tables that exist:
	 * one without vectors gives way to the configured model
	 */
	async plannedModels(others?: readonly OtherModel[]): Promise<PlannedModel[]> {
		const { db, embedder } = this.#parts;
		this.models.forget();
		const modelOf = chooseModels(embedder, others ?? (await this.#others()));
		const all = await this.models.all(db).catch(notReadable);
		const fields = await this.models.fields(db).catch(() => undefined);
		const planned: PlannedModel[] = [];
		for (const table of this.#tables) {
			const { tableName } = table.entity;
			const to = modelOf(table.entity);
			if (to === undefined) continue;
			const own = all.filter((model) => model.tableName === tableName);
			const from = own.find(({ state }) => state === "active");
			const isSwitched =
				from === undefined
					? fields?.some((field) => field.tableName === tableName)
					: own.length === 1 &&
						!isSameSpace(from, to) &&
						!(await hasVectors(db, table, from));
			if (isSwitched) planned.push({ tableName, from, to });
		}
		return planned;
	}

	/** Waits a moment for what is short, so that a small table is ready when the migration is. */
	async #settleSoon(): Promise<void> {
		clearTimeout(this.#settleAgain);
		this.#settleStop.abort();
		await this.#settling;
		this.#settleStop = new AbortController();
		const { signal } = this.#settleStop;
		this.#settling = this.#settle(signal);
		let timer: NodeJS.Timeout | undefined;
		const moment = new Promise((resolve) => {
			timer = setTimeout(resolve, settleWaitMs);
		});
		await Promise.race([this.#settling, moment]);
		clearTimeout(timer);
	}

	async #settle(signal: AbortSignal): Promise<void> {
		try {
			const isLeft = await settleFields(this.context, signal);
			if (!isLeft || signal.aborted) return;
			// A writer that did not know yet may have stored another one.
			this.#settleAgain = setTimeout(() => {
				this.#settling = this.#settle(signal);
			}, settleAgainMs);
			this.#settleAgain.unref();
		} catch (error) {
			if (signal.aborted) return;
			this.#parts.settings.logger.warn(
				{ code: error instanceof RemError ? error.code : undefined },
				`embeddings: the fields' vectors could not be brought up to date: ${error instanceof RemError ? error.message : String(error)}; a worker or \`rem embeddings sync\` does it`,
			);
		}
	}

	/**
	 * @internal warns when the stored vectors are of another model than the
	 * configured one, or a table without vectors is set to one that cannot be used here
	 */
	async warnOfMismatch(found?: readonly DifferingModel[]): Promise<void> {
		const { settings, embedder } = this.#parts;
		// A provider of one's own may be registered after this.
		if (embedder.namedSpace() === undefined) return;
		const differing =
			found ??
			(await readDifferingModels({
				...this.#parts,
				schemas: [settings.schema],
			}));
		const others = differing.filter(({ isUsed }) => isUsed);
		embedder.continueWith(formerModel(others));
		const configured = embedder.spaceIfKnown();
		if (configured === undefined) return;
		for (const { tableName, isUsed, ...space } of differing) {
			// A provider of one's own may be registered after this.
			if (isUsed || !builtInProviders.includes(space.provider)) continue;
			const problem = this.whyNot(space);
			if (problem === undefined) continue;
			const { message, hint } = unusedModel({ tableName, space, configured });
			settings.logger.warn(
				{ provider: space.provider, model: space.model },
				`${message}: ${problem}; ${hint}`,
			);
		}
		const different = others
			.filter((other) => !isSameSpace(other, configured))
			.map((other) => `"${other.tableName}" in ${describe(other)}`);
		if (different.length > 0)
			settings.logger.warn(
				{
					provider: configured.provider,
					model: configured.model,
					isOtherModel: true,
				},
				`the configured model is ${describe(configured)}, but vectors are stored of ${different.join(", ")}: these are searched and written until \`rem embeddings sync --model ${configured.model}\` and \`rem embeddings switch ${configured.model}\``,
			);
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
				const { provider, calls } = this.open(space);
				const retry = { deadlineMs: workerDeadlineMs, ...calls.retry };
				return { provider, calls: { ...calls, retry } };
			},
		};
	}

	/** The tables that have vectors, with the fields of every version of their models. */
	async #embedded(): Promise<EntityTable[]> {
		const { db, registry, settings } = this.#parts;
		const fields = await readFields(db, settings.schema);
		return registry
			.all()
			.filter(({ entity }) => entity.createEmbeddings)
			.map((table) => asRegistered(table, fields))
			.filter(({ entity }) => entity.embedFields.length > 0);
	}

	/** Those whose texts get vectors by their models here. */
	get #tables(): EntityTable[] {
		return this.#parts.registry
			.all()
			.filter(({ entity }) => entity.embedFields.length > 0);
	}

	async #begin(
		name: ModelName,
		signal: AbortSignal | undefined,
	): Promise<void> {
		const space = this.#space(name);
		// What it lacks is reported before anything is stored.
		this.open(space);
		for (const table of await this.#embedded())
			await beginModel(this.#parts.db, { table, space }, signal);
		this.models.forget();
	}

	/** The models to bring up to date: the named one, or all whose vectors are stored. */
	async #targets(name: ModelName | undefined): Promise<Target[]> {
		if (name !== undefined) {
			const space = this.#space(name);
			return (await this.#embedded()).map((table) => ({ table, space }));
		}
		this.models.forget();
		const models = await this.models.all(this.#parts.db);
		const configured = this.#parts.embedder.spaceIfKnown();
		return (await this.#embedded()).flatMap((table) => {
			const stored = models.filter(
				({ tableName, state }) =>
					tableName === table.entity.tableName && state !== "retired",
			);
			const spaces =
				stored.length === 0 && configured !== undefined ? [configured] : stored;
			return spaces.map(({ provider, model, dimensions }) => ({
				table,
				space: { provider, model, dimensions },
			}));
		});
	}

	/** They would be changed with every vector that is removed. */
	async #dropIndexes(table: EntityTable, space: VectorSpace): Promise<void> {
		const { db, settings } = this.#parts;
		for (const field of table.entity.embedFields) {
			const { name } = hnswIndex(table, field, space, settings.hnsw);
			await dropIndex(db, table.schema, name);
		}
	}

	#space(name: ModelName): VectorSpace {
		return this.#parts.embedder.space(
			typeof name === "string" ? { model: name } : name,
		);
	}

	async #tablesIn(
		space: VectorSpace,
		state: "active" | "filling",
	): Promise<EntityTable[]> {
		this.models.forget();
		const models = await this.models.all(this.#parts.db);
		return (await this.#embedded()).filter((table) =>
			models.some(
				(model) =>
					model.tableName === table.entity.tableName &&
					model.state === state &&
					isSameSpace(model, space),
			),
		);
	}

	async #checkFilled(table: EntityTable, space: VectorSpace): Promise<void> {
		const db = this.#limited;
		const { tableName } = table.entity;
		const { texts } = await estimateMissing(db, { table, space });
		const partition = { ...space, tableName };
		const dead = await countTexts(db, table.schema, {
			partition,
			state: "dead",
		});
		if (texts <= dead) return;
		throw new RemError(
			"VALIDATION",
			`${texts - dead} texts of "${tableName}" have no vector of ${describe(space)} yet`,
			{ hint: this.#syncFirst(space) },
		);
	}

	#withoutVectors(space: VectorSpace): RemError {
		return new RemError(
			"VALIDATION",
			`no table has vectors of ${describe(space)}`,
			{ hint: this.#syncFirst(space) },
		);
	}

	/** With the options that the model's name alone would not mean. */
	#syncFirst(space: VectorSpace): string {
		const { embedder } = this.#parts;
		const meant = embedder.spaceIfKnown({ model: space.model });
		const provider =
			meant?.provider === space.provider ? "" : ` --provider ${space.provider}`;
		const dimensions =
			meant?.dimensions === space.dimensions
				? ""
				: ` --dimensions ${space.dimensions}`;
		return `run \`rem embeddings sync --model ${space.model}${provider}${dimensions}\` first`;
	}
}

/** A table that is set to a model which cannot be used here, and differs from the configured one. */
function otherModel({
	table: {
		entity: { tableName },
	},
	error,
	active,
	configured,
}: {
	readonly table: EntityTable;
	readonly error: RemError;
	readonly active: VectorSpace;
	readonly configured: VectorSpace;
}): RemError {
	const { message, hint } = unusedModel({
		tableName,
		space: active,
		configured,
	});
	return new RemError(error.code, `${message}: ${error.message}`, {
		hint: `${hint}; ${ofVectors(configured)}`,
		cause: error,
	});
}

function unusedModel({
	tableName,
	space,
	configured,
}: {
	readonly tableName: string;
	readonly space: VectorSpace;
	readonly configured: VectorSpace;
}): { readonly message: string; readonly hint: string } {
	return {
		message: `table "${tableName}" is set to ${describe(space)} in the database, this service to ${describe(configured)}`,
		hint: `while the table has no vectors, migrate() of this service sets it to the configured model, as does rem migrate with EMBEDDING__PROVIDER=${configured.provider}`,
	};
}

function ofVectors({ model }: VectorSpace): string {
	return `once it has vectors: rem embeddings sync --model ${model} and rem embeddings switch ${model}`;
}

function toMessage(error: unknown): string {
	return error instanceof RemError ? error.message : String(error);
}

/** `openai text-embedding-3-small (1536)` */
function describe({ provider, model, dimensions }: VectorSpace): string {
	return `${provider} ${model} (${dimensions})`;
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
		"open",
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
