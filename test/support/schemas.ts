import { bucketSchemas } from "../../src/buckets/bucket-names.ts";
import { bucketOf } from "../../src/buckets/bucket-of.ts";

// Where the tables of the tests are: in `public`, and in the projects with buckets
// in a schema for each bucket.

const { POSTGRES__BUCKETS: buckets } = process.env;

/** The schemas with the tables. */
export const schemas: readonly string[] =
	buckets === undefined ? ["public"] : bucketSchemas("public", Number(buckets));

/** The schema with the rows of a tenant. */
export function schemaOf(tenantId = "default"): string {
	return schemas[bucketOf(tenantId, schemas.length)] as string;
}

/** A tenant of each schema. */
export const tenantOfEach: readonly string[] = schemas.map((schema) => {
	let n = 0;
	while (schemaOf(`tenant ${n}`) !== schema) n++;
	return `tenant ${n}`;
});

/** A name or a message as results have it: once, or with each schema where they are buckets. */
export const inSchemas = (name: string, separator = "."): string[] =>
	buckets === undefined
		? [name]
		: schemas.map((schema) => `${schema}${separator}${name}`);

/** What a role needs besides where there are buckets: docs/buckets.md. */
export const bucketGrants = (role: string): string =>
	buckets === undefined
		? ""
		: `${schemas.map((schema) => `GRANT USAGE ON SCHEMA ${schema} TO ${role}; `).join("")}GRANT SELECT ON public.rem_buckets TO ${role}`;

/** With one bucket, where statements of a test find its tables: test/support/in-buckets.ts. */
export const searchPath = '"$user", public_b00, public';
export const isInOneBucket = buckets === "1";
