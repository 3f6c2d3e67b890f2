import type { Handle } from "../../db/database.ts";
import type { EntityTable } from "../../models/registry.ts";
import type { BaseOptions } from "../../schema/base.ts";
import { ident, join, sql } from "../../sql.ts";
import { baseNames } from "../base-names.ts";
import { type Catalogue, readCatalogue } from "../catalogue.ts";
import { expectedCatalogue, type IndexOptions } from "../expected.ts";
import { checkOwnership } from "../ownership.ts";
import { diffBase } from "./diff-base.ts";
import { type DiffSides, diffEntity, relationsOf } from "./diff-entity.ts";
import type { Difference } from "./difference.ts";

export interface DiffOptions extends BaseOptions, IndexOptions {}

/**
 * What keeps the database from being like the models, in the order in which it
 * can be mended. Reads only: what it makes to compare with is rolled back.
 */
export async function diffSchema(
	db: Handle,
	tables: readonly EntityTable[],
	options: DiffOptions,
): Promise<Difference[]> {
	return db.transaction(async (tx) => {
		const expected = await expectedCatalogue(tx, tables, options, options);
		const live = await readOwnCatalogue(tx, tables, options);
		checkOwnership(tables, baseNames(options).relations, live);
		const withRows = await readWhichHaveRows(tx, options.schema, live);
		const sides: DiffSides = { expected, live, withRows };
		return [
			...diffBase(options, sides),
			...tables.flatMap((table) => diffEntity(table, sides)),
		];
	});
}

/** What the catalogue says of the models' tables and of our own. */
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
	if (tables.length === 0) return new Set();
	const checks = tables.map(
		({ name }) =>
			sql`SELECT ${name}::text AS name WHERE EXISTS (SELECT FROM ${ident(schema, name)})`,
	);
	const { rows } = await tx.query<{ name: string }>(
		join(checks, " UNION ALL "),
	);
	return new Set(rows.map(({ name }) => name));
}
