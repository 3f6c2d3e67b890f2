import type { ScalarType } from "../models/field.ts";

/** Element types that have a binary form here; `vector`'s OID differs from database to database. */
export type ElementType = ScalarType | "bytea" | "integer";

// pg_type.oid of PostgreSQL's own types never changes.
const oids: Readonly<Record<ElementType, number>> = {
	boolean: 16,
	bytea: 17,
	bigint: 20,
	integer: 23,
	text: 25,
	"double precision": 701,
	timestamptz: 1184,
	uuid: 2950,
	jsonb: 3802,
};

// int64 microseconds since 2000-01-01, where JavaScript counts from 1970.
const postgresEpochMs = Date.UTC(2000, 0, 1);

/**
 * A one-dimensional array in PostgreSQL's binary format. `pg` sends a Buffer in
 * binary, so a chunk of rows is one parameter a column and one parse on the
 * server: 24,000 vectors a second against 2,400 as text.
 */
export function encodeArray(
	type: ElementType,
	values: readonly unknown[],
): Buffer {
	const encode = encoders[type];
	return arrayOf(
		oids[type],
		values.map((value) =>
			value === null || value === undefined ? null : encode(value),
		),
	);
}

/** The same for vectors, straight into one buffer; `vectorOid` is that of the type in this database. */
export function encodeVectorArray(
	vectorOid: number,
	vectors: readonly Float32Array[],
): Buffer {
	const size = vectors.reduce(
		(sum, vector) => sum + 8 + vector.byteLength,
		arrayHeaderSize,
	);
	const buffer = Buffer.allocUnsafe(size);
	let at = writeArrayHeader(buffer, vectorOid, vectors.length, false);
	for (const vector of vectors) {
		buffer.writeInt32BE(4 + vector.byteLength, at);
		at = writeVector(buffer, at + 4, vector);
	}
	return buffer.subarray(0, at);
}

/** A single vector: dimensions, a reserved word, then big-endian floats. */
export function encodeVector(vector: Float32Array): Buffer {
	const buffer = Buffer.allocUnsafe(4 + vector.byteLength);
	writeVector(buffer, 0, vector);
	return buffer;
}

/** Returns the place after it. */
function writeVector(buffer: Buffer, at: number, vector: Float32Array): number {
	buffer.writeInt16BE(vector.length, at);
	buffer.writeInt16BE(0, at + 2);
	const floats = buffer.subarray(at + 4, at + 4 + vector.byteLength);
	floats.set(
		new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength),
	);
	// swap32 is native: writeFloatBE in a loop took five times as long.
	floats.swap32();
	return at + 4 + vector.byteLength;
}

/** PostgreSQL's text form of an array: `{"a","b"}`. For arrays inside arrays, which unnest would flatten. */
export function arrayLiteral(values: readonly unknown[]): string {
	const items = values.map((value) => {
		if (value === null || value === undefined) return "NULL";
		const text = value instanceof Date ? timestampText(value) : String(value);
		return `"${text.replace(/["\\]/g, "\\$&")}"`;
	});
	return `{${items.join(",")}}`;
}

/**
 * A Date as PostgreSQL reads it, in UTC. `pg` itself writes the client's zone,
 * cut to minutes, which is another instant where the offset has seconds.
 */
export function timestampText(date: Date): string {
	const year = date.getUTCFullYear();
	const rest = date.toISOString().slice(-20); // after the year, "-06-07T…Z"
	if (year > 0) return `${String(year).padStart(4, "0")}${rest}`;
	return `${String(1 - year).padStart(4, "0")}${rest} BC`;
}

const encoders: Readonly<Record<ElementType, (value: unknown) => Buffer>> = {
	boolean: (value) => Buffer.from([value === true ? 1 : 0]),
	bytea: (value) => value as Buffer,
	integer: (value) => {
		const buffer = Buffer.allocUnsafe(4);
		buffer.writeInt32BE(value as number);
		return buffer;
	},
	bigint: (value) => int64(BigInt(value as number | bigint)),
	text: (value) => Buffer.from(value as string, "utf8"),
	"double precision": (value) => {
		const buffer = Buffer.allocUnsafe(8);
		buffer.writeDoubleBE(value as number);
		return buffer;
	},
	timestamptz: (value) =>
		int64(BigInt((value as Date).getTime() - postgresEpochMs) * 1000n),
	uuid: (value) => Buffer.from((value as string).replaceAll("-", ""), "hex"),
	jsonb: (value) => {
		const text = JSON.stringify(value);
		const buffer = Buffer.allocUnsafe(1 + Buffer.byteLength(text));
		buffer[0] = 1; // the version of jsonb's wire format
		buffer.write(text, 1, "utf8");
		return buffer;
	},
};

function int64(value: bigint): Buffer {
	const buffer = Buffer.allocUnsafe(8);
	buffer.writeBigInt64BE(value);
	return buffer;
}

const arrayHeaderSize = 20;

function arrayOf(
	elementOid: number,
	elements: readonly (Buffer | null)[],
): Buffer {
	const size = elements.reduce(
		(sum, element) => sum + 4 + (element?.length ?? 0),
		arrayHeaderSize,
	);
	const buffer = Buffer.allocUnsafe(size);
	const hasNull = elements.includes(null);
	let at = writeArrayHeader(buffer, elementOid, elements.length, hasNull);
	for (const element of elements) {
		buffer.writeInt32BE(element?.length ?? -1, at);
		at += 4;
		if (element === null) continue;
		element.copy(buffer, at);
		at += element.length;
	}
	return buffer.subarray(0, at);
}

/** Returns the place after it: an empty array has no dimension. */
function writeArrayHeader(
	buffer: Buffer,
	elementOid: number,
	length: number,
	hasNull: boolean,
): number {
	buffer.writeInt32BE(length === 0 ? 0 : 1, 0);
	buffer.writeInt32BE(hasNull ? 1 : 0, 4);
	buffer.writeInt32BE(elementOid, 8);
	if (length === 0) return 12;
	buffer.writeInt32BE(length, 12);
	buffer.writeInt32BE(1, 16); // lower bound
	return arrayHeaderSize;
}
