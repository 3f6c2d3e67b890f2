import { hash } from "node:crypto";
import { encodeVector } from "../db/encode.ts";
import { RemError } from "../errors.ts";
import { definitionOf } from "../models/column-types.ts";
import type { Entity } from "../models/entity.ts";
import type { Field } from "../models/field.ts";
import type { EntityTable } from "../models/registry.ts";
import type { ValidRow } from "../models/validate.ts";
import { valueAt } from "../util/present.ts";
import { contentHash, isEmbeddable } from "../vectors/texts.ts";
import { equalsStored } from "./compare.ts";
import { type MergeField, mergeValue } from "./merge.ts";
import {
	fieldValue,
	isFoundByKey,
	isKnownByKey,
	type StoredRow,
} from "./read-stored.ts";

/** What is written of a row. */
export interface PlannedRow {
	readonly row: ValidRow;
	/** The stored row's; `undefined`: there is none yet. */
	readonly storedId: string | undefined;
	/** Whether there is anything to write in the entity's table. */
	readonly isChanged: boolean;
	/** Texts that get a vector. */
	readonly texts: readonly TextToEmbed[];
	/** Fields whose text has changed or is gone: their older vectors are outdated. */
	readonly touched: readonly TouchedText[];
	/** Fields whose text has changed, and that another process is to embed. */
	readonly left: readonly string[];
	/** Texts whose stored vector is current. */
	readonly reused: number;
	/** Whether LOOKUP finds the row when it is written. */
	readonly hasKey: boolean;
}

interface TextToEmbed {
	readonly field: string;
	readonly text: string;
	/** sha256 of the text, in hex and as it is stored. */
	readonly hash: string;
	readonly hashBytes: Buffer;
	/** A vector that the caller supplied. */
	readonly ready: Float32Array | undefined;
}

interface TouchedText {
	readonly field: string;
	/** `null`: the text is gone. */
	readonly hashBytes: Buffer | null;
}

/** A row, and what is stored of it. */
export interface ComparedRow {
	readonly row: ValidRow;
	readonly stored: StoredRow | undefined;
}

export interface RowPlanOptions {
	/** Whether texts without a current vector get one. */
	readonly embed: boolean;
	readonly merge: readonly MergeField[];
	/** As of the rows' scope: whose rows they may be. */
	readonly boundUser: string | null | undefined;
}

/** Compares a row with what is stored, and plans what of it is written and embedded. */
export function planRow(
	{ entity }: EntityTable,
	{ row, stored }: ComparedRow,
	{ embed, merge, boundUser }: RowPlanOptions,
): PlannedRow {
	checkTakenId(row, stored, boundUser);
	checkUnwritable(entity, row, stored);
	const texts: TextToEmbed[] = [];
	const touched: TouchedText[] = [];
	const left: string[] = [];
	let reused = 0;
	for (const field of entity.embedFields) {
		if (stored !== undefined && !(field.name in row.supplied)) continue;
		const text = fieldValue(row, field);
		const hashBytes = typeof text === "string" ? contentHash(text) : null;
		const isTouched =
			stored === undefined || !isSameHash(stored, field, hashBytes);
		if (isTouched)
			touched.push({
				field: field.name,
				hashBytes: isEmbeddable(text) ? hashBytes : null,
			});
		if (hashBytes === null || !isEmbeddable(text)) continue;
		const ready = row.vectors[field.name];
		const isCurrent =
			stored?.vectorHashes[field.name]?.equals(hashBytes) === true &&
			(ready === undefined ||
				stored.vectorPrints[field.name] === vectorPrint(ready));
		if (isCurrent) reused++;
		else if (embed || ready !== undefined)
			texts.push({
				field: field.name,
				text,
				hash: hashBytes.toString("hex"),
				hashBytes,
				ready,
			});
		else if (isTouched) left.push(field.name);
	}
	return {
		row,
		storedId: stored?.id,
		isChanged: touched.length > 0 || isChanged(entity, { row, stored }, merge),
		texts,
		touched,
		left,
		reused,
		hasKey: row.key !== null || keepsKey(entity, row, stored),
	};
}

/** A row that is identified by its id need not supply its key. */
function keepsKey(
	entity: Entity,
	row: ValidRow,
	stored: StoredRow | undefined,
): boolean {
	const isCleared = entity.keyFields?.some(
		({ name }) => row.supplied[name] === null,
	);
	return stored?.hasKey === true && isCleared !== true;
}

function vectorPrint(vector: Float32Array): string {
	return hash("sha256", encodeVector(vector), "hex");
}

function isSameHash(
	stored: StoredRow,
	{ name }: Field,
	hash: Buffer | null,
): boolean {
	const before = stored.values[name];
	return before instanceof Uint8Array && hash !== null
		? hash.equals(before)
		: before === hash;
}

/** An id of another tenant, of a user beside the scope's, or of a deleted row, is not the caller's to write. */
function checkTakenId(
	row: ValidRow,
	stored: StoredRow | undefined,
	boundUser: string | null | undefined,
): void {
	if (row.id === undefined || stored === undefined) return;
	const isOfUser =
		boundUser === undefined ||
		stored.userId === null ||
		stored.userId === boundUser;
	if (stored.tenantId === row.tenantId && isOfUser && !stored.isDeleted) return;
	throw new RemError(
		"DUPLICATE_KEY",
		`entity ${row.index}: its id is already taken`,
		{
			hint: "leave the id out, or restore() the deleted row it belongs to; nothing was written",
			issues: [{ index: row.index, field: "id", message: "is already taken" }],
		},
	);
}

/** A value that is not finite may stay where another program stored it. */
function checkUnwritable(
	entity: Entity,
	row: ValidRow,
	stored: StoredRow | undefined,
): void {
	for (const name of row.unwritable) {
		if (!(name in row.supplied)) continue;
		const field = valueAt(entity.fieldsByName, name);
		// Of a row that exists, it never changes.
		const isSame =
			stored !== undefined &&
			(name === "createdAt" ||
				equalsStored(field, row.supplied[name], stored.values[name] ?? null));
		if (isSame) continue;
		const message =
			definitionOf(field.type).exact?.refusal ?? "cannot be written";
		throw new RemError(
			"VALIDATION",
			`invalid entities for "${entity.tableName}": entity ${row.index}, ${name}: ${message}`,
			{
				hint: "nothing was written; an infinity or NaN can only be written back where it is stored already",
				issues: [{ index: row.index, field: name, message }],
			},
		);
	}
}

/** Whether a field has changed; those that embed are compared above, by their hash. */
function isChanged(
	entity: Entity,
	{ row, stored }: ComparedRow,
	merge: readonly MergeField[],
): boolean {
	if (stored === undefined) return true;
	if (row.hasUserId && row.userId !== stored.userId) return true;
	return Object.entries(row.supplied).some(([name, value]) => {
		const field = valueAt(entity.fieldsByName, name);
		if (name === "createdAt" || entity.embedFields.includes(field))
			return false;
		if (isFoundByKey(row) && isKnownByKey(entity, field)) return false;
		const before = stored.values[name] ?? null;
		const merged = merge.find((other) => other === name);
		const after =
			merged === undefined
				? (value ?? null)
				: mergeValue(merged, before, value);
		return !equalsStored(field, after, before);
	});
}
