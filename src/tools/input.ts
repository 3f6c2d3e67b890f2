import * as z from "zod";
import { RemError } from "../errors.ts";
import type { Entity } from "../models/entity.ts";
import { quoted, suggest } from "../util/suggest.ts";
import type { ToolAccess } from "./tool.ts";

// Arguments that several tools take, with what a model must know about them.

/** As many results as a page can have. */
export const largestLimit = 100;

/** Of a list: how many, how long, and where to read on. */
export const page = {
	limit: z
		.int()
		.min(1)
		.max(largestLimit)
		.optional()
		.describe("most results, 10 by default"),
	maxTokens: z
		.int()
		.min(50)
		.max(100_000)
		.optional()
		.describe("most tokens of the answer"),
	cursor: z
		.string()
		.max(200)
		.optional()
		.describe("of the answer before, to read on; same other arguments"),
};

/** One of the tables; {@link tableNamed} refuses others, with the nearest. */
function table({ tables }: ToolAccess) {
	return z.string().meta({ enum: tables });
}

/** The same; where there is only one it need not be named. */
export function oneTable(access: ToolAccess) {
	const [only] = access.tables;
	return access.tables.length === 1 && only !== undefined
		? table(access).default(only)
		: table(access);
}

/** Some of the tables. */
export function someTables(access: ToolAccess) {
	return z.array(table(access)).min(1).optional().describe("all by default");
}

/** The model of a table that the call named. Throws `UNKNOWN_ENTITY`. */
export function tableNamed(
	{ registry, tables }: ToolAccess,
	name: string,
): Entity {
	if (tables.includes(name)) return registry.get(name).entity;
	const hint = suggest(name, tables);
	throw new RemError(
		"UNKNOWN_ENTITY",
		`unknown table ${quoted(name)}`,
		hint === undefined ? {} : { hint },
	);
}

export const text = (description: string) =>
	z.string().min(1).describe(description);

/** Names of entities of any table. */
export const uris = z
	.array(z.string().min(1))
	.min(1)
	.max(50)
	.describe("rem://table/key, as results have it, or table/key");
