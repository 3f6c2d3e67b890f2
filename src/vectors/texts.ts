import { hash } from "node:crypto";
import { encodeArray } from "../db/encode.ts";
import { type Sql, sql } from "../sql.ts";

/** A field of an entity, whose text has vectors. */
export interface EntityField {
	readonly entityId: string;
	readonly field: string;
}

/** The key of a field in a Map or Set. */
export function textKey({ entityId, field }: EntityField): string {
	return `${entityId} ${field}`;
}

/** Ids and field names as parameters of one `unnest`. */
export function textArrays(texts: readonly EntityField[]): {
	readonly ids: Sql;
	readonly fields: Sql;
} {
	const ids = texts.map(({ entityId }) => entityId);
	const fields = texts.map(({ field }) => field);
	return {
		ids: sql`${encodeArray("uuid", ids)}::uuid[]`,
		fields: sql`${encodeArray("text", fields)}::text[]`,
	};
}

/** @internal sha256 of a whole text: a vector with another hash is that of an older text. */
export function contentHash(text: string): Buffer {
	return hash("sha256", text, "buffer");
}

/** An empty or blank text gets no vector. */
export function isEmbeddable(text: unknown): text is string {
	return typeof text === "string" && text.trim() !== "";
}
