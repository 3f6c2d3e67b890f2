import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import pg from "pg";
import { dimensions } from "./data.ts";

/** A row as the peers take it: their vectors are arrays of numbers. */
export interface PeerRow {
	readonly name: string;
	readonly description: string;
	readonly content: string;
	readonly metadata: Record<string, unknown>;
	readonly embedding: number[];
	readonly tenantId: string;
}

/** Another library that writes texts with ready vectors, and searches them. */
export interface Peer {
	readonly name: string;
	readonly table: string;
	insert(rows: readonly PeerRow[]): Promise<void>;
	/** The HNSW index that its documentation advises, with pgvector's defaults. */
	buildIndex(): Promise<void>;
	/** Names of the tenant's nearest rows, as its documentation filters them. */
	search(embedding: number[], tenantId: string, k: number): Promise<string[]>;
	close(): Promise<void>;
}

export const howToInstall = `The peers are no dependencies of remdb. To measure them too, install them in a folder of their own:

  mkdir -p /tmp/rem-peers && cd /tmp/rem-peers && npm init -y
  npm install --legacy-peer-deps drizzle-orm @langchain/community @langchain/core pg

and name it: npm run bench -- --only=peers,peer-searches --peers=/tmp/rem-peers`;

/** Opens the peers that are installed in the folder; their tables are made as their own documentation says. */
export async function openPeers(folder: string, url: string): Promise<Peer[]> {
	return [await openDrizzle(folder, url), await openLangChain(folder, url)];
}

interface DrizzleColumn {
	primaryKey(): DrizzleColumn;
	defaultRandom(): DrizzleColumn;
}

interface DrizzleCore {
	pgTable<Columns extends Record<string, DrizzleColumn>>(
		name: string,
		columns: Columns,
	): Columns;
	uuid(): DrizzleColumn;
	text(): DrizzleColumn;
	jsonb(): DrizzleColumn;
	vector(options: { dimensions: number }): DrizzleColumn;
}

interface DrizzleOperators {
	eq(column: DrizzleColumn, value: string): object;
	cosineDistance(column: DrizzleColumn, value: number[]): object;
}

interface Drizzle {
	drizzle(pool: pg.Pool): {
		insert(table: object): { values(rows: PeerRow[]): Promise<unknown> };
		select(): {
			from(table: object): {
				where(condition: object): {
					orderBy(by: object): {
						limit(k: number): Promise<{ name: string }[]>;
					};
				};
			};
		};
	};
}

const rowsPerInsert = 500;

/** `db.insert(table).values([…])`, which is one INSERT of many rows. */
async function openDrizzle(folder: string, url: string): Promise<Peer> {
	const core = await load<DrizzleCore>(folder, "drizzle-orm/pg-core");
	const { drizzle } = await load<Drizzle>(folder, "drizzle-orm/node-postgres");
	const { eq, cosineDistance } = await load<DrizzleOperators>(
		folder,
		"drizzle-orm",
	);
	const table = core.pgTable("drizzle_rows", {
		id: core.uuid().primaryKey().defaultRandom(),
		name: core.text(),
		description: core.text(),
		content: core.text(),
		metadata: core.jsonb(),
		embedding: core.vector({ dimensions }),
		tenantId: core.text(),
	});
	const pool = new pg.Pool({ connectionString: url });
	await pool.query(`CREATE TABLE drizzle_rows (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text, description text, content text,
  metadata jsonb, embedding vector(${dimensions}), "tenantId" text)`);
	const db = drizzle(pool);
	return {
		name: "drizzle-orm",
		table: "drizzle_rows",
		insert: async (rows) => {
			for (let at = 0; at < rows.length; at += rowsPerInsert)
				await db.insert(table).values(rows.slice(at, at + rowsPerInsert));
		},
		buildIndex: async () => {
			await pool.query(
				"CREATE INDEX ON drizzle_rows USING hnsw (embedding vector_cosine_ops)",
			);
		},
		search: async (embedding, tenantId, k) => {
			const found = await db
				.select()
				.from(table)
				.where(eq(table.tenantId, tenantId))
				.orderBy(cosineDistance(table.embedding, embedding))
				.limit(k);
			return found.map(({ name }) => name);
		},
		close: () => pool.end(),
	};
}

interface LangChain {
	readonly PGVectorStore: {
		initialize(
			embeddings: object,
			config: object,
		): Promise<{
			addVectors(
				vectors: readonly number[][],
				documents: readonly object[],
			): Promise<void>;
			createHnswIndex(config: { dimensions: number }): Promise<void>;
			similaritySearchVectorWithScore(
				query: number[],
				k: number,
				filter: object,
			): Promise<[{ metadata: { name: string } }, number][]>;
			end(): Promise<void>;
		}>;
	};
}

/** `PGVectorStore.addVectors`, which inserts 500 rows a statement. */
async function openLangChain(folder: string, url: string): Promise<Peer> {
	const { PGVectorStore } = await load<LangChain>(
		folder,
		"@langchain/community/vectorstores/pgvector",
	);
	const noEmbeddings = {};
	const store = await PGVectorStore.initialize(noEmbeddings, {
		postgresConnectionOptions: { connectionString: url },
		tableName: "langchain_rows",
		dimensions,
	});
	return {
		name: "LangChain PGVectorStore",
		table: "langchain_rows",
		insert: (rows) =>
			store.addVectors(
				rows.map(({ embedding }) => embedding),
				rows.map(({ name, description, content, metadata, tenantId }) => ({
					pageContent: content,
					metadata: { ...metadata, name, description, tenantId },
				})),
			),
		buildIndex: () => store.createHnswIndex({ dimensions }),
		search: async (embedding, tenantId, k) => {
			const found = await store.similaritySearchVectorWithScore(embedding, k, {
				tenantId,
			});
			return found.map(([{ metadata }]) => metadata.name);
		},
		close: () => store.end(),
	};
}

/** Nine digits, as an API's JSON has them: exact Float32 values as numbers would be twice the text. */
export function toNumbers(vector: Float32Array): number[] {
	return Array.from(vector, (value) => Number(value.toPrecision(9)));
}

/** A module as the folder has it, not as this package would resolve it. */
async function load<Module>(folder: string, name: string): Promise<Module> {
	const require = createRequire(join(resolve(folder), "package.json"));
	let file: string;
	try {
		file = require.resolve(name);
	} catch (cause) {
		throw new Error(
			`${name} is not installed in ${folder}\n\n${howToInstall}`,
			{
				cause,
			},
		);
	}
	return (await import(pathToFileURL(file).href)) as Module;
}
