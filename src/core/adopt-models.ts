import { readFields, registerFields } from "../embed-sync/fields.ts";
import { adoptModel, hasVectors } from "../embed-sync/models.ts";
import { settleFields } from "../embed-sync/settle-fields.ts";
import type { EmbedContext } from "../embed-sync/work-on-lease.ts";
import { RemError } from "../errors.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { isSameSpace } from "../models/vector.ts";
import type { ModelParts } from "./model-providers.ts";
import {
	chooseModels,
	notReadable,
	type OtherModel,
	readOtherModels,
} from "./other-models.ts";

/** @internal A table whose texts get the vectors of another model from the next migration on. */
export interface PlannedModel {
	readonly tableName: string;
	/** `undefined`: it has had none. */
	readonly from: VectorSpace | undefined;
	readonly to: VectorSpace;
}

/** How long a migration waits for fields whose vectors begin or cease. */
const settleWaitMs = 2000;
const settleAgainMs = 65_000;

/** What a migration does to the models of the tables and to the fields that have vectors. */
export class ModelAdoption {
	readonly #parts: ModelParts;
	readonly #context: () => EmbedContext;
	#settling: Promise<void> = Promise.resolve();
	#settleStop = new AbortController();
	#settleAgain: NodeJS.Timeout | undefined;

	constructor(parts: ModelParts, context: () => EmbedContext) {
		this.#parts = parts;
		this.#context = context;
	}

	/**
	 * After a migration: a table without vectors takes the configured
	 * model, and the models' fields are noted. Older texts of a field that is new
	 * among them are queued, and the vectors of one that is none any more removed;
	 * that is done in the background where it takes longer.
	 */
	async adopt(others?: readonly OtherModel[]): Promise<void> {
		await this.#adoptModels(others ?? (await this.#others()));
		const { db, registry, settings } = this.#parts;
		const fields = await readFields(db, settings.schema);
		await registerFields(db, settings.schema, {
			tables: registry.all(),
			fields,
		});
		this.#parts.models.forget();
		await this.#settleSoon();
	}

	/** The models of this schema, where it has no buckets. */
	#others(): Promise<OtherModel[]> {
		const { settings } = this.#parts;
		return readOtherModels({ ...this.#parts, schemas: [settings.schema] });
	}

	async #adoptModels(others: readonly OtherModel[]): Promise<void> {
		this.#parts.models.forget();
		const { db, embedder } = this.#parts;
		const modelOf = chooseModels(embedder, others);
		for (const table of this.#tables) {
			const space = modelOf(table.entity);
			if (space === undefined) continue;
			const active = await this.#parts.models.active(db, table);
			if (active === undefined || !isSameSpace(active, space))
				await adoptModel(db, table, space);
		}
	}

	/**
	 * What the next migration does to the models of tables that exist:
	 * one without vectors gives way to the configured model.
	 */
	async planned(others?: readonly OtherModel[]): Promise<PlannedModel[]> {
		const { db, embedder } = this.#parts;
		this.#parts.models.forget();
		const modelOf = chooseModels(embedder, others ?? (await this.#others()));
		const all = await this.#parts.models.all(db).catch(notReadable);
		const fields = await this.#parts.models.fields(db).catch(() => undefined);
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

	/** Ends what runs in the background. */
	async stop(): Promise<void> {
		clearTimeout(this.#settleAgain);
		this.#settleStop.abort();
		await this.#settling;
	}

	/** Waits a moment for what is short, so that a small table is ready when the migration is. */
	async #settleSoon(): Promise<void> {
		await this.stop();
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
			const isLeft = await settleFields(this.#context(), signal);
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

	/** Those whose texts get vectors by their models here. */
	get #tables(): EntityTable[] {
		return this.#parts.registry
			.all()
			.filter(({ entity }) => entity.embedFields.length > 0);
	}
}
