import type { Database } from "../db/database.ts";
import {
	hasVectors,
	isSameSpace,
	readActiveModels,
} from "../embed-sync/models.ts";
import { lexicalModel } from "../embeddings/local.ts";
import { RemError } from "../errors.ts";
import type { Entity } from "../models/entity.ts";
import type { Registry } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
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

/** The same, with those that a table has no vectors of. */
export async function readDifferingModels({
	db,
	registry,
	embedder,
	schemas,
}: Place): Promise<DifferingModel[]> {
	const named = embedder.namedSpace();
	const active = await readActiveModels(db, schemas).catch(notReadable);
	const others: DifferingModel[] = [];
	for (const { schema, ...model } of active) {
		const entity = registry
			.all()
			.find((one) => one.entity.tableName === model.tableName)?.entity;
		if (entity === undefined || entity.embedFields.length === 0) continue;
		if (named !== undefined && isSameSpace(named, model)) continue;
		const known = others.findIndex(
			(other) =>
				other.tableName === model.tableName && isSameSpace(other, model),
		);
		if (others[known]?.isUsed === true) continue;
		const isUsed = await hasVectors(db, { schema, entity }, model).catch(
			whenUnreadable,
		);
		if (known < 0) others.push({ ...model, isUsed });
		else others[known] = { ...model, isUsed };
	}
	return others;
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

/** For `catch`: a role that may not read the vectors finds the model in use. */
function whenUnreadable(error: unknown): boolean {
	if (error instanceof RemError && error.sqlState === "42501") return true;
	return notReadable(error).length > 0;
}

/** For `catch`: before the first migration there is nothing to differ from; a locked table must not prevent a connection. */
export function notReadable(error: unknown): never[] {
	if (!(error instanceof RemError)) throw error;
	const { code, sqlState } = error;
	if (sqlState === "42P01" || sqlState === "3F000") return [];
	if (code === "QUERY_TIMEOUT") return [];
	throw error;
}
