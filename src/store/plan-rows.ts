import { RemError } from "../errors.ts";
import type { Field } from "../models/field.ts";
import type { EntityTable } from "../models/registry.ts";
import type { ValidRow } from "../models/validate.ts";
import { uuidv7 } from "../util/uuid.ts";
import { contentHash, isEmbeddable } from "../vectors/content-hash.ts";
import { equalsStored } from "./compare.ts";
import { fieldValue, type StoredRow } from "./read-stored.ts";

/** What is to be done with a row. */
export interface PlannedRow {
	readonly row: ValidRow;
	/** The stored row's, or the one it gets if it is new. */
	readonly id: string;
	readonly isNew: boolean;
	/** Whether there is anything to write in the entity's table. */
	readonly isChanged: boolean;
	/** Texts that get a vector. */
	readonly texts: readonly TextToEmbed[];
	/** Fields whose text is now another, or none: older vectors of them are stale. */
	readonly touched: readonly TouchedText[];
	/** Texts whose stored vector is still theirs. */
	readonly reused: number;
}

export interface TextToEmbed {
	readonly field: string;
	readonly text: string;
	/** sha256 of the text, in hex and as it is stored. */
	readonly hash: string;
	readonly hashBytes: Buffer;
	/** A vector the caller brought along. */
	readonly ready: Float32Array | undefined;
}

export interface TouchedText {
	readonly field: string;
	/** `null`: there is no text any more. */
	readonly hashBytes: Buffer | null;
}

/** Compares rows with what is stored, and says what of them has to be written and embedded. */
export function planRows(
	table: EntityTable,
	rows: readonly ValidRow[],
	stored: readonly (StoredRow | undefined)[],
	embed: boolean,
): PlannedRow[] {
	return rows.map((row, index) => planRow(table, row, stored[index], embed));
}

function planRow(
	{ entity }: EntityTable,
	row: ValidRow,
	stored: StoredRow | undefined,
	embed: boolean,
): PlannedRow {
	checkTakenId(row, stored);
	const texts: TextToEmbed[] = [];
	const touched: TouchedText[] = [];
	let reused = 0;
	for (const field of entity.embedFields) {
		const isSupplied = field.name in row.supplied;
		if (stored !== undefined && !isSupplied) continue;
		const text = fieldValue(row, field);
		if (!isEmbeddable(text)) {
			touched.push({ field: field.name, hashBytes: null });
			continue;
		}
		const hashBytes = contentHash(text);
		const isSame =
			stored !== undefined &&
			(stored.values[field.name] as Buffer | null)?.equals(hashBytes) === true;
		if (!isSame) touched.push({ field: field.name, hashBytes });
		const ready = row.vectors[field.name];
		if (stored?.vectorHashes[field.name]?.equals(hashBytes)) reused++;
		else if (embed || ready !== undefined)
			texts.push({
				field: field.name,
				text,
				hash: hashBytes.toString("hex"),
				hashBytes,
				ready,
			});
	}
	return {
		row,
		id: stored?.id ?? row.id ?? uuidv7(),
		isNew: stored === undefined,
		isChanged: stored === undefined || isChanged(row, stored, entity),
		texts,
		touched: touched.filter(
			({ field, hashBytes }) =>
				hashBytes !== null || stored === undefined || hadText(stored, field),
		),
		reused: embed ? reused : 0,
	};
}

function hadText(stored: StoredRow, field: string): boolean {
	return stored.values[field] !== null;
}

/** An id of another tenant, or of a deleted row, is not the caller's to write. */
function checkTakenId(row: ValidRow, stored: StoredRow | undefined): void {
	if (row.id === undefined || stored === undefined) return;
	if (stored.tenantId === row.tenantId && !stored.isDeleted) return;
	throw new RemError(
		"DUPLICATE_KEY",
		`entity ${row.index}: its id is already taken`,
		{
			hint: "leave the id out, or restore() the deleted row it belongs to; nothing was written",
			issues: [{ index: row.index, field: "id", message: "is already taken" }],
		},
	);
}

function isChanged(
	row: ValidRow,
	stored: StoredRow,
	entity: EntityTable["entity"],
): boolean {
	if (row.hasUserId && row.userId !== stored.userId) return true;
	return Object.entries(row.supplied).some(([name, value]) => {
		if (name === "createdAt") return false;
		const field = entity.fieldsByName.get(name) as Field;
		return !equalsStored(field, value ?? null, stored.values[name] ?? null);
	});
}
