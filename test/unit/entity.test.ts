import { describe, expect, test } from "vitest";
import * as z from "zod";
import type { RemError } from "../../src/errors.ts";
import { coreEntities } from "../../src/models/core-entities.ts";
import {
	defineEntity,
	type EntityOptions,
	type Shape,
} from "../../src/models/entity.ts";
import { checkDefinition, Registry } from "../../src/models/registry.ts";

const byName: EntityOptions = { entityKeyField: "name" };

/** Defines without the checks of the compiler. */
const define = (
	shape: Shape,
	options: unknown = byName,
	tableName = "documents",
) => defineEntity(tableName, shape, options as EntityOptions);

const messagesOf = (...given: Parameters<typeof define>) =>
	define(...given).problems.map(({ field, message }) =>
		field === undefined ? message : `${field}: ${message}`,
	);

const name = z.string();

test("an entity knows its tables, fields, key and vectors", () => {
	const entity = defineEntity(
		"documents",
		{ name, content: name, notes: name.meta({ embed: false }), year: z.int() },
		{ entityKeyField: "name", indexes: [["year"]], unique: [["content"]] },
	);
	expect(entity).toMatchObject({
		tableName: "documents",
		embeddingsTableName: "embeddings_documents",
		tenantScoped: true,
		createEmbeddings: true,
		createKvTrigger: true,
		problems: [],
	});
	const names = (fields: readonly { name: string }[] | null) =>
		fields?.map((field) => field.name);
	expect(names(entity.fields)).toEqual(["name", "content", "notes", "year"]);
	expect(names(entity.embedFields)).toEqual(["content"]);
	expect(names(entity.keyFields)).toEqual(["name"]);
	expect(entity.indexes.map(names)).toEqual([["year"]]);
	expect(entity.unique.map(names)).toEqual([["content"]]);
	expect([...entity.fieldsByName.keys()]).toEqual([
		"id",
		"tenantId",
		"userId",
		"graphEdges",
		"metadata",
		"tags",
		"createdAt",
		"updatedAt",
		"deletedAt",
		"name",
		"content",
		"notes",
		"year",
	]);
});

test("options leave out the tenant, the vectors, the cache and the key", () => {
	const shape = { name, content: name };
	const shared = define(shape, { ...byName, tenantScoped: false });
	expect(shared.fieldsByName.has("tenantId")).toBe(false);
	const plain = define(shape, { ...byName, createEmbeddings: false });
	expect(plain.embedFields).toEqual([]);
	const uncached = define(shape, { ...byName, createKvTrigger: false });
	expect(uncached.createKvTrigger).toBe(false);
	const keyless = define(shape, { entityKeyField: null });
	expect(keyless).toMatchObject({ keyFields: null, createKvTrigger: false });
	expect([shared, plain, uncached, keyless].flatMap((e) => e.problems)).toEqual(
		[],
	);
});

test("the built-in entities have no problems", () => {
	for (const entity of coreEntities) expect(entity.problems).toEqual([]);
});

describe("a table name", () => {
	test.each(["a", "_a", "order", "user", "select", "x".repeat(63), "remote"])(
		"may be %s",
		(table) => {
			expect(messagesOf({ name }, byName, table)).toEqual([]);
		},
	);

	test.each([
		"",
		"Documents",
		"1st",
		"a-b",
		'a"b',
		"a; DROP TABLE users",
		"pub.lic",
		"é",
		"🙂",
		"x".repeat(64),
	])("may not be %j", (table) => {
		expect(messagesOf({ name }, byName, table)).toEqual([
			`"${table}" is no table name: lower-case letters, digits and _, at most 63`,
		]);
	});

	test.each(["rem_x", "embeddings_x", "kv_store", "kv_state"])(
		"%s is kept for remdb",
		(table) => {
			expect(messagesOf({ name }, byName, table)).toEqual([
				`table name "${table}" is kept for tables of remdb`,
			]);
		},
	);

	test("kv_source_x is kept for remdb", () => {
		expect(messagesOf({ name }, byName, "kv_source_x")).toHaveLength(1);
	});
});

describe("a field", () => {
	test.each(["order", "user", "k", "t", "select", "sizeBytes", "_x"])(
		"may be called %s",
		(field) => {
			expect(messagesOf({ name, [field]: name })).toEqual([]);
		},
	);

	test.each([
		["id", 'column "id" is already that of "id"'],
		["tenantId", 'column "tenant_id" is already that of "tenantId"'],
		["tenant_id", 'column "tenant_id" is already that of "tenantId"'],
		["userId", 'column "user_id" is already that of "userId"'],
		["graphEdges", 'column "graph_edges" is already that of "graphEdges"'],
		["metadata", 'column "metadata" is already that of "metadata"'],
		["tags", 'column "tags" is already that of "tags"'],
		["createdAt", 'column "created_at" is already that of "createdAt"'],
		["updatedAt", 'column "updated_at" is already that of "updatedAt"'],
		["deletedAt", 'column "deleted_at" is already that of "deletedAt"'],
		["Name", 'column "name" is already that of "name"'],
		["vectors", '"vectors" is where ready vectors are given'],
		["remId", 'names that begin with "rem_" are kept for remdb'],
		["a b", '"a b" is no column name: letters, digits and _, at most 63'],
		["é", '"é" is no column name: letters, digits and _, at most 63'],
		["ctid", '"ctid" is no column name: letters, digits and _, at most 63'],
		[
			"x".repeat(64),
			`"${"x".repeat(64)}" is no column name: letters, digits and _, at most 63`,
		],
	])("may not be called %s", (field, message) => {
		expect(messagesOf({ name, [field]: name })).toEqual([
			`${field}: ${message}`,
		]);
	});

	test("without a column type is told", () => {
		expect(messagesOf({ name, map: z.map(name, name) })).toEqual([
			"map: z.map() has no column type",
		]);
	});

	test("that is no text cannot embed", () => {
		expect(messagesOf({ name, n: z.int().meta({ embed: true }) })).toEqual([
			"n: embed is for text, this is bigint",
		]);
	});

	test("has a default that can be stored", () => {
		expect(messagesOf({ name, a: z.string().default("x\0") })).toEqual([
			"a: its default contains a NUL character",
		]);
		expect(messagesOf({ name, a: z.string().default("\ud83d") })).toEqual([
			"a: its default contains a lone surrogate",
		]);
	});

	test.each<[string, z.core.$ZodType]>([
		["Infinity", z.number().default(Number.POSITIVE_INFINITY)],
		["NaN", z.number().default(Number.NaN)],
		["NUL in a list", z.array(z.string()).default(["a\0"])],
		["NUL in JSON", z.record(z.string(), z.string()).default({ a: "\0" })],
	])("has no default %s", (_, schema) => {
		expect(messagesOf({ name, a: schema })).toHaveLength(1);
	});
});

describe("a key", () => {
	test.each<[string, z.core.$ZodType]>([
		["text", z.string()],
		["a uuid", z.uuid()],
		["a whole number", z.int()],
		["a bigint", z.bigint()],
		["a boolean", z.boolean()],
		["an enum", z.enum(["a"])],
	])("may be %s", (_, schema) => {
		expect(messagesOf({ name: schema })).toEqual([]);
	});

	test.each<[string, z.core.$ZodType]>([
		["double precision", z.number()],
		["timestamptz", z.date()],
		["jsonb", z.object({})],
		["text[]", z.array(z.string())],
	])("may not be %s", (type, schema) => {
		expect(messagesOf({ name: schema })).toEqual([
			`name: a key is text, a uuid, a whole number or a boolean, not ${type}`,
		]);
	});

	test("is none where it is not named", () => {
		expect(messagesOf({ name }, {})).toEqual([]);
		expect(defineEntity("a", { name }).keyFields).toBeNull();
		expect(defineEntity("a", { name }).createKvTrigger).toBe(false);
	});

	test("must be in the model", () => {
		expect(messagesOf({ name }, { entityKeyField: "nmae" })).toEqual([
			"nmae: key is not in the model",
		]);
		expect(messagesOf({ name }, { entityKeyField: ["name", "x"] })).toEqual([
			"x: key is not in the model",
		]);
	});

	test("is needed by the cache", () => {
		expect(
			messagesOf({ name }, { entityKeyField: null, createKvTrigger: true }),
		).toEqual(["createKvTrigger needs an entityKeyField"]);
	});

	test("is not an empty list", () => {
		expect(messagesOf({ name }, { entityKeyField: [] })).toHaveLength(1);
	});
});

test("indexes and unique constraints are of fields of the model or the system", () => {
	expect(
		messagesOf(
			{ name },
			{ ...byName, indexes: [["x"], ["createdAt"]], unique: [["name", "y"]] },
		),
	).toEqual(["x: index is not in the model", "y: unique is not in the model"]);
});

test("a unique constraint on a field called key is not lost", async () => {
	const { registerType } = await import("../../src/schema/register-type.ts");
	const { sql } = registerType(
		define({ name, key: name }, { ...byName, unique: [["key"]] }),
	);
	const names = [
		...`${sql.table}${sql.indexes}`.matchAll(/NOT EXISTS "(uq_\w+)"/g),
	];
	expect(new Set(names.map(([, index]) => index)).size).toBe(2);
});

test("every problem of a definition is thrown at once when it is registered", () => {
	const entity = define(
		{ id: name, Name: name, name, when: z.map(name, name) },
		{ entityKeyField: "title", indexes: [["x"]] },
		"Documents",
	);
	expect(entity.problems).toHaveLength(6);
	for (const register of [
		() => checkDefinition(entity),
		() => new Registry("public", [entity]),
	])
		try {
			register();
			expect.unreachable();
		} catch (error) {
			const { code, message, issues } = error as RemError;
			expect(code).toBe("VALIDATION");
			expect(issues).toEqual(entity.problems);
			for (const problem of entity.problems)
				expect(message).toContain(problem.message);
		}
});

describe("the registry", () => {
	const documents = define({ name });

	test("takes the same definition twice, another of its name not", () => {
		const registry = new Registry("public", [documents, documents]);
		expect(registry.all()).toHaveLength(1);
		expect(() => registry.add(define({ name }))).toThrow(
			expect.objectContaining({ code: "VALIDATION" }),
		);
		expect(registry.get("documents").entity).toBe(documents);
	});

	test("names the nearest table for an unknown one", () => {
		const registry = new Registry("public", [documents]);
		expect(() => registry.get("docments")).toThrow(
			expect.objectContaining({
				code: "UNKNOWN_ENTITY",
				message: 'unknown entity "docments"',
				hint: 'did you mean "documents"?',
			}),
		);
	});
});
