import { RemError } from "../../errors.ts";
import type { Entity } from "../../models/entity.ts";
import type { EntityTable } from "../../models/registry.ts";

/** SQL that a user wrote, and where each of its characters is in what they wrote. */
export interface SqlText {
	readonly value: string;
	at(index: number): number;
}

/** What every step of compiling needs to know. */
export interface Context {
	readonly table: EntityTable;
	readonly entity: Entity;
	/** The table's name in the statement that the SQL becomes a part of. */
	readonly alias: string;
	/** Where something is in what the user wrote, counted from 1; the grammar counts bytes. */
	positionAt(location: number | undefined): number;
}

/** Positions in a text that stood behind a prefix when the grammar read it. */
export function positionsIn(
	text: SqlText,
	prefixLength: number,
): Context["positionAt"] {
	const indexes = indexesByByte(text.value);
	return (location = 0) => {
		const byte = Math.max(0, location - prefixLength);
		const index = indexes === undefined ? byte : (indexes[byte] ?? 0);
		return text.at(Math.min(index, text.value.length)) + 1;
	};
}

/** The character that each byte belongs to; `undefined` where they are the same. */
function indexesByByte(text: string): Uint32Array | undefined {
	const length = Buffer.byteLength(text);
	if (length === text.length) return undefined;
	const indexes = new Uint32Array(length + 1);
	let byte = 0;
	let index = 0;
	for (const character of text) {
		const next = byte + Buffer.byteLength(character);
		indexes.fill(index, byte, next);
		byte = next;
		index += character.length;
	}
	indexes[length] = text.length;
	return indexes;
}

/** `FILTER_REFUSED`, with the place. */
export function refusedAt(
	position: number,
	message: string,
	hint?: string,
): RemError {
	return new RemError(
		"FILTER_REFUSED",
		`${message}, at character ${position}`,
		hint === undefined ? { position } : { position, hint },
	);
}
