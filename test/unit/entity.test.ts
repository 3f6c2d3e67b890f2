import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import * as zm from "zod/mini";
import * as z3 from "zod/v3";
import { fromAiSdk } from "../../src/embeddings/ai-sdk.ts";
import { RemError } from "../../src/errors.ts";
import { coreEntities } from "../../src/models/core-entities.ts";
import {
	defineEntity,
	type Entity,
	type EntityOptions,
	type Shape,
} from "../../src/models/entity.ts";
import { checkDefinition, Registry } from "../../src/models/registry.ts";
import { validateRows } from "../../src/models/validate.ts";
import { describeQueryLanguage } from "../../src/query/dialect/describe-language.ts";
import { registerType } from "../../src/schema/register-type.ts";
import { ident } from "../../src/sql.ts";
import { hostileValues } from "../support/hostile-values.ts";

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
			`"${table}" is not a table name: lower-case letters, digits and _, at most 63`,
		]);
	});

	test.each(["rem_x", "embeddings_x", "kv_store", "kv_state"])(
		"%s is kept for remdb",
		(table) => {
			expect(messagesOf({ name }, byName, table)).toEqual([
				`table name "${table}" is reserved for tables of remdb`,
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
		[
			"id",
			'every entity has the field "id" already: leave it out, or name it otherwise',
		],
		[
			"tenantId",
			'every entity has the field "tenantId" already: leave it out, or name it otherwise',
		],
		[
			"tenant_id",
			'every entity has the field "tenantId" already: leave it out, or name it otherwise',
		],
		[
			"userId",
			'every entity has the field "userId" already: leave it out, or name it otherwise',
		],
		[
			"graphEdges",
			'every entity has the field "graphEdges" already: leave it out, or name it otherwise',
		],
		[
			"metadata",
			'every entity has the field "metadata" already: leave it out, or name it otherwise',
		],
		[
			"tags",
			'every entity has the field "tags" already: leave it out, or name it otherwise',
		],
		[
			"createdAt",
			'every entity has the field "createdAt" already: leave it out, or name it otherwise',
		],
		[
			"updatedAt",
			'every entity has the field "updatedAt" already: leave it out, or name it otherwise',
		],
		[
			"deletedAt",
			'every entity has the field "deletedAt" already: leave it out, or name it otherwise',
		],
		[
			"Name",
			'its column "name" is that of the field "name", too: name it otherwise',
		],
		["vectors", '"vectors" is where ready vectors are given'],
		["remId", 'names that begin with "rem_" are reserved for remdb'],
		["a b", '"a b" is not a column name: letters, digits and _, at most 63'],
		["é", '"é" is not a column name: letters, digits and _, at most 63'],
		["ctid", '"ctid" is not a column name: letters, digits and _, at most 63'],
		[
			"x".repeat(64),
			`"${"x".repeat(64)}" is not a column name: letters, digits and _, at most 63`,
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

describe("a definition", () => {
	const refined = z
		.object({ name: z.string(), from: z.int(), to: z.int() })
		.refine(({ from, to }) => from <= to, "ends before it begins");

	test("may be a z.object, whose refinements look at each row", () => {
		const Span = defineEntity("spans", refined, { entityKeyField: "name" });
		expect(Span.problems).toEqual([]);
		expect(Span.fields.map(({ name }) => name)).toEqual(["name", "from", "to"]);
		const rows = (to: number) =>
			validateRows(Span, [{ name: "a", from: 1, to }], { defaultTenant: "t" });
		expect(rows(2)).toHaveLength(1);
		expect(() => rows(0)).toThrow(
			expect.objectContaining({
				code: "VALIDATION",
				message: expect.stringContaining("ends before it begins"),
			}),
		);
		// Other choices leave them as they are.
		const { entity } = registerType(Span, { tableName: "others" });
		expect(entity.refinements).toBe(Span.refinements);
	});

	test.each([
		["z.strictObject", z.strictObject({ name: z.string() })],
		["z.looseObject", z.looseObject({ name: z.string() })],
		["a mini object", zm.object({ name: zm.string() })],
		["fields of mini", { name: zm.string() }],
	])("may be %s, without options", (_, given) => {
		const entity: Entity = defineEntity("things", given as never);
		expect(entity.problems).toEqual([]);
		expect(entity.fields.map(({ name, type }) => [name, type])).toEqual([
			["name", "text"],
		]);
	});

	test.each([
		["an object of zod 3", z3.object({ name: z3.string() }), /zod 3/],
		["a field of zod 3", { name: z3.string() }, /name: is a schema of zod 3/],
		["zod 3 inside", { name: z.array(z3.string() as never) }, /zod 4/],
		["a text as field", { name: "string" }, /name: is not a schema/],
		["null as field", { name: null }, /name: is not a schema/],
		["JSON Schema", { type: "object", properties: {} }, /not a schema/],
		["another schema", z.string(), /another schema/],
		["a transformed object", refined.transform((row) => row), /another schema/],
		["a schema without an end", { name: endless() }, /name: contains/],
		["nothing", undefined, /undefined: expected fields/],
	])("of %s has a problem that says so", (_, given, message) => {
		const { problems } = defineEntity("things", given as never);
		const texts = problems.map(({ field, message }) => `${field}: ${message}`);
		expect(texts.join("; ")).toMatch(message);
	});

	test("and its options of any hostile type have problems, and nothing is thrown", () => {
		const options = [
			"entityKeyField",
			"tenantScoped",
			"createEmbeddings",
			"createKvTrigger",
			"indexes",
			"unique",
		];
		for (const [name, value] of hostileValues) {
			// These cannot even be asked what they are: exports.test.ts has them.
			if (name === "a revoked proxy" || /every trap throws/.test(name))
				continue;
			for (const option of options)
				defineEntity("things", { name: z.string() }, {
					[option]: value,
				} as never);
			for (const given of [
				[value, { name: z.string() }],
				["things", value],
				["things", { name: value }],
				["things", { name: z.string() }, value],
			])
				(defineEntity as (...given: unknown[]) => Entity)(...given);
			expect(
				() => registerType(value as never),
				`registerType of ${name}`,
			).toThrow(expect.objectContaining({ code: "VALIDATION" }));
			for (const option of ["schema", "hnsw", "embedding", "tableName"])
				expectOurs(() =>
					registerType(defineEntity("things", { name: z.string() }), {
						[option]: value,
					} as never),
				);
			expectOurs(() => fromAiSdk(value as never));
			expectOurs(() => describeQueryLanguage(value as never));
			expectOurs(() => ident(value as never));
		}
	});

	test("has no option that is unknown, and none that becomes SQL", () => {
		const { problems } = defineEntity("things", { name: z.string() }, {
			entityKeyFeild: "name",
		} as never);
		expect(problems[0]?.message).toBe(
			'unknown option "entityKeyFeild", did you mean "entityKeyField"?',
		);
		const Thing = defineEntity("things", { content: z.string() });
		for (const options of [
			{ hnsw: { m: "16); DROP TABLE a; --", efConstruction: 64 } },
			{ hnsw: { m: 16, efConstruction: "64" } },
			{ embedding: { provider: "a", model: "b", dimensions: "3); --" } },
			{ schema: "a".repeat(64) },
			{ tabelName: "x" },
		])
			expect(() => registerType(Thing, options as never)).toThrow(
				expect.objectContaining({ code: "VALIDATION" }),
			);
	});
});

function expectOurs(call: () => unknown): void {
	try {
		call();
	} catch (error) {
		expect(error, inspect(error)).toBeInstanceOf(RemError);
	}
}

function endless(): z.ZodType {
	const schema: z.ZodType = z.lazy(() => schema);
	return schema;
}
