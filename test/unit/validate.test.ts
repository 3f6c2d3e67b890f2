import { describe, expect, test } from "vitest";
import * as z from "zod";
import { RemError } from "../../src/errors.ts";
import { defineEntity } from "../../src/models/entity.ts";
import type { RowScope } from "../../src/models/row-problems.ts";
import { type ValidRow, validateRows } from "../../src/models/validate.ts";

const Document = defineEntity(
	"documents",
	{
		name: z.string(),
		content: z.string().optional(),
		year: z.int().min(1900).optional(),
		state: z.enum(["draft", "done"]).default("draft"),
		score: z.number().optional(),
		at: z.date().optional(),
		size: z.bigint().optional(),
		data: z.record(z.string(), z.unknown()).optional(),
		labels: z.array(z.string()).optional(),
	},
	{ entityKeyField: "name" },
);

const inDefault: RowScope = { defaultTenant: "default" };

const validate = (rows: readonly unknown[], scope = inDefault) =>
	validateRows(Document, rows, scope);

const validateOne = (row: object, scope = inDefault) =>
	validate([{ name: "a", ...row }], scope)[0] as ValidRow;

function failure(work: () => unknown): RemError {
	try {
		work();
	} catch (error) {
		if (error instanceof RemError) return error;
		throw error;
	}
	throw new Error("nothing was thrown");
}

const failureOf = (row: object, scope = inDefault) =>
	failure(() => validateOne(row, scope));

/** A list in a list in a list …, so many levels of it. */
function nested(levels: number): unknown {
	let value: unknown = 1;
	for (let level = 0; level < levels; level++) value = [value];
	return value;
}

describe("a valid row", () => {
	test("has its tenant, user, key, and the given values apart from defaults", () => {
		expect(validateOne({ year: 1999, tags: ["t"] })).toEqual({
			index: 0,
			id: undefined,
			tenantId: "default",
			userId: null,
			hasUserId: false,
			key: "a",
			supplied: { name: "a", year: 1999, tags: ["t"] },
			defaults: { state: "draft" },
			unwritable: [],
			vectors: {},
		});
	});

	test("distinguishes null from absent and from undefined", () => {
		const row = validateOne({ content: null, year: undefined, state: "done" });
		expect(row.supplied).toEqual({ name: "a", content: null, state: "done" });
		expect(row.defaults).toEqual({});
	});

	test("brings its id in lower case", () => {
		const id = "0123ABCD-0000-0000-0000-0000000000FF";
		expect(validateOne({ id }).id).toBe(id.toLowerCase());
	});

	test("brings a ready vector", () => {
		const vectors = { content: Float32Array.of(1, 2) };
		const row = validateOne({ content: "x", vectors });
		expect(row.vectors).toEqual(vectors);
		expect(row.supplied).not.toHaveProperty("vectors");
	});

	test("may be one that was read", () => {
		const read = {
			id: "00000000-0000-0000-0000-000000000001",
			tenantId: "acme",
			userId: null,
			graphEdges: [],
			metadata: {},
			tags: [],
			createdAt: new Date(),
			updatedAt: new Date(),
			deletedAt: null,
			content: null,
			year: null,
			state: "done",
			score: null,
			at: null,
			size: null,
			data: null,
			labels: null,
		};
		expect(validateOne(read, { ...inDefault, tenantId: "acme" })).toMatchObject(
			{ id: read.id, tenantId: "acme", userId: null },
		);
	});

	test("has what zod makes of it", () => {
		const Trimmed = defineEntity(
			"trimmed",
			{ name: z.string().trim().toLowerCase() },
			{ entityKeyField: "name" },
		);
		const [row] = validateRows(Trimmed, [{ name: "  Ab " }], inDefault);
		expect(row).toMatchObject({ key: "ab", supplied: { name: "ab" } });
	});
});

describe("bad rows", () => {
	test("are all named, each with its index and field", () => {
		const error = failure(() =>
			validate([
				{ name: "good" },
				{ name: 1, year: "x" },
				null,
				{ content: "no name" },
				{ name: "good too", score: "x" },
			]),
		);
		expect(error.code).toBe("VALIDATION");
		expect(error.issues.map(({ index, field }) => [index, field])).toEqual([
			[1, "name"],
			[1, "year"],
			[2, undefined],
			[3, "name"],
			[4, "score"],
		]);
		expect(error.message).toContain('invalid entities for "documents"');
		expect(error.message).toContain("entity 1, name: ");
		expect(error.message).toContain("entity 2: expected an object");
		expect(error.hint).toContain("nothing was written");
	});

	test("beyond ten are counted in the message and listed in the issues", () => {
		const rows = Array.from({ length: 25 }, () => ({ name: 1 }));
		const error = failure(() => validate(rows));
		expect(error.message).toMatch(/entity 9, .*; and 15 more$/);
		expect(error.message).not.toContain("entity 10,");
		expect(error.issues).toHaveLength(25);
	});

	test("of a later chunk are counted from the beginning of the input", () => {
		const error = failure(() =>
			validateRows(Document, [{}], { ...inDefault, firstIndex: 500 }),
		);
		expect(error.issues[0]?.index).toBe(500);
	});

	test("are reported without their content", () => {
		const error = failure(() =>
			validate([
				{ name: "canary", year: "canary" },
				{ name: "n", state: "canary", labels: "canary", data: "canary" },
				{ name: "canary\0" },
			]),
		);
		expect(JSON.stringify(error)).not.toContain("canary");
	});

	test.each([[[]], ["text"], [1], [undefined], [new Date()]])(
		"%o is no row",
		(row) => {
			expect(failure(() => validate([row])).code).toBe("VALIDATION");
		},
	);
});

describe("the code is", () => {
	test("UNKNOWN_FIELD for fields that the model has not, with the nearest", () => {
		const error = failureOf({ yeear: 1999 });
		expect(error.code).toBe("UNKNOWN_FIELD");
		expect(error.issues).toEqual([
			{
				index: 0,
				field: "yeear",
				message: 'unknown field, did you mean "year"?',
			},
		]);
	});

	test("UNKNOWN_FIELD for a column's name", () => {
		expect(failureOf({ graph_edges: [] }).code).toBe("UNKNOWN_FIELD");
	});

	test("TENANT_MISMATCH for a row of another tenant than the call's", () => {
		const scope = { ...inDefault, tenantId: "acme" };
		expect(failureOf({ tenantId: "other" }, scope).code).toBe(
			"TENANT_MISMATCH",
		);
		expect(validateOne({ tenantId: "acme" }, scope).tenantId).toBe("acme");
	});

	test("TENANT_REQUIRED if none is named", () => {
		expect(failureOf({}, { defaultTenant: null }).code).toBe("TENANT_REQUIRED");
		expect(
			validateOne({ tenantId: "acme" }, { defaultTenant: null }).tenantId,
		).toBe("acme");
		expect(
			validateOne({}, { defaultTenant: null, tenantId: "acme" }).tenantId,
		).toBe("acme");
	});

	test("INPUT_LIMIT for what is too much", () => {
		expect(failureOf({ name: "k".repeat(256) }).code).toBe("INPUT_LIMIT");
		expect(failureOf({ metadata: { a: nested(100) } }).code).toBe(
			"INPUT_LIMIT",
		);
	});

	test("VALIDATION for several kinds together", () => {
		expect(failureOf({ name: "k".repeat(256), yaer: 1 }).code).toBe(
			"UNKNOWN_FIELD", // what the model refuses comes before what storage does
		);
		expect(
			failure(() => validate([{ name: "k".repeat(256) }, { name: 1 }])).code,
		).toBe("VALIDATION");
		expect(failureOf({ yaer: 1, year: "x" }).code).toBe("VALIDATION");
	});
});

describe("a key", () => {
	test("has at most 255 characters, not UTF-16 units or bytes", () => {
		expect(validateOne({ name: "🙂".repeat(255) }).key).toBe("🙂".repeat(255));
		expect(failureOf({ name: "🙂".repeat(256) }).issues).toEqual([
			{
				index: 0,
				field: "name",
				message: "key has 256 characters, at most 255 are allowed",
			},
		]);
	});

	test("is not empty", () => {
		expect(failureOf({ name: "" })).toMatchObject({
			code: "VALIDATION",
			issues: [{ index: 0, field: "name", message: "key is empty" }],
		});
	});

	test("of several fields is joined with #, and measured whole", () => {
		const Chunk = defineEntity(
			"chunks",
			{ uri: z.string(), ordinal: z.int().optional() },
			{ entityKeyField: ["uri", "ordinal"] },
		);
		const keysOf = (row: object) =>
			validateRows(Chunk, [row], inDefault).map(({ key }) => key);
		expect(keysOf({ uri: "a", ordinal: 2 })).toEqual(["a#2"]);
		expect(keysOf({ uri: "a" })).toEqual([null]);
		expect(keysOf({ uri: "u".repeat(253), ordinal: 2 })[0]).toHaveLength(255);
		const error = failure(() => keysOf({ uri: "u".repeat(254), ordinal: 2 }));
		expect(error.code).toBe("INPUT_LIMIT");
	});
});

describe("what PostgreSQL cannot store", () => {
	test.each<[string, object, string, string]>([
		["NUL in a key", { name: "a\0" }, "name", "contains a NUL character"],
		[
			"NUL in a text",
			{ content: "a\0" },
			"content",
			"contains a NUL character",
		],
		["NUL in a list", { labels: ["\0"] }, "labels", "contains a NUL character"],
		["NUL in tags", { tags: ["\0"] }, "tags", "contains a NUL character"],
		[
			"NUL in JSON",
			{ data: { a: ["\0"] } },
			"data",
			"contains a NUL character",
		],
		[
			"NUL in a key of JSON",
			{ metadata: { "\0": 1 } },
			"metadata",
			"contains a NUL character",
		],
		[
			"NUL in an edge",
			{ graphEdges: [{ dst: "a\0", rel_type: "x" }] },
			"graphEdges",
			"contains a NUL character",
		],
		[
			"a lone surrogate",
			{ content: "\ud83d" },
			"content",
			"contains a lone surrogate",
		],
		[
			"a lone surrogate in JSON",
			{ metadata: { a: "\ude42" } },
			"metadata",
			"contains a lone surrogate",
		],
		[
			"NaN in JSON",
			{ metadata: { a: Number.NaN } },
			"metadata",
			"is not a finite number",
		],
		[
			"a bigint in JSON",
			{ metadata: { a: 1n } },
			"metadata",
			"contains a bigint, which JSON does not have: use a JsonNumber",
		],
		[
			"a bigint too large",
			{ size: 2n ** 63n },
			"size",
			"does not fit into 64 bits",
		],
		[
			"a Map in JSON",
			{ data: { a: new Map() } },
			"data",
			"contains a Map, which JSON has not",
		],
	])("%s is refused", (_, row, field, message) => {
		expect(failureOf(row)).toMatchObject({
			code: "VALIDATION",
			issues: [{ index: 0, field, message }],
		});
	});

	test.each<[string, object, string]>([
		["a whole number that is not exact", { year: 2 ** 53 }, "year"],
		["an invalid date", { at: new Date("x") }, "at"],
		["an invalid creation date", { createdAt: new Date("x") }, "createdAt"],
		["a date as text", { at: "2020-01-01" }, "at"],
		["a date of deletion", { deletedAt: new Date() }, "deletedAt"],
		["an id that is no UUID", { id: "1" }, "id"],
		["a tag that is no text", { tags: [1] }, "tags.0"],
		[
			"an edge without target",
			{ graphEdges: [{ rel_type: "x" }] },
			"graphEdges.0.dst",
		],
		[
			"an edge that is too heavy",
			{ graphEdges: [{ dst: "a", rel_type: "x", weight: 2 }] },
			"graphEdges.0.weight",
		],
		["a list as metadata", { metadata: [] }, "metadata"],
		["null for tags", { tags: null }, "tags"],
		["null for what must be there", { name: null }, "name"],
		["null for what has a default", { state: null }, "state"],
		[
			"a vector of another type",
			{ vectors: { content: [1, 2] } },
			"vectors.content",
		],
		[
			"a vector of a field without one",
			{ vectors: { name: new Float32Array(1) } },
			"vectors",
		],
	])("%s is refused by its field", (_, row, field) => {
		expect(failureOf(row)).toMatchObject({
			code: "VALIDATION",
			issues: [{ index: 0, field }],
		});
	});

	test.each([Number.NaN, Number.POSITIVE_INFINITY])(
		"%s is left to the comparison with what is stored",
		(score) => {
			expect(validateOne({ score }).unwritable).toEqual(["score"]);
		},
	);

	test("a date before 4713 BC is refused", () => {
		expect(failureOf({ at: new Date(-8.64e15) }).code).toBe("VALIDATION");
	});

	test("but lists of bigints can be stored", () => {
		const Sized = defineEntity(
			"sized",
			{ sizes: z.array(z.bigint()) },
			{ entityKeyField: null },
		);
		expect(
			validateRows(Sized, [{ sizes: [1n, 2n ** 63n - 1n] }], inDefault),
		).toHaveLength(1);
	});

	test("JSON has at most 100 levels", () => {
		expect(
			validateOne({ metadata: { a: nested(99) } }).supplied,
		).toHaveProperty("metadata");
		expect(failureOf({ metadata: { a: nested(100) } })).toMatchObject({
			code: "INPUT_LIMIT",
			issues: [
				{ field: "metadata", message: "is nested deeper than 100 levels" },
			],
		});
		expect(failureOf({ data: { a: nested(100_000) } }).code).toBe(
			"INPUT_LIMIT",
		);
	});

	test("z.json() of 20,000 levels is over the limit, not over the stack", () => {
		const Any = defineEntity(
			"anything",
			{ data: z.json() },
			{ entityKeyField: null },
		);
		const error = failure(() =>
			validateRows(Any, [{ data: nested(20_000) }], inDefault),
		);
		expect(error.code).toBe("INPUT_LIMIT");
	});
});

describe("keys that JavaScript has a meaning for", () => {
	const hostile =
		'{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}';

	test("pollute nothing", () => {
		validateOne({
			metadata: JSON.parse(hostile),
			graphEdges: [
				{ dst: "a", rel_type: "x", properties: JSON.parse(hostile) },
			],
		});
		expect({}).not.toHaveProperty("polluted");
	});

	test("survive as data in metadata and edges, which are stored as given", () => {
		const { supplied } = validateOne({ metadata: JSON.parse(hostile) });
		expect(JSON.stringify(supplied.metadata)).toBe(hostile);
	});

	test("are refused in a record of the model, where zod would leave one out", () => {
		expect(failureOf({ data: JSON.parse(hostile) })).toMatchObject({
			code: "VALIDATION",
			issues: [{ field: "data", message: 'has a key "__proto__"' }],
		});
	});

	test("are no fields", () => {
		const row = JSON.parse('{"name":"a","__proto__":{"year":1}}');
		expect(failure(() => validate([row])).code).toBe("UNKNOWN_FIELD");
		expect(failureOf({ constructor: 1 }).code).toBe("UNKNOWN_FIELD");
	});

	test("may be fields of a model, absent or given", () => {
		const Odd = defineEntity(
			"odd",
			{ constructor: z.string().optional(), valueOf: z.string().optional() },
			{ entityKeyField: null },
		);
		if (Odd.problems.length > 0) return; // refusing them is fine as well
		const [row] = validateRows(Odd, [{ valueOf: "x" }], inDefault);
		expect(row?.supplied).toEqual({ valueOf: "x" });
	});
});

describe("tenant and user", () => {
	test.each(["", "*", "t".repeat(101), "a\0", "\ud83d"])(
		"of a row may not be %j",
		(name) => {
			expect(failureOf({ tenantId: name }).code).toBe("VALIDATION");
			expect(failureOf({ userId: name }).code).toBe("VALIDATION");
		},
	);

	test.each(["", "*", "t".repeat(101), "a\0", "\ud83d"])(
		"of the call may not be %j",
		(name) => {
			expect(failureOf({}, { ...inDefault, tenantId: name }).code).toBe(
				"VALIDATION",
			);
		},
	);

	test.each(["", "u".repeat(101), "a\0", "\ud83d"])(
		"of the call may not be user %j",
		(name) => {
			expect(failureOf({}, { ...inDefault, userId: name }).code).toBe(
				"VALIDATION",
			);
		},
	);

	test("of the row go before the call's user", () => {
		const scope = { ...inDefault, userId: "call" };
		expect(validateOne({}, scope)).toMatchObject({
			userId: "call",
			hasUserId: true,
		});
		expect(validateOne({ userId: "row" }, scope).userId).toBe("row");
		expect(validateOne({}, { ...inDefault, userId: null })).toMatchObject({
			userId: null,
			hasUserId: true,
		});
		expect(validateOne({ userId: null })).toMatchObject({
			userId: null,
			hasUserId: true,
		});
	});

	test("null in the row means shared, whatever the call's user", () => {
		expect(
			validateOne({ userId: null }, { ...inDefault, userId: "call" }).userId,
		).toBeNull();
	});

	test("of an entity without tenants: none may be named, all is under *", () => {
		const Shared = defineEntity(
			"shared",
			{ name: z.string() },
			{ entityKeyField: "name", tenantScoped: false },
		);
		const [row] = validateRows(Shared, [{ name: "a" }], inDefault);
		expect(row?.tenantId).toBe("*");
		expect(
			failure(() =>
				validateRows(Shared, [{ name: "a", tenantId: "acme" }], inDefault),
			).code,
		).toBe("UNKNOWN_FIELD");
	});
});

describe("models that need care", () => {
	test("an asynchronous check is refused with a word about it", () => {
		const Slow = defineEntity(
			"slow",
			{ name: z.string().refine(async () => true) },
			{ entityKeyField: "name" },
		);
		const error = failure(() => validateRows(Slow, [{ name: "a" }], inDefault));
		expect(error.code).toBe("VALIDATION");
		expect(error.message).toContain("asynchronous");
	});

	test("a transform that throws is a bad row", () => {
		const Throwing = defineEntity(
			"throwing",
			{
				name: z
					.string()
					.transform((text) => new URL(text).href)
					.pipe(z.string()),
			},
			{ entityKeyField: "name" },
		);
		const error = failure(() =>
			validateRows(Throwing, [{ name: "not a url" }], inDefault),
		);
		expect(error).toMatchObject({ code: "VALIDATION", issues: [{ index: 0 }] });
	});

	test("defaults are made again for each row", () => {
		let count = 0;
		const Counted = defineEntity(
			"counted",
			{ name: z.string(), n: z.int().default(() => ++count) },
			{ entityKeyField: "name" },
		);
		const rows = validateRows(
			Counted,
			[{ name: "a" }, { name: "b" }],
			inDefault,
		);
		const [a, b] = rows.map(({ defaults }) => defaults.n);
		expect(a).not.toBe(b);
	});
});

test("an invalid date is named as such, not as another type", () => {
	const at = new Date("next week");
	expect(failure(() => validateOne({ at })).message).toContain(
		"at: is not a valid date",
	);
	expect(failure(() => validateOne({ at: "2026-03-01" })).message).toContain(
		"at: invalid input: expected date, received string",
	);
});
