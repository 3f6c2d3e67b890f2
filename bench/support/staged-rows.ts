import type { Entity } from "remdb";
import type { BenchDatabase } from "./bench-database.ts";
import { timed } from "./paired.ts";

/** A table with the columns that a batch upsert supplies; the others take their defaults. */
export interface StagedTable {
	readonly table: string;
	readonly columns: string;
	/** What tells that a row is there already. */
	readonly key: string;
}

const entityColumns =
	"id, tenant_id, user_id, name, description, content, graph_edges, metadata";
const embeddingColumns =
	"entity_id, tenant_id, user_id, field_name, provider, model, dimensions, content_hash, chunk, embedding";

/**
 * Rows as the service wrote them, copied aside in the order it wrote them, for
 * the server to write them again without any client: the limit of what a client
 * can reach. Same tables, triggers, indexes and rows, one transaction.
 */
export class StagedRows {
	readonly tables: readonly StagedTable[];
	readonly #database: BenchDatabase;

	private constructor(database: BenchDatabase, tables: StagedTable[]) {
		this.#database = database;
		this.tables = tables;
	}

	/** Copies what the entity's tables hold now. */
	static async of(
		database: BenchDatabase,
		entity: Entity,
	): Promise<StagedRows> {
		const tables = [
			{
				table: entity.tableName,
				columns: entityColumns,
				key: "(tenant_id, user_id, name) WHERE deleted_at IS NULL",
			},
			...(entity.createEmbeddings
				? [
						{
							table: entity.embeddingsTableName,
							columns: embeddingColumns,
							key: "(entity_id, field_name, provider, model, dimensions, chunk)",
						},
					]
				: []),
		];
		for (const { table, columns } of tables)
			await database.client.query(`
CREATE UNLOGGED TABLE stage_${table} WITH (toast_tuple_target = 8160) AS
SELECT ${columns} FROM ${table} ORDER BY ctid`);
		for (const { table } of tables)
			await database.client.query(`VACUUM (ANALYZE) stage_${table}`);
		return new StagedRows(database, tables);
	}

	/** INSERT … SELECT, as the issues' targets have it. */
	insert(tables = this.tables): Promise<number> {
		return this.#inOneTransaction(tables.map(insertSql));
	}

	/** The same with the ON CONFLICT clause that an upsert needs. */
	upsert(tables = this.tables): Promise<number> {
		return this.#inOneTransaction(
			tables.map(
				(table) =>
					`${insertSql(table)} ON CONFLICT ${table.key} DO UPDATE SET ${assignments(table)}, updated_at = now()`,
			),
		);
	}

	#inOneTransaction(statements: readonly string[]): Promise<number> {
		const { client } = this.#database;
		return timed(async () => {
			await client.query("BEGIN");
			for (const statement of statements) await client.query(statement);
			await client.query("COMMIT");
		});
	}
}

function insertSql({ table, columns }: StagedTable): string {
	return `INSERT INTO ${table} (${columns}) SELECT ${columns} FROM stage_${table}`;
}

function assignments({ columns }: StagedTable): string {
	return columns
		.split(", ")
		.filter((column) => column !== "id")
		.map((column) => `${column} = excluded.${column}`)
		.join(", ");
}
