import pg from "pg";
import type { Entity } from "remdb";
import type { BenchServer } from "./bench-server.ts";

/** A database of one case, with a connection of its own beside the service's. */
export class BenchDatabase {
	readonly url: string;
	readonly client: pg.Client;
	readonly #server: BenchServer;
	readonly #name: string;

	private constructor(server: BenchServer, name: string) {
		const url = new URL(server.url);
		url.pathname = `/${name}`;
		this.url = url.href;
		this.client = new pg.Client({ connectionString: this.url });
		this.#server = server;
		this.#name = name;
	}

	static async create(server: BenchServer): Promise<BenchDatabase> {
		const database = new BenchDatabase(
			server,
			`rem_bench_${process.pid}_${++created}`,
		);
		await asAdmin(
			server,
			`CREATE DATABASE ${database.#name} ENCODING 'UTF8' TEMPLATE template0`,
		);
		await database.client.connect();
		if (server.countsTime)
			await database.client.query("CREATE EXTENSION pg_stat_statements");
		return database;
	}

	/** Empties the entities' tables and the cache, and writes out what earlier work left behind. */
	async empty(entities: readonly Entity[]): Promise<void> {
		const tables = entities.map(({ tableName }) => tableName).join(", ");
		await this.client.query(`
TRUNCATE kv_store;
TRUNCATE ${tables} CASCADE;
-- Without this the service would take the truncated cache for one that a crash emptied.
UPDATE kv_state SET filenode = pg_relation_filenode('kv_store') WHERE kind = 'ready'`);
		await this.checkpoint();
	}

	async checkpoint(): Promise<void> {
		await this.client.query("CHECKPOINT");
	}

	async count(table: string): Promise<number> {
		const { rows } = await this.client.query<{ count: string }>(
			`SELECT count(*) FROM ${table}`,
		);
		return Number(rows[0]?.count);
	}

	/** Throws unless the tables hold as many rows as they must. */
	async expectCounts(
		expected: Readonly<Record<string, number>>,
		who: string,
	): Promise<void> {
		for (const [table, count] of Object.entries(expected)) {
			const found = await this.count(table);
			if (found !== count)
				throw new Error(
					`${who} left ${found} rows in ${table}, expected ${count}`,
				);
		}
	}

	async drop(): Promise<void> {
		await this.client.end();
		await asAdmin(this.#server, `DROP DATABASE ${this.#name} WITH (FORCE)`);
	}
}

let created = 0;

async function asAdmin(server: BenchServer, text: string): Promise<void> {
	const client = new pg.Client({ connectionString: server.url });
	await client.connect();
	try {
		await client.query(text);
	} finally {
		await client.end();
	}
}
