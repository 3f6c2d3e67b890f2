import {
	type EmbeddingOptions,
	type EmbeddingProvider,
	type Entity,
	type NewRow,
	PostgresService,
} from "remdb";
import { BenchDatabase } from "./bench-database.ts";
import type { BenchServer } from "./bench-server.ts";
import { generateEntities, generateVectors } from "./data.ts";
import type { Document, Note } from "./models.ts";
import { PrecomputedProvider } from "./precomputed-provider.ts";

/** The tenant of all rows. */
export const tenantId = "bench";

/** A migrated database with a service on it, for the time of a case. */
export async function withWorkbench<const M extends readonly Entity[], T>(
	server: BenchServer,
	models: M,
	provider: EmbeddingProvider | EmbeddingOptions,
	work: (database: BenchDatabase, service: PostgresService<M>) => Promise<T>,
): Promise<T> {
	const database = await BenchDatabase.create(server);
	try {
		const service = await PostgresService.connect({
			connectionString: database.url,
			models,
			embedding: provider,
			// It would work beside what is measured.
			// Small loads are measured as well.
			backgroundIndex: { enabled: false, minRows: 100 },
		});
		try {
			await service.migrate();
			return await work(database, service);
		} finally {
			await service.close();
		}
	} finally {
		await database.drop();
	}
}

/** Rows with the vectors of their texts, and a provider that knows the same vectors. */
export interface PreparedRows<Row> {
	readonly bare: Row[];
	readonly withVectors: Row[];
	readonly provider: PrecomputedProvider;
}

/** Rows of {@link Note}: a vector each. */
export function prepareNotes(count: number): PreparedRows<NewRow<typeof Note>> {
	const bare = generateEntities(count);
	const vectors = generateVectors(count);
	return {
		bare,
		withVectors: bare.map((row, index) => ({
			...row,
			vectors: { content: vectors[index] as Float32Array },
		})),
		provider: new PrecomputedProvider(
			new Map(
				bare.map(({ content }, index) => [
					content,
					vectors[index] as Float32Array,
				]),
			),
		),
	};
}

/** Rows of {@link Document}: two vectors each. */
export function prepareDocuments(
	count: number,
): PreparedRows<NewRow<typeof Document>> {
	const bare = generateEntities(count);
	const vectors = generateVectors(2 * count);
	const known = new Map<string, Float32Array>();
	const withVectors = bare.map((row, index) => {
		const description = vectors[2 * index] as Float32Array;
		const content = vectors[2 * index + 1] as Float32Array;
		known.set(row.description, description).set(row.content, content);
		return { ...row, vectors: { description, content } };
	});
	return { bare, withVectors, provider: new PrecomputedProvider(known) };
}
