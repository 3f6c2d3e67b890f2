import { languageName } from "../config.ts";
import { RemError, reading } from "../errors.ts";
import {
	anyText,
	type Check,
	flag,
	oneOrList,
	orNull,
	wholeNumber,
} from "../models/checks.ts";
import {
	type Entity,
	model as isModel,
	withOptions,
} from "../models/entity.ts";
import { optionTable, takeOptions, withParts } from "../models/options.ts";
import { checkDefinition, type EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { toText } from "../sql.ts";
import { embeddingsDdl, tableDdl } from "./entity-ddl.ts";
import type { HnswOptions } from "./index-types/definition.ts";
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
	/** Text search configuration of PostgreSQL. @default "english" */
	readonly language?: string;
}

/** SQL texts of an entity; each may be run again, an empty one does nothing. */
export interface EntitySql {
	/** The table and its key's unique index. */
	readonly table: string;
	/** The table of vectors and the trigger that maintains it. */
	readonly embeddings: string;
	/** The triggers that maintain kv_store. */
	readonly kvTrigger: string;
	/** Indexes that are made with the table. */
	readonly indexes: string;
	/** Indexes for after the load: each statement on its own, outside a transaction. */
	readonly backgroundIndexes: string;
}

const defaultVectorSpace: VectorSpace = {
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
	given: RegisterTypeOptions = {},
): RegisteredType {
	const { entity, table, options } = reading("registerType", () =>
		takeModel(model, given),
	);
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

function takeModel(model: Entity, given: RegisterTypeOptions) {
	const problem = isModel(model);
	if (problem !== undefined)
		throw new RemError("VALIDATION", `registerType: the model ${problem}`);
	const options = takeOptions(given, optionsTable, "registerType");
	const entity = withOptions(model, options);
	checkDefinition(entity);
	const { schema = "public", language = "english" } = options;
	const table: EntityTable = { schema, entity, language };
	return { options, entity, table };
}

/** Parts of these become DDL, which takes no parameters: each is checked. */
const optionsTable = optionTable<RegisterTypeOptions>({
	tableName: anyText,
	entityKeyField: orNull(oneOrList(anyText)),
	tenantScoped: flag,
	createEmbeddings: flag,
	createKvTrigger: flag,
	// Quoted wherever it is: any name that PostgreSQL takes whole.
	schema: (value) =>
		typeof value === "string" &&
		value !== "" &&
		!value.includes("\0") &&
		Buffer.byteLength(value) <= 63
			? undefined
			: "must be a PostgreSQL name of at most 63 bytes",
	language: (value) =>
		languageName.safeParse(value).success
			? undefined
			: "must be the name of a text search configuration, such as english",
	embedding: withParts(
		{
			provider: named(50),
			model: named(100),
			dimensions: wholeNumber(1, 16_000),
		},
		["provider", "model", "dimensions"],
	),
	hnsw: withParts(
		{
			m: wholeNumber(2, 100),
			efConstruction: wholeNumber(4, 1000),
			quantized: flag,
		},
		["m", "efConstruction"],
	),
});

function named(length: number): Check {
	return (value) =>
		typeof value === "string" && value !== "" && value.length <= length
			? undefined
			: `must be a string of 1 to ${length} characters`;
}
