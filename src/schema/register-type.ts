import { type Entity, withOptions } from "../models/entity.ts";
import { checkDefinition, type EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector-space.ts";
import { toText } from "../sql.ts";
import { embeddingsDdl, tableDdl } from "./entity-ddl.ts";
import type { HnswOptions } from "./hnsw.ts";
import { backgroundIndexesDdl, indexesDdl } from "./indexes.ts";
import { kvTriggerDdl } from "./kv-trigger.ts";
import { entityRowSecurityDdl } from "./row-security.ts";

export interface RegisterTypeOptions {
	/** @default the model's, like all of these five */
	readonly tableName?: string;
	readonly entityKeyField?: string | readonly string[] | null;
	readonly tenantScoped?: boolean;
	readonly createEmbeddings?: boolean;
	readonly createKvTrigger?: boolean;
	/** @default "public" */
	readonly schema?: string;
	/** The vectors that get HNSW indexes. @default openai, text-embedding-3-small, 1536 */
	readonly embedding?: VectorSpace;
	/** @default { m: 16, efConstruction: 64 } */
	readonly hnsw?: HnswOptions;
}

/** SQL texts of an entity; each may be run again, an empty one does nothing. */
export interface EntitySql {
	/** The table and its key's unique index. */
	readonly table: string;
	/** The table of vectors and the trigger that keeps it. */
	readonly embeddings: string;
	/** The triggers that keep kv_store. */
	readonly kvTrigger: string;
	/** Indexes that are made with the table. */
	readonly indexes: string;
	/** Indexes for after the load: each statement on its own, outside a transaction. */
	readonly backgroundIndexes: string;
}

export const defaultVectorSpace: VectorSpace = {
	provider: "openai",
	model: "text-embedding-3-small",
	dimensions: 1536,
};

export interface RegisteredType {
	/** The model as the options have it; `service.register` takes it. */
	readonly entity: Entity;
	readonly sql: EntitySql;
	/** Row level security, for who wants it: rights and policies for the roles that `rem schema generate --rls` makes. */
	readonly rowSecurity: string;
}

/**
 * The schema of an entity as SQL texts, for psql or `service.execute`. They
 * need the files 001 and 002 of sql/migrations, and run in this order: table,
 * embeddings, kvTrigger, indexes.
 *
 * @example
 * const { sql } = registerType(Resource)
 * await service.execute(sql.table)
 * await service.execute(sql.embeddings)
 * await service.execute(sql.kvTrigger)
 */
export function registerType(
	model: Entity,
	options: RegisterTypeOptions = {},
): RegisteredType {
	const entity = withOptions(model, options);
	checkDefinition(entity);
	const table: EntityTable = { schema: options.schema ?? "public", entity };
	return {
		entity,
		sql: {
			table: toText(tableDdl(table)),
			embeddings: toText(embeddingsDdl(table)),
			kvTrigger: toText(kvTriggerDdl(table)),
			indexes: toText(indexesDdl(table)),
			backgroundIndexes: toText(
				backgroundIndexesDdl(
					table,
					options.embedding ?? defaultVectorSpace,
					options.hnsw ?? { m: 16, efConstruction: 64 },
				),
			),
		},
		rowSecurity: toText(entityRowSecurityDdl(table)),
	};
}
