import {
	type Catalogue,
	type Relation,
	readTemporaryCatalogue,
} from "../db/catalogue/relations.ts";
import type { Handle } from "../db/database.ts";
import { sendEach } from "../db/send-each.ts";
import { RemError } from "../errors.ts";
import type { EntityTable } from "../models/registry.ts";
import { type BaseOptions, baseFiles } from "../schema/base.ts";
import {
	type RegisterTypeOptions,
	registerType,
} from "../schema/register-type.ts";
import { ownObjects } from "./step.ts";

/** What the schema depends on besides the models. */
export interface DiffOptions
	extends BaseOptions,
		Pick<RegisterTypeOptions, "embedding" | "hnsw"> {}

/** What the database is to become. */
export interface Target {
	readonly tables: readonly EntityTable[];
	readonly options: DiffOptions;
}

/**
 * Stands for the schema in texts until each place of it is known: a short name
 * may be that of an alias, too. A long one is none, and may be part of names
 * that are cut.
 */
function placeholderFor(schema: string): string {
	return schema.length > 20 ? schema : "rem_expected_schema";
}

/**
 * The catalogue of a database that is just like the models. The very
 * texts that make the tables make temporary ones, in a savepoint that is rolled
 * back: PostgreSQL itself then writes both sides of the comparison.
 */
export async function expectedCatalogue(
	tx: Handle,
	tables: readonly EntityTable[],
	options: DiffOptions,
): Promise<Catalogue> {
	const text = expectedText(tables, options);
	const unlogged = unloggedTables(text);
	return rolledBack(tx, async (inner) => {
		await makeTemporary(inner, temporaryText(text, options.schema));
		const { relations, functions } = await readTemporaryCatalogue(
			inner,
			options.schema,
		);
		const withPersistence = [...relations.values()].map(
			(relation): [string, Relation] => [
				relation.name,
				{ ...relation, persistence: unlogged.has(relation.name) ? "u" : "p" },
			],
		);
		return { relations: new Map(withPersistence), functions };
	});
}

function expectedText(
	tables: readonly EntityTable[],
	options: DiffOptions,
): string {
	const { hnsw, embedding, kvPersistence } = options;
	const schema = placeholderFor(options.schema);
	const parts = {
		schema,
		...(hnsw === undefined ? {} : { hnsw }),
		...(embedding === undefined ? {} : { embedding }),
	};
	return [
		...baseFiles({ schema, kvPersistence }).map(({ text }) => text),
		...tables.flatMap(({ entity }) =>
			Object.values(registerType(entity, parts).sql),
		),
	]
		.join("\n")
		.replaceAll("INDEX CONCURRENTLY ", "INDEX ");
}

/** A temporary table is neither logged nor unlogged: what it should be is read from the text. */
function unloggedTables(text: string): Set<string> {
	const found = text.matchAll(
		/CREATE UNLOGGED TABLE (?:IF NOT EXISTS )?"[^"]+"\."([^"]+)"/g,
	);
	return new Set([...found].map(([, name = ""]) => name));
}

/** The objects go where temporary ones do; the functions' search_path stays what it will be. */
function temporaryText(text: string, schema: string): string {
	const placeholder = placeholderFor(schema);
	return text
		.replaceAll(`"${placeholder}".`, '"pg_temp".')
		.replaceAll(placeholder, schema)
		.replaceAll("CREATE UNLOGGED TABLE", "CREATE TABLE");
}

async function makeTemporary(tx: Handle, text: string): Promise<void> {
	try {
		await sendEach(tx, text);
	} catch (error) {
		if (!(error instanceof RemError) || error.sqlState !== "42501") throw error;
		throw new RemError(
			"DATABASE",
			`the models cannot be compared: ${error.message}`,
			{
				hint: "the comparison makes temporary tables: GRANT TEMPORARY ON DATABASE … TO this user",
				cause: error.cause,
				sqlState: error.sqlState,
			},
		);
	}
}

/** Runs the work and takes back all it did to the database. */
async function rolledBack<T>(
	tx: Handle,
	work: (inner: Handle) => Promise<T>,
): Promise<T> {
	const undo = new Error("undo");
	let done: { result: T } | undefined;
	await tx
		.transaction(
			async (inner) => {
				done = { result: await work(inner) };
				throw undo;
			},
			{ settings: ownObjects },
		)
		.catch((error: unknown) => {
			if (error !== undo) throw error;
		});
	if (done === undefined) throw undo;
	return done.result;
}
