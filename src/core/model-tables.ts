import { dropIndex } from "../db/catalogue/indexes.ts";
import { limited } from "../db/database.ts";
import { asRegistered, readFields } from "../embed-sync/fields.ts";
import { estimateMissing } from "../embed-sync/find-missing.ts";
import {
	activateModel,
	beginModel,
	removeModel,
	type TableModel,
	type Target,
} from "../embed-sync/models.ts";
import { countTexts } from "../embed-sync/queue.ts";
import { RemError } from "../errors.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { isSameSpace, spaceText } from "../models/vector.ts";
import { hnswIndex } from "../schema/index-types/hnsw.ts";
import type { ModelParts, ModelProviders } from "./model-providers.ts";

/** A model by its name; provider and length where they are not the service's own. */
export type ModelName =
	| string
	| {
			readonly model: string;
			readonly provider?: string | undefined;
			readonly dimensions?: number | undefined;
	  };

/** @internal The tables that have vectors: of which models, and how a table changes from one to another. */
export class ModelTables {
	readonly #parts: ModelParts;
	readonly #providers: ModelProviders;

	constructor(parts: ModelParts, providers: ModelProviders) {
		this.#parts = parts;
		this.#providers = providers;
	}

	/** The tables that have vectors, with the fields of every version of their models. */
	async embedded(): Promise<EntityTable[]> {
		const { db, registry, settings } = this.#parts;
		const fields = await readFields(db, settings.schema);
		return registry
			.all()
			.filter(({ entity }) => entity.createEmbeddings)
			.map((table) => asRegistered(table, fields))
			.filter(({ entity }) => entity.embedFields.length > 0);
	}

	/** The models to bring up to date: the named one, or all whose vectors are stored. */
	async targets(name: ModelName | undefined): Promise<Target[]> {
		if (name !== undefined) {
			const space = this.#space(name);
			return (await this.embedded()).map((table) => ({ table, space }));
		}
		const models = await this.#models();
		const configured = this.#parts.embedder.spaceIfKnown();
		return (await this.embedded()).flatMap((table) => {
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

	async begin(name: ModelName, signal: AbortSignal | undefined): Promise<void> {
		const space = this.#space(name);
		// What it lacks is reported before anything is stored.
		this.#providers.open(space);
		for (const table of await this.embedded())
			await beginModel(this.#parts.db, { table, space }, signal);
		this.#parts.models.forget();
	}

	/** Makes the model active in the tables that {@link checkSwitch} returns; returns their names. */
	async switch(name: ModelName): Promise<string[]> {
		const space = this.#space(name);
		const filling = await this.checkSwitch(name);
		if (filling.length === 0) return [];
		await limited(this.#parts.db).transaction(async (tx) => {
			for (const table of filling) await activateModel(tx, table, space);
		});
		this.#parts.models.forget();
		return filling.map(({ entity }) => entity.tableName);
	}

	/** The tables that {@link switch} would switch, all of whose texts have their vectors. */
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
		signal: AbortSignal | undefined,
	): Promise<number> {
		const space = this.#space(name);
		const [active] = await this.#tablesIn(space, "active");
		if (active !== undefined)
			throw new RemError(
				"VALIDATION",
				`"${active.entity.tableName}" is searched in ${spaceText(space)}`,
				{ hint: "switch to another model first" },
			);
		let removed = 0;
		for (const table of await this.embedded()) {
			await this.#dropIndexes(table, space);
			removed += await removeModel(this.#parts.db, { table, space }, signal);
		}
		this.#parts.models.forget();
		return removed;
	}

	/** They would be changed with every vector that is removed. */
	async #dropIndexes(table: EntityTable, space: VectorSpace): Promise<void> {
		const { db, settings } = this.#parts;
		for (const field of table.entity.embedFields) {
			const { name } = hnswIndex(table, field, space, settings.hnsw);
			await dropIndex(db, table.schema, name);
		}
	}

	/** As they are now, not as they are remembered. */
	#models(): Promise<readonly TableModel[]> {
		const { db, models } = this.#parts;
		models.forget();
		return models.all(db);
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
		const models = await this.#models();
		return (await this.embedded()).filter((table) =>
			models.some(
				(model) =>
					model.tableName === table.entity.tableName &&
					model.state === state &&
					isSameSpace(model, space),
			),
		);
	}

	async #checkFilled(table: EntityTable, space: VectorSpace): Promise<void> {
		const db = limited(this.#parts.db);
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
			`${texts - dead} texts of "${tableName}" have no vector of ${spaceText(space)} yet`,
			{ hint: this.#syncFirst(space) },
		);
	}

	#withoutVectors(space: VectorSpace): RemError {
		return new RemError(
			"VALIDATION",
			`no table has vectors of ${spaceText(space)}`,
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
