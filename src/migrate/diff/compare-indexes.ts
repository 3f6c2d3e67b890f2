import { boundedName } from "../../models/names.ts";
import type { LiveIndex, Relation } from "../catalogue.ts";
import { type Difference, difference } from "./difference.ts";
import { quoted, type Spelling } from "./spelling.ts";

export interface IndexRoles {
	/** The arbiter of upserts; without it, or with another one, nothing can be written. */
	readonly key: string | undefined;
	/** Built after the load by the indexer: not missed while they are not there. */
	readonly isBackground: (name: string) => boolean;
}

/** Indexes of the table against those it should have. Somebody's own stay out of it. */
export function compareIndexes(
	expected: Relation,
	live: Relation,
	roles: IndexRoles,
	spelling: Spelling,
): Difference[] {
	const table = expected.name;
	const found = new Map(live.indexes.map((index) => [index.name, index]));
	return [
		...expected.indexes
			.filter(({ isOfConstraint }) => !isOfConstraint)
			.flatMap((index) => {
				const now = found.get(index.name);
				if (now === undefined)
					return roles.isBackground(index.name)
						? []
						: missing(table, index, spelling);
				if (now.isBuilding) return [];
				if (!now.isValid) return invalid(table, index, spelling);
				return spelling.isSame(now.definition, index.definition)
					? []
					: other(table, index, now, roles, spelling);
			}),
		...obsoleteIndexes(expected, live).map((index) =>
			obsolete(table, index, roles, spelling),
		),
	];
}

/** Indexes of ours that an earlier model wanted. */
export function obsoleteIndexes(
	expected: Relation,
	live: Relation,
): LiveIndex[] {
	const names = new Set(expected.indexes.map(({ name }) => name));
	return live.indexes.filter(
		({ name, isOfConstraint, isBuilding }) =>
			!isOfConstraint &&
			!isBuilding &&
			!names.has(name) &&
			isOurs(expected.name, name),
	);
}

function missing(
	table: string,
	index: LiveIndex,
	spelling: Spelling,
): Difference {
	return difference(
		table,
		`index ${quoted(index.name)} is missing`,
		[createConcurrently(index, spelling)],
		{ phase: "online" },
	);
}

/** The rest of a build that failed: IF NOT EXISTS would take it for the index. */
function invalid(
	table: string,
	index: LiveIndex,
	spelling: Spelling,
): Difference {
	return difference(
		table,
		`index ${quoted(index.name)} is invalid: its build failed or was interrupted`,
		[
			`DROP INDEX CONCURRENTLY IF EXISTS ${spelling.name(index.name)};`,
			createConcurrently(index, spelling),
		],
		{ phase: "online" },
	);
}

/** Built beside the old one, then put in its place: the table is never without. */
function other(
	table: string,
	index: LiveIndex,
	now: LiveIndex,
	roles: IndexRoles,
	spelling: Spelling,
): Difference {
	const isKey = index.name === roles.key;
	const next = boundedName(`${index.name}_next`);
	return difference(
		table,
		isKey
			? `its key is unique over ${shown(now, spelling)}, expected ${shown(index, spelling)}`
			: `index ${quoted(index.name)} is ${shown(now, spelling)}, expected ${shown(index, spelling)}`,
		[
			`DROP INDEX CONCURRENTLY IF EXISTS ${spelling.name(next)};`,
			createConcurrently(index, spelling, next),
			`BEGIN;\nDROP INDEX IF EXISTS ${spelling.name(index.name)};\nALTER INDEX ${spelling.name(next)} RENAME TO ${quoted(index.name)};\nCOMMIT;`,
		],
		{ phase: "online", blocks: isKey, ...swapRisk(index, isKey, roles) },
	);
}

function swapRisk(
	index: LiveIndex,
	isKey: boolean,
	roles: IndexRoles,
): Pick<Difference, "risk"> {
	if (isKey)
		return {
			risk: {
				kind: "may-fail",
				reason:
					"rows that are one by the new key stand in the way; processes of the old model cannot upsert any more",
			},
		};
	if (roles.isBackground(index.name))
		return {
			risk: {
				kind: "behaviour",
				reason: `the build of index ${quoted(index.name)} may take hours of processor time on a large table`,
			},
		};
	return {};
}

function obsolete(
	table: string,
	index: LiveIndex,
	roles: IndexRoles,
	spelling: Spelling,
): Difference {
	const isKey = index.name === keyIndexOf(table);
	return difference(
		table,
		isKey
			? `its key is unique over ${shown(index, spelling)}, and the model has ${roles.key === undefined ? "none" : "another"}`
			: `index ${quoted(index.name)} is not in the model`,
		[`DROP INDEX CONCURRENTLY IF EXISTS ${spelling.name(index.name)};`],
		{
			phase: "online",
			risk: {
				kind: "behaviour",
				reason: index.isUnique
					? `duplicates that index ${quoted(index.name)} refused are stored`
					: `queries that used index ${quoted(index.name)} become slow`,
			},
			blocks: isKey,
		},
	);
}

/** By the names that only remdb gives; an index of any other name is its maker's. */
function isOurs(table: string, name: string): boolean {
	return (
		name === keyIndexOf(table) ||
		["idx", "uq", "norm"].some((kind) => name.startsWith(`${kind}_${table}__`))
	);
}

function keyIndexOf(table: string): string {
	return boundedName(`uq_${table}`);
}

/** What an index is of, in the fewest words: `btree (tenant_id, year)`. */
function shown({ definition }: LiveIndex, spelling: Spelling): string {
	return spelling
		.bare(definition)
		.replace(/^CREATE (?:UNIQUE )?INDEX .*? USING (?:btree )?/, "");
}

function createConcurrently(
	{ name, definition }: LiveIndex,
	spelling: Spelling,
	as = name,
): string {
	return `${spelling
		.placed(definition)
		.replace(
			/^CREATE (UNIQUE )?INDEX \S+ /,
			(_, unique = "") =>
				`CREATE ${unique}INDEX CONCURRENTLY IF NOT EXISTS ${quoted(as)} `,
		)};`;
}
