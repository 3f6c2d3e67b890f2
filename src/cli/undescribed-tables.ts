import { firstSchema } from "../buckets/bucket-names.ts";
import { readEnvironment } from "../config.ts";
import { readRelationHeads } from "../db/catalogue/relations.ts";
import { RemError, withParts } from "../errors.ts";
import type { PostgresService } from "../index.ts";
import type { Entity } from "../models/entity.ts";
import { entityMark } from "../schema/entity-ddl.ts";
import type { DatabaseOptions } from "./options.ts";
import type { Terminal } from "./output/terminal.ts";

type AnyService = PostgresService<readonly Entity[]>;

/** The tables of entities in a database, compared with the models. */
interface EntityTables {
	/** Those that no model describes. */
	readonly undescribed: readonly string[];
	/** Whether a model has no table here. */
	readonly isIncomplete: boolean;
}

/** One read of the catalogue, which every role may make. */
async function readEntityTables({
	core,
	registry,
}: AnyService): Promise<EntityTables> {
	const relations = await readRelationHeads(
		core.db,
		firstSchema(core.settings),
		{ commentPrefix: entityMark },
	);
	const stored = new Set(relations.map(({ name }) => name));
	const described = new Set(
		registry.all().map(({ entity }) => entity.tableName),
	);
	return {
		undescribed: [...stored].filter((name) => !described.has(name)),
		isIncomplete: [...described].some((name) => !stored.has(name)),
	};
}

const shownNames = 5;

/** `this database has films, notes, people, which no model here describes` */
function describeUndescribed(names: readonly string[]): string {
	const more = names.length - shownNames;
	return `this database has ${names.slice(0, shownNames).join(", ")}${more > 0 ? ` and ${more} more` : ""}, which no model here describes`;
}

function remedy(options: DatabaseOptions): string {
	return namesModels(options)
		? "add their models to those of --models"
		: "pass --models PATH";
}

/** Whether the models are the caller's choice: not the built-in ones for want of a path. */
export function namesModels({ models }: DatabaseOptions): boolean {
	return (models ?? readEnvironment().MODELS__PATH) !== undefined;
}

/** Warns of a database of other models than those of the command, whose tables it does not have; returns whether it is one. */
export async function warnOfOtherModels(
	terminal: Terminal,
	service: AnyService,
	options: DatabaseOptions,
): Promise<boolean> {
	const { undescribed, isIncomplete } = await readEntityTables(service);
	if (undescribed.length === 0 || !isIncomplete) return false;
	terminal.warn(`${describeUndescribed(undescribed)}: ${remedy(options)}`);
	return true;
}

/** The same of a database that has the tables of the models too, where a result is empty. */
export async function noticeUndescribed(
	terminal: Terminal,
	service: AnyService,
	options: DatabaseOptions,
): Promise<void> {
	if (namesModels(options)) return;
	const { undescribed, isIncomplete } = await readEntityTables(service);
	if (undescribed.length > 0 && !isIncomplete)
		terminal.notice(`${describeUndescribed(undescribed)}: ${remedy(options)}`);
}

/** Warns of every table of entities that the models do not describe. */
export async function warnOfUndescribed(
	terminal: Terminal,
	service: AnyService,
	options: DatabaseOptions,
): Promise<void> {
	const { undescribed } = await readEntityTables(service);
	if (undescribed.length > 0)
		terminal.warn(`${describeUndescribed(undescribed)}: ${remedy(options)}`);
}

/**
 * For a command that is about all of the database. Without a path, tables that the
 * built-in models do not describe are an error: nothing would be erased or saved of
 * them. With one they are the caller's decision, and named.
 */
export async function refuseUndescribed(
	terminal: Terminal,
	service: AnyService,
	options: DatabaseOptions,
): Promise<void> {
	if (namesModels(options))
		return warnOfUndescribed(terminal, service, options);
	const { undescribed } = await readEntityTables(service);
	if (undescribed.length === 0) return;
	throw new RemError("CONFIG_INVALID", describeUndescribed(undescribed), {
		hint: `${remedy(options)} (or set MODELS__PATH); nothing was done`,
	});
}

/**
 * The error of a missing table, with what may be the reason: the tables of a database
 * of other models. `undefined` where that is not it, and the tables can be created.
 */
export async function errorOfOtherModels(
	error: RemError,
	service: AnyService,
	options: DatabaseOptions,
): Promise<RemError | undefined> {
	const { undescribed, isIncomplete } = await readEntityTables(service);
	if (undescribed.length === 0 || !isIncomplete) return undefined;
	return withParts(error, {
		hint: `${describeUndescribed(undescribed)}: ${remedy(options)}. Where both models belong in it, run \`rem migrate\` first`,
	});
}
