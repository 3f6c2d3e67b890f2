import { expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { codeOf, useService } from "../support/engine.ts";

const Film = defineEntity(
	"page_films",
	{
		title: z.string(),
		year: z.number().int().optional(),
		description: z.string().optional(),
	},
	{ entityKeyField: "title" },
);
const db = useService({ models: [Film] });
const films = () => db.service.repository(Film);

async function write(tenantId: string, count: number): Promise<void> {
	await db.service.batchUpsert({
		tableName: "page_films",
		tenantId,
		entities: Array.from({ length: count }, (_, at) => ({
			title: `film ${String(at).padStart(3, "0")}`,
			...(at % 7 === 0 ? {} : { year: 1980 + (at % 5) }),
		})),
		generateEmbeddings: false,
	});
}

async function pages(
	tenantId: string,
	options: { orderBy?: "id" | "year desc" | "title"; condition?: string },
): Promise<string[][]> {
	const found: string[][] = [];
	let after: string | undefined;
	do {
		const page = await films().findPage(
			{ tenantId },
			{ limit: 10, ...options, ...(after === undefined ? {} : { after }) },
		);
		found.push(page.rows.map(({ title }) => title));
		after = page.next;
	} while (after !== undefined);
	return found;
}

test("pages have every row of find once, in its order", async () => {
	await write("paged", 33);
	for (const orderBy of ["id", "year desc", "title"] as const) {
		const all = await films().find({ tenantId: "paged" }, { orderBy });
		const found = await pages("paged", { orderBy });
		expect(found.map(({ length }) => length)).toEqual([10, 10, 10, 3]);
		expect(found.flat()).toEqual(all.map(({ title }) => title));
	}
});

test("a condition of the query language narrows the pages, beside the filter", async () => {
	await write("narrowed", 33);
	const found = await pages("narrowed", {
		orderBy: "title",
		condition: "year = 1981 OR year IS NULL",
	});
	const all = await films().find(
		{
			tenantId: "narrowed",
			OR: [{ year: 1981 }, { year: null }],
		},
		{ orderBy: "title" },
	);
	expect(found.flat()).toEqual(all.map(({ title }) => title));
	const { rows } = await films().findPage(
		{ tenantId: "narrowed", AND: [{ year: 1981 }] },
		{ condition: "title LIKE '%1'" },
	);
	expect(rows.map(({ title }) => title).sort()).toEqual([
		"film 001",
		"film 011",
		"film 031",
	]);
});

test("no condition reaches beyond the scope", async () => {
	await write("own", 3);
	await write("foreign", 3);
	const own = db.service.scope({ tenantId: "own" }).repository(Film);
	for (const condition of ["TRUE OR TRUE", "tenant_id = 'foreign' OR TRUE"]) {
		const { rows } = await own.findPage({}, { condition });
		expect(new Set(rows.map(({ tenantId }) => tenantId))).toEqual(
			new Set(["own"]),
		);
	}
});

test("a condition that cannot be read reports the character", async () => {
	const failing = async (condition: string) => {
		const error = await films()
			.findPage({ tenantId: "t" }, { condition })
			.catch((error: unknown) => error);
		const { code, position } = error as { code: string; position?: number };
		return [code, position];
	};
	expect(await failing("yeer > 2000")).toEqual(["UNKNOWN_FIELD", 1]);
	expect(await failing("year > 2000 AND pg_sleep(9) IS NULL")).toEqual([
		"FILTER_REFUSED",
		17,
	]);
	expect(await failing("year > ")).toEqual(["QUERY_SYNTAX", 7]);
	expect(await failing("  ")).toEqual(["QUERY_SYNTAX", 1]);
	expect(await failing("year > 1 -- all")).toEqual(["FILTER_REFUSED", 10]);
	expect(await failing("year > 1; DROP TABLE films")).toEqual([
		"FILTER_REFUSED",
		11,
	]);
	expect(await failing(`title = '${"x".repeat(70_000)}'`)).toEqual([
		"INPUT_LIMIT",
		undefined,
	]);
});

test("what is not the end of a page in that order is refused", async () => {
	await write("cursors", 12);
	const { next } = await films().findPage(
		{ tenantId: "cursors" },
		{ orderBy: "year", limit: 5 },
	);
	const encoded = (value: unknown) =>
		Buffer.from(JSON.stringify(value)).toString("base64url");
	const others = [
		"",
		"x",
		"🦕",
		encoded(null),
		encoded(["year,id", "1980"]),
		encoded(["year,id", "many", "0"]),
		encoded(["year,id", "1980", "' OR TRUE --"]),
		encoded(["year,id", { toString: 1 }, null]),
		encoded(["year,id", "1\0", "2"]),
	];
	for (const after of others)
		expect(
			await codeOf(
				films().findPage({ tenantId: "cursors" }, { orderBy: "year", after }),
			),
		).toBe("VALIDATION");
	const after = next as string;
	expect(
		await codeOf(
			films().findPage(
				{ tenantId: "cursors" },
				{ orderBy: "year desc", after },
			),
		),
	).toBe("VALIDATION");
});

test("searches take a condition as text, alone and beside where", async () => {
	const tenantId = "searched";
	await db.service.batchUpsert({
		tableName: "page_films",
		tenantId,
		entities: [
			{ title: "old", year: 1950, description: "a story of dinosaurs" },
			{ title: "middle", year: 1993, description: "a story of dinosaurs" },
			{ title: "new", year: 2022, description: "a story of dinosaurs" },
		],
	});
	const titles = (rows: readonly object[]) =>
		rows.map((row) => (row as { title: string }).title).sort();
	const query = "dinosaurs";
	const condition = "year > 1960";
	const tableName = "page_films";
	const { service } = db;
	expect(
		titles(
			await service.vectorSearch({
				tableName,
				tenantId,
				queryText: query,
				condition,
			}),
		),
	).toEqual(["middle", "new"]);
	expect(
		titles(
			await service.hybridSearch({
				tableName,
				tenantId,
				query,
				condition,
				where: { year: { lt: 2000 } },
			}),
		),
	).toEqual(["middle"]);
	expect(
		titles(await service.hybridSearch({ tenantId, query, condition })),
	).toEqual(["middle", "new"]);
	expect(
		await codeOf(
			service.hybridSearch({ tableName, tenantId, query, condition: "1 +" }),
		),
	).toBe("QUERY_SYNTAX");
});

test("pages and soft-deleted rows: a filter on deletedAt decides itself", async () => {
	await write("deleted", 4);
	const [first] = await films().find({ tenantId: "deleted" });
	await films().delete(first?.id ?? "", "deleted");
	const live = await films().findPage({ tenantId: "deleted" });
	expect(live.rows).toHaveLength(3);
	expect(live.next).toBeUndefined();
	const gone = await films().findPage({
		tenantId: "deleted",
		deletedAt: { isNull: false },
	});
	expect(gone.rows.map(({ id }) => id)).toEqual([first?.id]);
});
