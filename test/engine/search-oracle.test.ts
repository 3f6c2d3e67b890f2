import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type NewRow, type Where } from "../../src/index.ts";
import { hnswIndex } from "../../src/schema/index-types/hnsw.ts";
import { createIndex } from "../../src/schema/indexes.ts";
import { wordsIndex } from "../../src/schema/word-indexes.ts";
import { toText } from "../../src/sql.ts";
import { coresOf, useService } from "../support/engine.ts";

// Random searches of random rows, compared with brute force in JavaScript.
const runs = Number(process.env.REM_TEST_RUNS ?? 100);

const Paper = defineEntity(
	"papers",
	{
		name: z.string(),
		content: z.string(),
		summary: z.string().optional(),
		year: z.int(),
	},
	{ entityKeyField: "name" },
);
const dimensions = 6;
const db = useService({
	models: [Paper],
	embedding: { provider: "local", dimensions },
	backgroundIndex: { enabled: false },
});
const space = { provider: "local", model: "lexical-v1", dimensions };

interface Paper {
	readonly id: string;
	readonly tenantId: string;
	readonly userId: string | null;
	readonly name: string;
	readonly content: string;
	readonly summary?: string | undefined;
	readonly year: number;
	readonly vectors: Readonly<Record<string, Float32Array>>;
}

// Few words and small whole numbers: much is equal, nearly equal and equally far.
const word = fc.constantFrom(
	"river",
	"rivers",
	"stone",
	"bird",
	"Mill's",
	"oak\\",
);
const phrase = fc.array(word, { minLength: 1, maxLength: 5 });
const text = phrase.map((words) => words.join(" "));
const vector = fc
	.array(fc.integer({ min: -2, max: 2 }), {
		minLength: dimensions,
		maxLength: dimensions,
	})
	.filter((values) => values.some((value) => value !== 0))
	.map((values) => Float32Array.from(values));
const user = fc.constantFrom("u1", "u2", null);
const sizes = { small: 3, middle: 40, large: 260 };
const paper = fc.record({
	userId: user,
	content: text,
	summary: fc.option(text, { nil: undefined }),
	year: fc.integer({ min: 1, max: 4 }),
	vectors: fc.record({ content: vector, summary: vector }),
});

let papers: Paper[];

beforeAll(async () => {
	papers = [];
	for (const [tenantId, size] of Object.entries(sizes)) {
		const rows = fc.sample(paper, { numRuns: size, seed: size });
		const entities = rows.map((row, at) => ({
			...row,
			name: `${row.content.slice(0, 12)} ${at}`,
			vectors: {
				content: row.vectors.content,
				...(row.summary === undefined ? {} : { summary: row.vectors.summary }),
			},
		}));
		const { ids } = await db.service.batchUpsert({
			tableName: "papers",
			entities: entities as NewRow<typeof Paper>[],
			tenantId,
			generateEmbeddings: false,
		});
		papers.push(
			...entities.map((row, at) => ({
				...row,
				id: ids[at] as string,
				tenantId,
			})),
		);
	}
	// Every fifth is deleted.
	const repository = db.service.repository(Paper);
	for (const { id, tenantId } of papers.filter((_, at) => at % 5 === 4))
		await repository.delete(id, tenantId);
	papers = papers.filter((_, at) => at % 5 !== 4);
});

async function buildIndexes(): Promise<void> {
	const options = { m: 8, efConstruction: 40 };
	for (const { registry, settings } of coresOf(db.service)) {
		const table = registry.get("papers");
		const indexes = [
			...Paper.embedFields.map((field) =>
				hnswIndex(table, field, space, options),
			),
			wordsIndex(table),
		];
		for (const index of indexes)
			await db.service.execute(toText(createIndex(settings.schema, index)));
	}
	await db.service.execute("ANALYZE");
	forgetStatistics();
}

function forgetStatistics(): void {
	for (const { vectorStatistics } of coresOf(db.service))
		vectorStatistics.forget();
}

const scope = {
	tenantId: fc.constantFrom(...Object.keys(sizes), "nobody"),
	userId: fc.constantFrom("u1", "u3", null, undefined),
};
const options = {
	limit: fc.constantFrom(1, 3, 10, 1000),
	where: fc.constantFrom(
		undefined,
		{ year: { gte: 3 } },
		{ OR: [{ year: 1 }, { content: { like: "%stone%" } }] },
		{ year: 99 },
	),
};
const request = fc.record({
	...scope,
	...options,
	fieldName: fc.constantFrom("content", "summary", undefined),
	minSimilarity: fc.constantFrom(undefined, undefined, 0, 0.55),
	queryEmbedding: vector,
});

describe.each(["exact", "auto", "approximate"] as const)(
	"SEARCH, mode %s",
	(mode) => {
		beforeAll(() => (mode === "exact" ? undefined : buildIndexes()));

		test(`${runs} random searches give what brute force gives`, async () => {
			let found = 0;
			let missed = 0;
			await fc.assert(
				fc.asyncProperty(request, async (asked) => {
					const expected = bruteForce(asked);
					const hits = await search(asked, mode);
					const near = new Map(expected.all.map((hit) => [hit.id, hit]));
					for (const hit of hits) {
						expect(hit.similarity).toBeCloseTo(
							near.get(hit.id)?.similarity ?? NaN,
							5,
						);
						expect(near.get(hit.id)?.fields).toContain(hit.matchedField);
					}
					expect(new Set(hits.map(({ id }) => id)).size).toBe(hits.length);
					const similarities = hits.map(({ similarity }) => similarity);
					expect(similarities).toEqual([...similarities].sort((a, b) => b - a));
					const nearest = expected.all.slice(0, asked.limit);
					if (mode === "approximate" && asked.minSimilarity !== undefined)
						return;
					expect(hits).toHaveLength(nearest.length);
					// Of equally near ones any may come.
					const wrong = hits.filter(
						(hit, at) =>
							Math.abs(hit.similarity - (nearest[at]?.similarity ?? NaN)) >
							1e-5,
					);
					found += hits.length;
					missed += wrong.length;
				}),
				{ numRuns: runs, seed: 6 },
			);
			expect(missed).toBeLessThanOrEqual(
				mode === "approximate" ? found * 0.05 : 0,
			);
			expect(found).toBeGreaterThan(runs);
		});
	},
);

type Asked = typeof request extends fc.Arbitrary<infer T> ? T : never;

function search(asked: Partial<Asked>, mode: "auto" | "exact" | "approximate") {
	const { where, userId, fieldName, minSimilarity, ...rest } = asked;
	return db.service.vectorSearch({
		tableName: "papers",
		...rest,
		mode,
		...(where === undefined ? {} : { where: where as Where<typeof Paper> }),
		...(userId === undefined ? {} : { userId }),
		...(fieldName === undefined ? {} : { fieldName }),
		...(minSimilarity === undefined ? {} : { minSimilarity }),
	} as Parameters<typeof db.service.vectorSearch<"papers">>[0]);
}

interface Near {
	readonly id: string;
	readonly similarity: number;
	/** Those that are equally near. */
	readonly fields: string[];
}

function bruteForce(asked: Omit<Asked, "limit">): { all: Near[] } {
	const fields =
		asked.fieldName === undefined ? ["content", "summary"] : [asked.fieldName];
	const all = eligible(asked)
		.flatMap(({ id, vectors }): Near[] => {
			const each = fields.flatMap((field) => {
				const own = vectors[field];
				return own === undefined
					? []
					: [{ field, similarity: cosine(own, asked.queryEmbedding) }];
			});
			if (each.length === 0) return [];
			const similarity = Math.max(...each.map((one) => one.similarity));
			const isBest = (one: { similarity: number }) =>
				similarity - one.similarity < 1e-6;
			return [
				{
					id,
					similarity,
					fields: each.filter(isBest).map(({ field }) => field),
				},
			];
		})
		.filter(
			({ similarity }) => similarity >= (asked.minSimilarity ?? -2) - 1e-9,
		);
	return { all: all.sort((a, b) => b.similarity - a.similarity) };
}

function eligible({
	tenantId,
	userId,
	where,
}: Pick<Asked, "tenantId" | "userId" | "where">) {
	const isWanted = (row: Paper) => {
		if (where === undefined) return true;
		if ("OR" in where) return row.year === 1 || row.content.includes("stone");
		return typeof where.year === "number"
			? row.year === where.year
			: row.year >= where.year.gte;
	};
	return papers.filter(
		(row) =>
			row.tenantId === tenantId &&
			(userId === undefined || row.userId === null || row.userId === userId) &&
			isWanted(row),
	);
}

function cosine(a: Float32Array, b: Float32Array): number {
	const dot = (x: Float32Array, y: Float32Array) =>
		x.reduce((sum, value, at) => sum + value * (y[at] as number), 0);
	return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

describe.each(["without", "with"])("hybrid, %s an index of words", (which) => {
	const asked = fc.record({
		...scope,
		...options,
		limit: fc.constantFrom(1, 5, 1000),
		query: fc.oneof(
			text,
			fc.constantFrom("rivr stone 12", "the", "'; DROP", "oak\\ 7"),
		),
		queryEmbedding: vector,
	});

	beforeAll(async () => {
		if (which === "with") return buildIndexes();
		const { name } = wordsIndex(db.service.registry.get("papers"));
		await db.service.execute(`DROP INDEX IF EXISTS "${name}"`);
		forgetStatistics();
	});

	test(`${runs} random searches give the three lists, fused`, async () => {
		await fc.assert(
			fc.asyncProperty(asked, async ({ where, userId, ...rest }) => {
				const hits = await db.service.hybridSearch({
					tableName: "papers",
					...rest,
					mode: "exact",
					...(where === undefined
						? {}
						: { where: where as Where<typeof Paper> }),
					...(userId === undefined ? {} : { userId }),
				});
				const expected = await fused({ ...rest, where, userId });
				// Which of equally near ones comes first is open, and with it their ranks.
				for (const hit of hits) {
					const { ranks } = hit;
					const own = expected.get(hit.id);
					expect(Object.keys(ranks).sort()).toEqual(
						Object.keys(own ?? {}).sort(),
					);
					for (const [list, rank] of Object.entries(ranks)) {
						const [first, last] = (own as Places)[list] as [number, number];
						expect(rank).toBeGreaterThanOrEqual(first);
						expect(rank).toBeLessThanOrEqual(last);
					}
					const { vector = 0, text = 0, trigram = 0 } = ranks;
					const part = (rank: number, weight: number) =>
						rank === 0 ? 0 : weight / (10 + rank);
					const sum = part(vector, 0.1) + part(text, 1) + part(trigram, 0.5);
					expect(hit.score).toBeCloseTo(sum, 8);
				}
				const scores = hits.map(({ score }) => score);
				expect(scores).toEqual([...scores].sort((a, b) => b - a));
				if (rest.limit === 1000) expect(hits).toHaveLength(expected.size);
				else expect(hits).toHaveLength(Math.min(rest.limit, expected.size));
			}),
			{ numRuns: Math.ceil(runs / 2), seed: 7 },
		);
	});

	type Asked = typeof asked extends fc.Arbitrary<infer T> ? T : never;
	type Places = Record<string, [number, number]>;

	/** For each row its place on each list: the first and the last it can have. */
	async function fused(wanted: Asked): Promise<Map<string, Places>> {
		const rows = eligible(wanted);
		const { rows: documents } = await db.service.execute<{
			id: string;
			counts: Record<string, number>;
			length: number;
			lexemes: string[];
			name: number;
		}>(
			`SELECT p.id, coalesce((SELECT jsonb_object_agg(lexeme, cardinality(positions)) FROM unnest(v)), '{}') AS counts,
  (SELECT coalesce(sum(cardinality(positions)), 0)::integer FROM unnest(v)) AS length,
  tsvector_to_array(rem_words('english', $2, true)) AS lexemes, similarity(p.name, $2) AS name
FROM papers AS p, rem_words('english', concat_ws(' ', p.name, p.content, p.summary), false) AS v
WHERE p.tenant_id = $1 AND p.deleted_at IS NULL`,
			[wanted.tenantId, wanted.query],
		);
		const ids = new Set(rows.map(({ id }) => id));
		const facts = documents.filter(({ id }) => ids.has(id));
		const average =
			documents.reduce((sum, { length }) => sum + length, 0) / documents.length;
		const holding = facts.filter(({ counts, lexemes }) =>
			lexemes.some((lexeme) => counts[lexeme] !== undefined),
		);
		const bm25 = ({ counts, lexemes, length }: (typeof facts)[number]) =>
			lexemes.reduce((sum, lexeme) => {
				const tf = counts[lexeme] ?? 0;
				const df = facts.filter((row) => row.counts[lexeme] !== undefined);
				const rest = facts.length - df.length + 0.5;
				const idf = Math.log(1 + rest / (df.length + 0.5));
				const norm = 0.3 + (0.9 * length) / average;
				return sum + (idf * 2.2 * tf) / (tf + norm);
			}, 0);
		const places = new Map<string, Places>();
		const depth = Math.max(30, 2 * wanted.limit);
		const add = (list: string, scores: [string, number][]) => {
			for (const [id, score] of scores) {
				const first =
					1 + scores.filter(([, other]) => other > score + 1e-6).length;
				const last = scores.filter(([, other]) => other >= score - 1e-6).length;
				if (last <= depth)
					places.set(id, { ...places.get(id), [list]: [first, last] });
				else if (first <= depth) undecided = true;
			}
		};
		let undecided = false;
		add(
			"vector",
			bruteForce({
				...wanted,
				fieldName: undefined,
				minSimilarity: undefined,
			}).all.map(({ id, similarity }) => [id, similarity]),
		);
		add(
			"text",
			holding.map((row) => [row.id, bm25(row)]),
		);
		add(
			"trigram",
			facts
				.filter(({ name }) => name >= 0.3 && [...wanted.query].length <= 64)
				.map(({ id, name }) => [id, name]),
		);
		fc.pre(!undecided);
		return places;
	}
});
