import type { Handle } from "../db/database.ts";
import { type EmbeddedField, readFields } from "../embed-sync/fields.ts";
import {
	isSameSpace,
	readModels,
	type TableModel,
} from "../embed-sync/models.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import type { Embedder, ProviderChoice } from "./embedder.ts";

/** Another process may switch; until then its vectors and ours stand side by side. */
const maxAgeMs = 5000;

/**
 * Which model a call means: the one it names, else the table's active one, else
 * the configured one. So a change of model is one switch in the database, and
 * no process searches or writes in another model than the others.
 */
export class ModelChoice {
	readonly #schema: string;
	readonly #embedder: Embedder;
	#models: readonly TableModel[] = [];
	#readAt = Number.NEGATIVE_INFINITY;
	#fields: readonly EmbeddedField[] | undefined;
	#fieldsReadAt = Number.NEGATIVE_INFINITY;

	constructor(schema: string, embedder: Embedder) {
		this.#schema = schema;
		this.#embedder = embedder;
	}

	/** Where vectors of the table belong. `db`: inside a transaction, its handle. */
	async space(
		db: Handle,
		table: EntityTable,
		choice: ProviderChoice = {},
	): Promise<VectorSpace> {
		if (choice.provider !== undefined || choice.model !== undefined)
			return this.#embedder.space(choice);
		return (await this.active(db, table)) ?? this.#embedder.space();
	}

	/** Whether a call that names no model means the configured one. */
	isConfigured(space: VectorSpace): boolean {
		const configured = this.#embedder.spaceIfKnown();
		return configured === undefined || isSameSpace(space, configured);
	}

	async active(
		db: Handle,
		table: EntityTable,
	): Promise<TableModel | undefined> {
		return (await this.all(db)).find(
			({ tableName, state }) =>
				tableName === table.entity.tableName && state === "active",
		);
	}

	async all(db: Handle): Promise<readonly TableModel[]> {
		if (performance.now() - this.#readAt > maxAgeMs) {
			this.#models = await readModels(db, this.#schema);
			this.#readAt = performance.now();
		}
		return this.#models;
	}

	/** Which fields have vectors in the database; `undefined`: the models alone decide. */
	async fields(db: Handle): Promise<readonly EmbeddedField[] | undefined> {
		if (performance.now() - this.#fieldsReadAt > maxAgeMs) {
			this.#fields = await readFields(db, this.#schema);
			this.#fieldsReadAt = performance.now();
		}
		return this.#fields;
	}

	/** Reads them anew at the next call. */
	forget(): void {
		this.#fieldsReadAt = Number.NEGATIVE_INFINITY;
		this.#readAt = Number.NEGATIVE_INFINITY;
	}
}
