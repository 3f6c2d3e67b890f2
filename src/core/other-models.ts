import type { Database } from "../db/database.ts";
import {
	partitionsWithVectors,
	readActiveModels,
} from "../embed-sync/models.ts";
import { lexicalModel } from "../embeddings/local.ts";
import { RemError } from "../errors.ts";
import type { Entity } from "../models/entity.ts";
import type { Registry } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { isSameSpace } from "../models/vector.ts";
import type { Embedder } from "./embedder.ts";

/** A model that a table uses and has vectors of, and that the configuration does not name. */
export interface OtherModel extends VectorSpace {
	readonly tableName: string;
}

/** Also one that the table is only set to. */
export interface DifferingModel extends OtherModel {
	/** Whether the table has vectors of it. */
	readonly isUsed: boolean;
}

interface Place {
	readonly db: Database;
	readonly registry: Registry;
	readonly embedder: Embedder;
	/** That of the service, or those of its buckets. */
	readonly schemas: readonly string[];
}

/**
 * The models of the tables that differ from the configured one, each once for a
 * table: the same for all buckets, as soon as one has vectors of it.
 */
export async function readOtherModels(place: Place): Promise<OtherModel[]> {
	const differing = await readDifferingModels(place);
	return differing.flatMap(({ isUsed, ...model }) => (isUsed ? [model] : []));
}

/** The same, with those that a table has no vectors of: a statement for all schemas, and one for each that may have vectors of them. */
export async function readDifferingModels({
	db,
	registry,
	embedder,
	schemas,
}: Place): Promise<DifferingModel[]> {
	const named = embedder.namedSpace();
	const entities = new Map(
		registry
			.all()
			.filter(({ entity }) => entity.embedFields.length > 0)
			.map(({ entity }) => [entity.tableName, entity]),
	);
	const active = await readActiveModels(db, schemas).catch(notReadable);
	const found = new Map<string, DifferingModel>();
	for (const schema of schemas) {
		const partitions = active.flatMap(({ schema: place, ...space }) => {
			const entity = entities.get(space.tableName);
			const isOther =
				place === schema && (named === undefined || !isSameSpace(named, space));
			const isKnown = found.get(keyOf(space))?.isUsed === true;
			return entity === undefined || !isOther || isKnown
				? []
				: [{ table: { schema, entity }, space }];
		});
		if (partitions.length === 0) continue;
		const used = await readUsed(db, partitions);
		for (const [at, { space }] of partitions.entries())
			found.set(keyOf(space), { ...space, isUsed: used.has(at) });
	}
	return [...found.values()];
}

function keyOf({ tableName, provider, model, dimensions }: OtherModel): string {
	return JSON.stringify([tableName, provider, model, dimensions]);
}

/** Of which of these there are vectors, by their place; of all, where the role may not read them. */
function readUsed(
	db: Database,
	partitions: Parameters<typeof partitionsWithVectors>[1],
): Promise<ReadonlySet<number>> {
	return partitionsWithVectors(db, partitions).catch((error: unknown) => {
		if (error instanceof RemError && error.sqlState === "42501")
			return new Set(partitions.keys());
		return new Set(notReadable(error));
	});
}

/** The former model of `local`, where a table has vectors of it. */
export function formerModel(
	others: readonly OtherModel[],
): VectorSpace | undefined {
	return others.find(
		({ provider, model }) => provider === "local" && model === lexicalModel,
	);
}

/**
 * The model that each table is to have: the one it has vectors of, in whichever
 * bucket, else the configured one, `undefined` where that is not known yet. With
 * the former model of `local` among them, that is the configured one from here on.
 */
export function chooseModels(
	embedder: Embedder,
	others: readonly OtherModel[],
): (entity: Entity) => VectorSpace | undefined {
	embedder.continueWith(formerModel(others));
	const configured = embedder.spaceIfKnown();
	return ({ tableName }) =>
		others.find((other) => other.tableName === tableName) ?? configured;
}

/** For `catch`: before the first migration there is nothing to differ from; a locked table must not prevent a connection. */
export function notReadable(error: unknown): never[] {
	if (!(error instanceof RemError)) throw error;
	const { code, sqlState } = error;
	if (sqlState === "42P01" || sqlState === "3F000") return [];
	if (code === "QUERY_TIMEOUT") return [];
	throw error;
}
