import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type NewRow, type Where } from "../../src/index.ts";
import { useService } from "../support/engine.ts";

// Random filters on random rows, compared with a filter written in JavaScript.
const runs = Number(process.env.REM_TEST_RUNS ?? 150);

const Thing = defineEntity(
	"things",
	{
		name: z.string(),
		content: z.string().default("x"),
		year: z.int().optional(),
		genre: z.string().optional(),
		cast: z.array(z.string()).optional(),
		data: z.record(z.string(), z.unknown()).optional(),
	},
	{ entityKeyField: "name" },
);

const db = useService({
	models: [Thing],
	embedding: { provider: "local", dimensions: 8 },
});
const tenantId = "oracle";

const year = fc.integer({ min: 1, max: 4 });
const text = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 2 });
const leaf = fc.oneof(year, text, fc.boolean(), fc.constant(null));
const data = fc.record(
	{
		a: fc.oneof(
			leaf,
			fc.array(leaf, { maxLength: 2 }),
			fc.record({ b: leaf, "0": leaf }, { requiredKeys: [] }),
		),
		c: leaf,
	},
	{ requiredKeys: [] },
);
const thing = fc.record(
	{ year, genre: text, cast: fc.array(text, { maxLength: 2 }), data },
	{ requiredKeys: [] },
);

type Thing = Record<string, unknown>;
const things: Thing[] = fc
	.sample(thing, { numRuns: 60, seed: 6 })
	.map((row, at) => ({ ...row, name: `${at}` }));

beforeAll(() =>
	db.service.batchUpsert({
		tableName: "things",
		entities: things as NewRow<typeof Thing>[],
		tenantId,
	}),
);

const path = fc.constantFrom(["a"], ["a", "b"], ["a", 0], ["a", "0"], ["c"]);
const pattern = fc.string({
	unit: fc.constantFrom("a", "b", "%", "_"),
	maxLength: 3,
});
const one = (key: string, value: fc.Arbitrary<unknown>) =>
	fc.record({ [key]: value });
const comparisons = (value: fc.Arbitrary<unknown>) => [
	one("eq", value),
	one("ne", value),
	one("eq", fc.constant(null)),
	one("ne", fc.constant(null)),
	one("in", fc.array(value, { maxLength: 2 })),
	one("notIn", fc.array(value, { maxLength: 2 })),
	one("gt", value),
	one("gte", value),
	one("lt", value),
	one("lte", value),
];
const presence = [one("isNull", fc.boolean()), one("exists", fc.boolean())];
const patterns = [one("like", pattern), one("ilike", pattern)];
const lists = fc.array(text, { maxLength: 2 });
const atPath = fc
	.tuple(
		path,
		fc.oneof(
			...comparisons(fc.oneof(year, text)),
			...patterns,
			...presence,
			one("contains", fc.oneof(leaf, one("b", leaf), fc.array(leaf))),
		),
	)
	.map(([steps, operators]) => ({ path: steps, ...operators }));
const condition = fc.oneof(
	one("year", fc.oneof(year, ...comparisons(year), ...presence)),
	one("genre", fc.oneof(text, ...comparisons(text), ...patterns, ...presence)),
	one(
		"cast",
		fc.oneof(one("contains", lists), one("overlaps", lists), ...presence),
	),
	one("data", fc.oneof(atPath, one("contains", data), ...presence)),
);
const { filter } = fc.letrec((tie) => ({
	filter: fc.oneof(
		{ maxDepth: 4 },
		condition,
		fc.record({
			AND: fc.array(tie("filter"), { maxLength: 2 }),
		}),
		fc.record({ OR: fc.array(tie("filter"), { maxLength: 3 }) }),
		fc.record({
			NOT: fc.oneof(tie("filter"), fc.array(tie("filter"), { maxLength: 2 })),
		}),
		fc
			.tuple(condition, fc.array(tie("filter"), { maxLength: 2 }))
			.map(([own, OR]) => ({ ...own, OR })),
	),
}));

test(`${runs} random filters find what the same filter in JavaScript finds`, async () => {
	const repository = db.service.repository(Thing);
	await fc.assert(
		fc.asyncProperty(filter, async (where) => {
			const expected = things
				.filter((row) => holds(where as Thing, row) === true)
				.map(({ name }) => name)
				.sort();
			const own = { tenantId, AND: [where] } as Where<typeof Thing>;
			const found = await repository.find(own);
			expect(found.map(({ name }) => name).sort()).toEqual(expected);
			expect(await repository.count(own)).toBe(expected.length);
			const hits = await db.service.vectorSearch({
				tableName: "things",
				queryText: "x",
				tenantId,
				limit: 100,
				where: where as Where<typeof Thing>,
			});
			expect(hits.map(({ name }) => name).sort()).toEqual(expected);
		}),
		{ numRuns: runs, seed: 66 },
	);
});

/** True, false, or SQL's third answer. */
type Answer = boolean | null;

function holds(where: Thing, row: Thing): Answer {
	return every(
		Object.entries(where).map(([name, value]) => {
			const inner = () =>
				[value].flat().map((each) => holds(each as Thing, row));
			if (name === "AND") return every(inner());
			if (name === "OR") return some(inner());
			if (name === "NOT") return some(inner()) !== true;
			const column = row[name] ?? null;
			if (typeof value !== "object") return column === value;
			const { path: steps, ...operators } = value as Thing;
			return every(
				Object.entries(operators).map(([operator, operand]) =>
					steps === undefined
						? onColumn(operator, column, operand)
						: onJson(operator, valueAt(column, steps as Path), operand),
				),
			);
		}),
	);
}

function every(answers: Answer[]): Answer {
	if (answers.includes(false)) return false;
	return answers.includes(null) ? null : true;
}

function some(answers: Answer[]): Answer {
	if (answers.includes(true)) return true;
	return answers.includes(null) ? null : false;
}

function onColumn(operator: string, column: unknown, operand: unknown): Answer {
	if (operator === "eq") return column === operand;
	if (operator === "ne") return column !== operand;
	if (operator === "isNull") return (column === null) === operand;
	if (operator === "exists") return (column !== null) === operand;
	const list = operand as unknown[];
	if (operator === "in" && list.length === 0) return false;
	if (operator === "notIn" && list.length === 0) return true;
	if (column === null) return null;
	if (operator === "contains") return containsJson(column, operand);
	if (operator === "overlaps")
		return list.some((item) => (column as unknown[]).includes(item));
	return compare(operator, column, operand);
}

type Path = (string | number)[];
const nothing = Symbol("nothing there");

/** JSON's null is a value; nothing there is SQL's NULL. */
function valueAt(column: unknown, path: Path): unknown {
	let value: unknown = column === null ? nothing : column;
	for (const step of path) {
		const isThere =
			typeof value === "object" &&
			value !== null &&
			(Array.isArray(value)
				? /^\d+$/.test(String(step)) && Number(step) < value.length
				: Object.hasOwn(value, step));
		value = isThere ? (value as Thing)[step] : nothing;
	}
	return value;
}

function onJson(operator: string, value: unknown, operand: unknown): Answer {
	const isNull = value === nothing || value === null;
	if (operator === "isNull") return isNull === operand;
	if (operator === "exists") return (value !== nothing) === operand;
	if (operator === "eq" && operand === null) return isNull;
	if (operator === "ne" && operand === null) return !isNull;
	if (operator === "ne") return value !== operand;
	const list = operand as unknown[];
	if (operator === "in" && list.length === 0) return false;
	if (operator === "notIn" && list.length === 0) return true;
	if (value === nothing)
		return ["gt", "gte", "lt", "lte", "like", "ilike"].includes(operator)
			? false
			: null;
	if (operator === "eq") return value === operand;
	if (operator === "contains") return containsJson(value, operand);
	if (operator === "in" || operator === "notIn")
		return list.includes(value) === (operator === "in");
	const type = operator.endsWith("like") ? "string" : typeof operand;
	return typeof value === type && compare(operator, value, operand);
}

function compare(operator: string, value: unknown, operand: unknown): boolean {
	const [a, b] = [value, operand] as [number, number];
	switch (operator) {
		case "in":
			return (operand as unknown[]).includes(value);
		case "notIn":
			return !(operand as unknown[]).includes(value);
		case "gt":
			return a > b;
		case "gte":
			return a >= b;
		case "lt":
			return a < b;
		case "lte":
			return a <= b;
		default: {
			const regex = String(operand).replaceAll("%", ".*").replaceAll("_", ".");
			return new RegExp(`^${regex}$`).test(String(value));
		}
	}
}

/** PostgreSQL's `@>`, with its exception: an array contains a bare value at the top. */
function containsJson(value: unknown, part: unknown, top = true): boolean {
	if (Array.isArray(value) && Array.isArray(part))
		return part.every((item) =>
			value.some((own) => containsJson(own, item, false)),
		);
	if (Array.isArray(value))
		return top && typeof part !== "object" && value.includes(part)
			? true
			: top && part === null && value.includes(null);
	if (typeof value !== "object" || value === null) return value === part;
	if (typeof part !== "object" || part === null || Array.isArray(part))
		return false;
	return Object.entries(part).every(
		([key, item]) =>
			Object.hasOwn(value, key) &&
			containsJson((value as Thing)[key], item, false),
	);
}
