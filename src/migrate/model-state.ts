import type { Handle } from "../db/database.ts";
import type { EntityTable } from "../models/registry.ts";
import { type BaseOptions, baseFiles } from "../schema/base.ts";
import { baseNames } from "./base-names.ts";
import { entityText, relationsOf } from "./diff/diff-entity.ts";
import {
	baseFingerprint,
	entityFingerprint,
	readFingerprints,
} from "./fingerprint.ts";
import {
	type Ledger,
	readLedger,
	record,
	recordCatalogue,
	sha256,
} from "./ledger.ts";
import { checkOwnership } from "./ownership.ts";

/** What the models and the database are to each other. */
export interface ModelState {
	/** Models whose tables are not there at all. */
	readonly absent: readonly EntityTable[];
	/** Models that changed, or whose tables did, since the last migration. */
	readonly changed: readonly EntityTable[];
	/** Whether our own tables or functions did. */
	readonly isBaseChanged: boolean;
}

/** Where nothing changed, two short reads show that there is nothing to do. */
export async function readModelState(
	tx: Handle,
	tables: readonly EntityTable[],
	ledger: Ledger,
	base: BaseOptions,
): Promise<ModelState> {
	const live = await readFingerprints(tx, tables, base);
	checkOwnership(tables, [], live);
	const isAbsent = ({ entity }: EntityTable) =>
		!live.relations.has(entity.tableName);
	const isUnchanged = (table: EntityTable) =>
		isKnown(ledger, table) &&
		ledger.get(ledgerName(table))?.catalogue === entityFingerprint(live, table);
	return {
		absent: tables.filter(isAbsent),
		changed: tables.filter((table) => !isAbsent(table) && !isUnchanged(table)),
		isBaseChanged:
			ledger.get(lastBaseFile(base))?.catalogue !== baseFingerprint(live, base),
	};
}

interface NoteOptions {
	readonly durationMs: number;
	/** Tables, ours too, with steps still to be taken: the next migration compares these again. */
	readonly unfinished: ReadonlySet<string>;
}

const notComparedYet = "";

/** Notes what is there now, so that the next migration need not compare. */
export async function noteModels(
	tx: Handle,
	tables: readonly EntityTable[],
	base: BaseOptions,
	{ durationMs, unfinished }: NoteOptions,
): Promise<void> {
	const live = await readFingerprints(tx, tables, base);
	const ledger = await readLedger(tx, base.schema);
	for (const table of tables) {
		const name = ledgerName(table);
		const isUnfinished = relationsOf(table).some((one) => unfinished.has(one));
		const catalogue = isUnfinished
			? notComparedYet
			: entityFingerprint(live, table);
		if (isKnown(ledger, table))
			await recordCatalogue(tx, base.schema, name, catalogue);
		else
			await record(tx, base.schema, {
				name,
				sha256: sha256(entityText(table)),
				durationMs,
				catalogue,
			});
	}
	const isUnfinished = baseNames(base).relations.some((name) =>
		unfinished.has(name),
	);
	const catalogue = isUnfinished ? notComparedYet : baseFingerprint(live, base);
	await recordCatalogue(tx, base.schema, lastBaseFile(base), catalogue);
}

/** How the ledger calls a model. */
export function ledgerName({ entity }: EntityTable): string {
	return `entity:${entity.tableName}`;
}

/** Whether this very definition was applied. */
export function isKnown(ledger: Ledger, table: EntityTable): boolean {
	return ledger.get(ledgerName(table))?.sha256 === sha256(entityText(table));
}

/** The ledger's row that stands for our own tables. */
function lastBaseFile(base: BaseOptions): string {
	return baseFiles(base).at(-1)?.name ?? "";
}
