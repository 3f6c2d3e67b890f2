import { RemError } from "../errors.ts";
import { elementAt } from "../util/present.ts";

const maxNameBytes = 63;

/**
 * The schema of each bucket: `public_b00`, …, `public_b63`. All names have the same
 * length, so that their alphabetical order is that of the numbers.
 */
export function bucketSchemas(schema: string, buckets: number): string[] {
	const digits = Math.max(2, String(buckets - 1).length);
	const names = Array.from(
		{ length: buckets },
		(_, at) => `${schema}_b${String(at).padStart(digits, "0")}`,
	);
	const isTooLong = names.some(
		(name) => Buffer.byteLength(name) > maxNameBytes,
	);
	if (!isTooLong) return names;
	const maxBytes = maxNameBytes - digits - "_b".length;
	throw new RemError(
		"CONFIG_INVALID",
		`the schema ${schema} is too long: with the number of a bucket PostgreSQL would cut its name`,
		{
			hint: `with buckets, schema (POSTGRES__SCHEMA) has at most ${maxBytes} bytes`,
		},
	);
}

/** The schema that contains the tables; with buckets, that of bucket 0. */
export function firstSchema({
	schema,
	buckets,
}: {
	readonly schema: string;
	readonly buckets: number | undefined;
}): string {
	return buckets === undefined
		? schema
		: elementAt(bucketSchemas(schema, buckets), 0);
}
