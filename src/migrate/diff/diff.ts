import { type Catalogue, readCatalogue } from "../../db/catalogue/relations.ts";
import type { Handle } from "../../db/database.ts";
import type { EntityTable } from "../../models/registry.ts";
import { type DiffOptions, expectedCatalogue } from "../expected.ts";
import { baseNames, checkOwnership, relationsOf } from "../ownership.ts";
import { diffBase } from "./diff-base.ts";
import { type DiffSides, diffEntity } from "./diff-entity.ts";
import type { Difference } from "./difference.ts";
import {
	haveRows,
	type PossibleRename,
	possibleRenames,
	readDeparted,
	renameDifference,
} from "./renamed-tables.ts";

/**
 * How the database differs from the models, in the order in which it can be
 * repaired. Reads only: what it makes to compare with is rolled back.
 */
export async function diffSchema(
	db: Handle,
	tables: readonly EntityTable[],
	options: DiffOptions,
): Promise<Difference[]> {
	return db.transaction(async (tx) => {
		const expected = await expectedCatalogue(tx, tables, options);
		const live = await readOwnCatalogue(tx, tables, options);
		checkOwnership(tables, baseNames(options).relations, live);
		const withRows = await readWhichHaveRows(tx, options.schema, live);
		const missing = tables.filter(
			({ entity }) => !live.relations.has(entity.tableName),
		);
		const departed =
			missing.length === 0
				? undefined
				: await readDeparted(tx, options.schema, tables);
		const renames =
			departed === undefined
				? []
				: possibleRenames(missing, expected, departed).map((rename) =>
						renameDifference(rename, expected, departed.catalogue),
					);
		const sides: DiffSides = { expected, live, withRows };
		return [
			...diffBase(options, sides),
			// First: what is renamed is not missing any more.
			...renames,
			...tables.flatMap((table) => diffEntity(table, sides)),
		];
	});
}

/** Of tables that are missing, those that may be there under a former name. */
export async function findRenamed(
	tx: Handle,
	{
		missing,
		tables,
	}: {
		readonly missing: readonly EntityTable[];
		readonly tables: readonly EntityTable[];
	},
	options: DiffOptions,
): Promise<PossibleRename[]> {
	if (missing.length === 0) return [];
	const departed = await readDeparted(tx, options.schema, tables);
	if (departed === undefined) return [];
	const expected = await expectedCatalogue(tx, missing, options);
	return possibleRenames(missing, expected, departed);
}

/** The catalogue's definitions of the models' tables and of our own. */
export function readOwnCatalogue(
	tx: Handle,
	tables: readonly EntityTable[],
	options: DiffOptions,
): Promise<Catalogue> {
	const { relations, functions } = baseNames(options);
	return readCatalogue(tx, options.schema, {
		relations: [...relations, ...tables.flatMap(relationsOf)],
		functions,
	});
}

/** Names of the tables that have rows. */
async function readWhichHaveRows(
	tx: Handle,
	schema: string,
	{ relations }: Catalogue,
): Promise<Set<string>> {
	const tables = [...relations.values()].filter(({ kind }) => kind === "r");
	const names = tables.map(({ name }) => name);
	return new Set(await haveRows(tx, schema, names));
}
