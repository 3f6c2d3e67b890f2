import { readRelationHeads } from "../db/catalogue/relations.ts";
import type { Handle } from "../db/database.ts";
import type { EntityTable } from "../models/registry.ts";
import { type BaseOptions, baseFiles } from "../schema/base.ts";
import { entityText } from "./diff/diff-entity.ts";
import type { Target } from "./expected.ts";
import {
	baseFingerprint,
	entityFingerprint,
	readFingerprints,
} from "./fingerprint.ts";
import { type Ledger, record, recordCatalogue, sha256 } from "./ledger.ts";
import { baseNames, checkOwnership, relationsOf } from "./ownership.ts";

/** How the database differs from the models since the last migration. */
export interface ModelState {
	/** Models whose tables are not there at all. */
	readonly absent: readonly EntityTable[];
	/** Those of them of which nothing else is there either. */
	readonly withoutRemains: ReadonlySet<EntityTable>;
	/** Models that changed, or whose tables did, since the last migration. */
	readonly changed: readonly EntityTable[];
	/** Whether our own tables or functions did. */
	readonly isBaseChanged: boolean;
}

/** Where our own tables were made just now. `undefined`: some relation of a model was there before. */
export async function readNewState(
	tx: Handle,
	{ tables, options }: Target,
): Promise<ModelState | undefined> {
	const names = tables.flatMap(relationsOf);
	const found = await readRelationHeads(tx, options.schema, { names });
	if (found.length > 0) return undefined;
	return {
		absent: tables,
		withoutRemains: new Set(tables),
		changed: [],
		isBaseChanged: false,
	};
}

/** Where nothing changed, two short reads show that there is nothing to do. */
export async function readModelState(
	tx: Handle,
	{ tables, options }: Target,
	ledger: Ledger,
): Promise<ModelState> {
	const live = await readFingerprints(tx, tables, options);
	checkOwnership(tables, [], live);
	const isAbsent = ({ entity }: EntityTable) =>
		!live.relations.has(entity.tableName);
	const isUnchanged = (table: EntityTable) =>
		isKnown(ledger, table) &&
		ledger.get(ledgerName(table))?.catalogue === entityFingerprint(live, table);
	return {
		absent: tables.filter(isAbsent),
		withoutRemains: new Set(
			tables.filter((table) =>
				relationsOf(table).every((name) => !live.relations.has(name)),
			),
		),
		changed: tables.filter((table) => !isAbsent(table) && !isUnchanged(table)),
		isBaseChanged:
			ledger.get(lastBaseFile(options))?.catalogue !==
			baseFingerprint(live, options),
	};
}

interface NoteOptions {
	/** As it was read in the same transaction. */
	readonly ledger: Ledger;
	readonly durationMs: number;
	/** Tables, ours too, with steps still to be taken: the next migration compares these again. */
	readonly unfinished: ReadonlySet<string>;
}

const notComparedYet = "";

/** Records the present state, so that the next migration need not compare. */
export async function noteModels(
	tx: Handle,
	{ tables, options }: Target,
	{ ledger, durationMs, unfinished }: NoteOptions,
): Promise<void> {
	const { schema } = options;
	const live = await readFingerprints(tx, tables, options);
	for (const table of tables) {
		const name = ledgerName(table);
		const isUnfinished = relationsOf(table).some((one) => unfinished.has(one));
		const catalogue = isUnfinished
			? notComparedYet
			: entityFingerprint(live, table);
		if (isKnown(ledger, table))
			await recordCatalogue(tx, schema, { name, catalogue });
		else
			await record(tx, schema, {
				name,
				sha256: sha256(entityText(table)),
				durationMs,
				catalogue,
			});
	}
	const isUnfinished = baseNames(options).relations.some((name) =>
		unfinished.has(name),
	);
	await recordCatalogue(tx, schema, {
		name: lastBaseFile(options),
		catalogue: isUnfinished ? notComparedYet : baseFingerprint(live, options),
	});
}

/** How the ledger calls a model. */
export function ledgerName({ entity }: EntityTable): string {
	return `entity:${entity.tableName}`;
}

/** Whether this very definition was applied. */
export function isKnown(ledger: Ledger, table: EntityTable): boolean {
	return ledger.get(ledgerName(table))?.sha256 === sha256(entityText(table));
}

/** The ledger's row for our own tables. */
function lastBaseFile(base: BaseOptions): string {
	return baseFiles(base).at(-1)?.name ?? "";
}
