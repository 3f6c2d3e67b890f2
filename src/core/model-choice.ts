import type { Handle } from "../db/database.ts";
import { type EmbeddedField, readFields } from "../embed-sync/fields.ts";
import { readModels, type TableModel } from "../embed-sync/models.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { isSameSpace } from "../models/vector.ts";
import { ExpiringCache } from "../util/expiring-cache.ts";
import type { Embedder, ProviderChoice } from "./embedder.ts";

/** Another process may switch; until then its vectors and ours are side by side. */
const maxAgeMs = 5000;

/**
 * Which model a call means: the one it names, else the table's active one, else
 * the configured one. So a change of model is one switch in the database, and
 * no process searches or writes in another model than the others.
 */
export class ModelChoice {
	readonly #schema: string;
	readonly #embedder: Embedder;
	readonly #models = new ExpiringCache<readonly TableModel[]>({ maxAgeMs });
	readonly #fields = new ExpiringCache<readonly EmbeddedField[] | undefined>({
		maxAgeMs,
	});

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

	all(db: Handle): Promise<readonly TableModel[]> {
		const schema = this.#schema;
		return this.#models.getOrRead(schema, () => readModels(db, schema));
	}

	/** Which fields have vectors in the database; `undefined`: the models alone decide. */
	fields(db: Handle): Promise<readonly EmbeddedField[] | undefined> {
		const schema = this.#schema;
		return this.#fields.getOrRead(schema, () => readFields(db, schema));
	}

	/** The next call reads them again. */
	forget(): void {
		this.#models.clear();
		this.#fields.clear();
	}
}
