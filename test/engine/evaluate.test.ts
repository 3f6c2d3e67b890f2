import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import {
	defineEntity,
	type Evaluation,
	type EvaluationMode,
	type JudgedQuery,
	Resource,
} from "../../src/index.ts";
import { ndcgAt } from "../../src/util/ranking-metrics.ts";
import { evaluationModes } from "../../src/verbs/evaluation-modes.ts";
import { codeOf, useService } from "../support/engine.ts";

const Page = defineEntity(
	"pages",
	{ site: z.string(), number: z.number().int(), content: z.string() },
	{ entityKeyField: ["site", "number"] },
);
const Remark = defineEntity("remarks", { content: z.string() });
const Plain = defineEntity(
	"plain",
	{ name: z.string(), content: z.string().meta({ embed: false }) },
	{ entityKeyField: "name" },
);

const db = useService({
	models: [Resource, Page, Remark, Plain],
	backgroundIndex: { enabled: false },
});

const tableName = "resources";
const tenantId = "collection";

const sample = <T>(name: string): T[] =>
	readFileSync(`samples/retrieval/${name}.jsonl`, "utf8")
		.trim()
		.split("\n")
		.map((line) => JSON.parse(line) as T);
const notes = sample<{ name: string; content: string }>("notes");
const queries = sample<JudgedQuery>("queries");

beforeAll(async () => {
	await db.service.batchUpsert({ tableName, entities: notes, tenantId });
});

const evaluate = (given: Partial<Parameters<typeof call>[0]> = {}) =>
	call({ tableName, queries, tenantId, ...given });
const call = (options: Parameters<typeof db.service.evaluate>[0]) =>
	db.service.evaluate(options);

test("the sample has notes in two languages, and queries whose keys exist", () => {
	const names = new Set(notes.map(({ name }) => name));
	const cjk = /\p{Script=Han}/u;
	expect(notes.filter(({ name }) => cjk.test(name)).length).toBeGreaterThan(25);
	expect(notes.filter(({ name }) => !cjk.test(name)).length).toBeGreaterThan(
		50,
	);
	for (const { relevant } of queries)
		for (const key of Array.isArray(relevant) ? relevant : keysOf(relevant))
			expect(names, key).toContain(key);
});

const keysOf = (relevant: object) => Object.keys(relevant);

describe("the collection of the samples", () => {
	let evaluation: Evaluation;
	beforeAll(async () => {
		evaluation = await evaluate();
	});

	test("gives figures for every mode", () => {
		expect(evaluation).toMatchObject({
			tableName,
			k: 10,
			queries: queries.length,
			excludedQueries: 0,
			unknownKeys: [],
			unknownKeyCount: 0,
		});
		expect(Object.keys(evaluation.modes)).toEqual(evaluationModes);
		for (const quality of Object.values(evaluation.modes)) {
			const { ndcg, recall, mrr, p50Ms, p95Ms } = quality;
			for (const figure of [ndcg, recall, mrr]) {
				expect(figure).toBeGreaterThan(0.3);
				expect(figure).toBeLessThanOrEqual(1);
			}
			expect(p50Ms).toBeGreaterThan(0);
			expect(p95Ms).toBeGreaterThanOrEqual(p50Ms);
		}
	});

	test("gives the same figures again", async () => {
		const figures = ({ modes }: Evaluation) =>
			Object.values(modes).map(({ ndcg, recall, mrr }) => [ndcg, recall, mrr]);
		expect(figures(await evaluate())).toEqual(figures(evaluation));
	});

	test("agrees with the searches themselves", async () => {
		const ids = await idsByName();
		const gainsOf = ({ relevant }: JudgedQuery) =>
			new Map(
				Object.entries(
					Array.isArray(relevant)
						? Object.fromEntries(relevant.map((key) => [key, 1]))
						: relevant,
				).map(([key, gain]) => [ids.get(key) as string, gain as number]),
			);
		const found: Record<EvaluationMode, number> = {
			vector: 0,
			text: 0,
			hybrid: 0,
			recall: 0,
		};
		for (const judged of queries) {
			const { query } = judged;
			const gains = gainsOf(judged);
			const add = (mode: EvaluationMode, rows: readonly { id: string }[]) => {
				const ranked = rows.map(({ id }) => id);
				found[mode] += ndcgAt(10, ranked, gains) / queries.length;
			};
			const common = { tableName, tenantId } as const;
			add(
				"vector",
				await db.service.vectorSearch({ ...common, queryText: query }),
			);
			add("hybrid", await db.service.hybridSearch({ ...common, query }));
			const { items } = await db.service.recall({
				query,
				tenantId,
				tables: [tableName],
				maxTokens: 100_000,
			});
			add(
				"recall",
				items.map(({ entityId }) => ({ id: entityId })),
			);
			const all = await db.service.hybridSearch({
				...common,
				query,
				limit: 1000,
			});
			add(
				"text",
				all
					.filter(({ ranks }) => ranks.text !== undefined && ranks.text <= 10)
					.toSorted((a, b) => Number(a.ranks.text) - Number(b.ranks.text)),
			);
		}
		for (const mode of evaluationModes)
			expect(evaluation.modes[mode]?.ndcg, mode).toBeCloseTo(found[mode], 10);
	});
});

async function idsByName(): Promise<Map<string, string>> {
	const rows = await db.service.repository(Resource).find({ tenantId });
	return new Map(rows.map(({ name, id }) => [String(name), id]));
}

test("keys of no row are counted and named, and queries without any row left out", async () => {
	const evaluation = await evaluate({
		modes: ["vector"],
		queries: [
			{ query: "calibrate a probe", relevant: ["howto-calibrate-probe", "x"] },
			{ query: "nothing answers this", relevant: ["x", "y"] },
			{ query: "nothing at all", relevant: [] },
			{ query: "judged irrelevant", relevant: { "project-tarn": 0 } },
		],
	});
	expect(evaluation).toMatchObject({
		queries: 1,
		excludedQueries: 3,
		unknownKeys: ["x", "y"],
		unknownKeyCount: 2,
		modes: { vector: { recall: 1 } },
	});
});

test("of many unknown keys the first hundred are named", async () => {
	const relevant = Array.from({ length: 9_000 }, (_, at) => `no row ${at}`);
	const evaluation = await evaluate({ queries: [{ query: "a", relevant }] });
	expect(evaluation.unknownKeys).toEqual(relevant.slice(0, 100));
	expect(evaluation).toMatchObject({
		unknownKeyCount: 9_000,
		queries: 0,
		modes: { hybrid: { ndcg: 0, recall: 0, mrr: 0, p50Ms: 0, p95Ms: 0 } },
	});
});

test("an id is as good as a key, also in capitals, and both of them are one row", async () => {
	const id = (await idsByName()).get("project-tarn") as string;
	const query = "cheap water level gauge for small streams";
	const of = async (relevant: JudgedQuery["relevant"]) =>
		evaluate({ modes: ["hybrid"], queries: [{ query, relevant }] });
	const byKey = await of(["project-tarn"]);
	expect(byKey.modes.hybrid).toMatchObject({ ndcg: 1, recall: 1, mrr: 1 });
	for (const relevant of [
		[id],
		[id.toUpperCase()],
		["project-tarn", id],
		{ "project-tarn": 1, [id]: 3 },
	]) {
		const { modes, unknownKeyCount } = await of(relevant);
		expect(modes.hybrid).toMatchObject({ ndcg: 1, recall: 1, mrr: 1 });
		expect(unknownKeyCount).toBe(0);
	}
});

test("gains are graded", async () => {
	const query = "storm drains in Visby";
	const of = async (relevant: JudgedQuery["relevant"]) => {
		const { modes } = await evaluate({
			modes: ["hybrid"],
			queries: [{ query, relevant }],
		});
		return modes.hybrid?.ndcg ?? 0;
	};
	const [first, second] = await db.service.hybridSearch({
		tableName,
		query,
		tenantId,
	});
	const [a, b] = [String(first?.name), String(second?.name)];
	expect(await of({ [a]: 3, [b]: 1 })).toBe(1);
	// (1 + 3 / log2(3)) / (3 + 1 / log2(3))
	expect(await of({ [a]: 1, [b]: 3 })).toBeCloseTo(0.796708, 6);
});

test("k is the number of results that count", async () => {
	const of = async (k: number) =>
		(await evaluate({ k, modes: ["text"] })).modes.text?.recall ?? 0;
	const [one, ten, all] = [await of(1), await of(10), await of(1000)];
	expect(one).toBeLessThan(ten);
	expect(ten).toBeLessThanOrEqual(all);
});

test("a table without keys takes ids, one with several fields the joined key", async () => {
	const content = "The heating of the greenhouse is checked in October.";
	const { ids } = await db.service.batchUpsert({
		tableName: "remarks",
		entities: [{ content }, { content: "Bread rises overnight." }],
		tenantId,
	});
	await db.service.batchUpsert({
		tableName: "pages",
		entities: [{ site: "garden", number: 7, content }],
		tenantId,
	});
	const query = "heating of the greenhouse";
	const of = (tableName: "remarks" | "pages", relevant: readonly string[]) =>
		db.service.evaluate({
			tableName,
			tenantId,
			modes: ["vector"],
			queries: [{ query, relevant }],
		});
	expect(await of("remarks", [ids[0] as string, "garden#7"])).toMatchObject({
		modes: { vector: { ndcg: 1 } },
		unknownKeys: ["garden#7"],
	});
	expect(await of("pages", ["garden#7", ids[0] as string])).toMatchObject({
		modes: { vector: { ndcg: 1 } },
		unknownKeys: ids.slice(0, 1),
	});
});

test("rows of other tenants and users, and deleted ones, are no rows", async () => {
	const owners = [
		{ tenantId: "t1", userId: "u1" },
		{ tenantId: "t1", userId: "u2" },
		{ tenantId: "t2", userId: null },
	] as const;
	const ids: string[] = [];
	for (const [at, owner] of owners.entries()) {
		const entities = [{ name: `owned ${at}`, content: "The garden gate." }];
		const result = await db.service.batchUpsert({
			tableName,
			entities,
			...owner,
		});
		ids.push(...result.ids);
	}
	const of = async (scope: { tenantId: string; userId?: string | null }) =>
		(
			await db.service.evaluate({
				tableName,
				modes: ["vector"],
				queries: [
					{
						query: "garden gate",
						relevant: [...ids, "owned 0", "owned 1", "owned 2"],
					},
				],
				...scope,
			})
		).unknownKeyCount;
	expect(await of({ tenantId: "t1" })).toBe(2);
	expect(await of({ tenantId: "t1", userId: "u1" })).toBe(4);
	expect(await of({ tenantId: "t1", userId: null })).toBe(6);
	const scope = db.service.scope({ tenantId: "t2" });
	const scoped = await scope.evaluate({
		tableName,
		modes: ["hybrid"],
		queries: [{ query: "garden gate", relevant: ["owned 1", "owned 2"] }],
	});
	expect(scoped).toMatchObject({
		unknownKeys: ["owned 1"],
		modes: { hybrid: { ndcg: 1 } },
	});
	await db.service.repository(Resource).delete(ids[2] as string, "t2");
	expect(await of({ tenantId: "t2" })).toBe(6);
	expect(
		await codeOf(
			scope.evaluate({ tableName, queries, tenantId: "t1" } as never),
		),
	).toBe("TENANT_MISMATCH");
});

test("inside a transaction its rows count", async () => {
	await db.service.transaction(async (tx) => {
		await db.service.batchUpsert({
			tableName,
			tenantId: "tx",
			entities: [{ name: "within", content: "Written a moment ago." }],
			transaction: tx,
		});
		const evaluation = await db.service.evaluate({
			tableName,
			tenantId: "tx",
			queries: [{ query: "a moment ago", relevant: ["within"] }],
			transaction: tx,
		});
		expect(evaluation.modes.hybrid?.ndcg).toBe(1);
	});
});

test("progress is reported for every query, and its error stops the call", async () => {
	const steps: unknown[] = [];
	const options = { queries: queries.slice(0, 3), modes: ["vector"] } as const;
	await evaluate({ ...options, onProgress: (step) => steps.push(step) });
	expect(steps).toEqual([0, 1, 2, 3].map((done) => ({ done, total: 3 })));
	const failing = () => {
		throw new Error("enough");
	};
	expect(await codeOf(evaluate({ ...options, onProgress: failing }))).toBe(
		"CANCELLED",
	);
});

describe("a signal stops it", () => {
	const stopped = {
		code: "CANCELLED",
		message: "the evaluation was stopped",
		hint: "nothing was changed: run it again",
	};

	test("before the next search", async () => {
		const controller = new AbortController();
		let done = 0;
		const running = evaluate({
			signal: controller.signal,
			onProgress: (step) => {
				done = step.done;
				if (done === 2) controller.abort();
			},
		});
		await expect(running).rejects.toMatchObject(stopped);
		expect(done).toBe(2);
	});

	test("before the first", async () => {
		const running = evaluate({ signal: AbortSignal.abort() });
		await expect(running).rejects.toMatchObject(stopped);
	});

	test.each(evaluationModes)("during a search of mode %s", async (mode) => {
		const controller = new AbortController();
		const running = evaluate({
			modes: [mode],
			signal: controller.signal,
			onProgress: ({ done }) => {
				// The next query's search has begun when this timer fires.
				if (done === 1) setTimeout(() => controller.abort(), 1);
			},
		});
		await expect(running).rejects.toMatchObject(stopped);
	});
});

test("the longest query and the most keys are answered", async () => {
	const query = "水位計 gauge ".repeat(8_000).slice(0, 65_536);
	const evaluation = await evaluate({
		queries: [{ query, relevant: ["project-tarn"] }],
	});
	expect(evaluation.queries).toBe(1);
});

const good = { query: "a", relevant: ["b"] };

test.each<[what: string, given: object, message: RegExp]>([
	["no queries", { queries: [] }, /queries is empty: give at least one/],
	["a query twice", { queries: [good, good] }, /\[1\] has the query of \[0\]/],
	["a blank query", { queries: [{ ...good, query: " " }] }, /query is blank/],
	[
		"a long query",
		{ queries: [{ ...good, query: "x".repeat(65_537) }] },
		/65537 characters, at most 65536/,
	],
	[
		"a key twice",
		{ queries: [{ query: "a", relevant: ["b", "b"] }] },
		/queries\[0\]\.relevant\[1\] is there twice/,
	],
	[
		"a number as a key",
		{ queries: [{ query: "a", relevant: [1] }] },
		/relevant\[0\] must be a key or an id, not a number/,
	],
	[
		"a text as the keys",
		{ queries: [{ query: "a", relevant: "b" }] },
		/relevant must be an array of keys/,
	],
	[
		"a negative gain",
		{ queries: [{ query: "a", relevant: { b: -1 } }] },
		/a number from 0 to 1000/,
	],
	[
		"NUL in a key",
		{ queries: [{ query: "a", relevant: ["b\0"] }] },
		/contains a NUL character/,
	],
	[
		"a misspelt property",
		{ queries: [{ query: "a", relevent: ["b"] }] },
		/unknown option "relevent", did you mean "relevant"\?/,
	],
	["no keys", { queries: [{ query: "a" }] }, /queries\[0\]\.relevant must be/],
	["an unknown mode", { modes: ["vektor"] }, /modes\[0\] must be one of "vec/],
	["no mode", { modes: [] }, /modes is empty: leave it out, or name any of/],
	["k 0", { k: 0 }, /k must be a whole number from 1 to 1000, not 0/],
	["k 1001", { k: 1001 }, /from 1 to 1000, not 1001/],
	["half a k", { k: 1.5 }, /not 1.5/],
	[
		"too many queries",
		{ queries: Array.from({ length: 10_001 }, () => good) },
		/10001 queries, at most 10000/,
	],
])("%s is refused", async (_, given, message) => {
	await expect(evaluate(given)).rejects.toMatchObject({
		code: "VALIDATION",
		message: expect.stringMatching(message),
	});
});

test("unknown and unsearchable tables are named, before any search", async () => {
	const of = (tableName: string) =>
		evaluate({ tableName: tableName as "resources" });
	expect(await codeOf(of("resorces"))).toBe("UNKNOWN_ENTITY");
	expect(await codeOf(of("plain"))).toBe("FIELD_NOT_EMBEDDED");
	expect(await codeOf(evaluate({ language: "klingon" }))).toBe("VALIDATION");
});

test("without a table it is the default one of a search", async () => {
	const { tableName: found } = await db.service.evaluate({
		queries: queries.slice(0, 1),
		tenantId,
	});
	expect(found).toBe("resources");
});
