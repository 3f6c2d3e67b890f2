import { expect, test } from "vitest";
import { routeStatement } from "../support/route-statement.ts";

const buckets = {
	schema: "public",
	schemas: ["public_b00", "public_b01"],
	relations: new Set(["notes", "kv_store", "hnsw-notes", "hnsw_notes-v1"]),
	routines: new Set(["rem_words"]),
};
const route = (text: string, values?: readonly unknown[]) =>
	routeStatement(text, values, buckets);

test("a read becomes one of all buckets' rows", () => {
	expect(route("SELECT count(*) FROM notes AS n WHERE n.rank = 1")).toEqual([
		'SELECT count(*) FROM (SELECT * FROM "public_b00"."notes" UNION ALL SELECT * FROM "public_b01"."notes") AS n WHERE n.rank = 1',
	]);
	expect(route('SELECT xmin FROM "public"."notes"')).toEqual([
		'SELECT xmin FROM (SELECT *, xmin FROM "public_b00"."notes" UNION ALL SELECT *, xmin FROM "public_b01"."notes") AS "notes"',
	]);
});

test("an INSERT goes into the bucket of its tenant", () => {
	// acme-corp is in bucket 0 of two, default in bucket 1.
	expect(
		route("INSERT INTO notes (id, tenant_id) VALUES (1, 'acme-corp')"),
	).toEqual([
		`INSERT INTO "public_b00"."notes" (id, tenant_id) VALUES (1, 'acme-corp')`,
	]);
	expect(
		route("INSERT INTO notes (tenant_id) SELECT $1 FROM kv_store", ["default"]),
	).toEqual([
		'INSERT INTO "public_b01"."notes" (tenant_id) SELECT $1 FROM "public_b01"."kv_store"',
	]);
	expect(route("INSERT INTO kv_store (id) SELECT id FROM notes")).toEqual([
		'INSERT INTO "public_b00"."kv_store" (id) SELECT id FROM "public_b00"."notes"',
		'INSERT INTO "public_b01"."kv_store" (id) SELECT id FROM "public_b01"."notes"',
	]);
});

test("a copy of all columns is made in each bucket", () => {
	expect(route("INSERT INTO notes SELECT * FROM notes")).toEqual([
		'INSERT INTO "public_b00"."notes" SELECT * FROM "public_b00"."notes"',
		'INSERT INTO "public_b01"."notes" SELECT * FROM "public_b01"."notes"',
	]);
});

test("any other statement is repeated in each bucket", () => {
	expect(route("DELETE FROM notes WHERE id = $1", [1])).toEqual([
		'DELETE FROM "public_b00"."notes" WHERE id = $1',
		'DELETE FROM "public_b01"."notes" WHERE id = $1',
	]);
	expect(route("DROP TABLE public.notes")).toEqual([
		'DROP TABLE "public_b00"."notes"',
		'DROP TABLE "public_b01"."notes"',
	]);
	expect(route('DROP INDEX "hnsw_notes-v1"')).toEqual([
		'DROP INDEX "public_b00"."hnsw_notes-v1"',
		'DROP INDEX "public_b01"."hnsw_notes-v1"',
	]);
	expect(route("TRUNCATE kv_store; ANALYZE notes")).toEqual([
		'TRUNCATE "public_b00"."kv_store";\nTRUNCATE "public_b01"."kv_store";\nANALYZE "public_b00"."notes";\nANALYZE "public_b01"."notes"',
	]);
});

test("a name in quotes, and one in a text, is that of each bucket", () => {
	expect(route('DROP INDEX IF EXISTS "hnsw-notes"')).toEqual([
		'DROP INDEX IF EXISTS "public_b00"."hnsw-notes"',
		'DROP INDEX IF EXISTS "public_b01"."hnsw-notes"',
	]);
	expect(
		route(
			`SELECT 'notes', pg_relation_filenode('kv_store') FROM pg_class WHERE oid = '"hnsw-notes"'::regclass OR oid = 'other'::regclass`,
		),
	).toEqual(
		["public_b00", "public_b01"].map(
			(schema) =>
				`SELECT 'notes', pg_relation_filenode('"${schema}"."kv_store"') FROM pg_class WHERE oid = '"${schema}"."hnsw-notes"'::regclass OR oid = 'other'::regclass`,
		),
	);
});

test("a function is that of a bucket", () => {
	expect(route("SELECT rem_words('english', n.text) FROM notes AS n")).toEqual([
		`SELECT "public_b00"."rem_words"('english', n.text) FROM (SELECT * FROM "public_b00"."notes" UNION ALL SELECT * FROM "public_b01"."notes") AS n`,
	]);
	expect(route("DROP FUNCTION public.rem_words(text, text)")).toEqual([
		'DROP FUNCTION "public_b00"."rem_words"(text, text)',
		'DROP FUNCTION "public_b01"."rem_words"(text, text)',
	]);
});

test("a statement with a table's name in a literal is repeated in each bucket", () => {
	expect(
		route("SELECT FROM pg_index WHERE indrelid = 'public.notes'::regclass"),
	).toEqual([
		`SELECT FROM pg_index WHERE indrelid = '"public_b00"."notes"'::regclass`,
		`SELECT FROM pg_index WHERE indrelid = '"public_b01"."notes"'::regclass`,
	]);
	expect(route("SELECT to_regclass('hnsw_notes-v1')")).toEqual([
		`SELECT to_regclass('"public_b00"."hnsw_notes-v1"')`,
		`SELECT to_regclass('"public_b01"."hnsw_notes-v1"')`,
	]);
	expect(route("DO $$ BEGIN PERFORM 'notes'::regclass; END $$")).toEqual([
		`DO $$ BEGIN PERFORM '"public_b00"."notes"'::regclass; END $$`,
		`DO $$ BEGIN PERFORM '"public_b01"."notes"'::regclass; END $$`,
	]);
});

test("a statement about no table of a bucket is sent as it is", () => {
	expect(route("SELECT 1")).toBeUndefined();
	expect(route("SELECT * FROM other.notes")).toBeUndefined();
	expect(route("WITH notes AS (SELECT 1) SELECT * FROM notes")).toBeUndefined();
	expect(route("no SQL at all")).toBeUndefined();
});
