import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";
import type { Bootstrap } from "../../src/studio/api/bootstrap.ts";
import type { ErrorResponse } from "../../src/studio/api/common.ts";
import type {
	CompleteResponse,
	ConsoleResponse,
} from "../../src/studio/api/console.ts";
import type {
	EntityDetail,
	GraphResponse,
	ListResponse,
} from "../../src/studio/api/entities.ts";
import type { HealthSnapshot } from "../../src/studio/api/health.ts";
import { routes } from "../../src/studio/api/routes.ts";
import type {
	SearchResponse,
	WhyResponse,
} from "../../src/studio/api/search.ts";
import {
	nodeListener,
	type StudioHandler,
	type StudioOptions,
	studio,
} from "../../src/studio/index.ts";
import { filterParts } from "../../src/studio/why-reasons.ts";
import { createDatabase, useService } from "../support/engine.ts";
import { FakeProvider } from "../support/fake-provider.ts";

const Film = defineEntity(
	"studio_films",
	{
		title: z.string(),
		year: z.number().int().min(1880).optional(),
		seenAt: z.date().optional(),
		views: z.bigint().optional(),
		description: z.string().optional(),
	},
	{ entityKeyField: "title" },
);
const Label = defineEntity(
	"studio_labels",
	{ name: z.string(), shade: z.string().optional() },
	{ entityKeyField: "name" },
);
const provider = new FakeProvider();
const db = useService({
	models: [Film, Label],
	embedding: { provider, retry: { attempts: 1 } },
});

const token = "a token of more than sixteen characters";
const base = "http://127.0.0.1:4400/";
const handlers: StudioHandler[] = [];
afterAll(() => {
	for (const handler of handlers) handler.close();
});

/** A page of the studio that is open in a browser. */
interface OpenPage {
	readonly cookie: string;
	readonly handler: StudioHandler;
	get<T>(path: string): Promise<Answer<T>>;
	post<T>(path: string, body: unknown): Promise<Answer<T>>;
}

interface Answer<T> {
	readonly status: number;
	readonly body: T & Partial<ErrorResponse>;
}

async function open(options: StudioOptions = {}): Promise<OpenPage> {
	const handler = studio(db.service, { token, ...options });
	handlers.push(handler);
	const opened = await handler(
		new Request(`${base}?token=${encodeURIComponent(token)}`),
	);
	expect(opened.status).toBe(303);
	const cookie = (opened.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
	const send = async <T>(path: string, init: RequestInit) => {
		const { headers, ...rest } = init;
		const response = await handler(
			new Request(`${base}api/${path}`, {
				...rest,
				headers: { cookie, ...headers },
			}),
		);
		return {
			status: response.status,
			body: (await response.json()) as T & Partial<ErrorResponse>,
		};
	};
	return {
		cookie,
		handler,
		get: (path) => send(path, {}),
		post: (path, body) =>
			send(path, { method: "POST", headers: postHeaders, body: text(body) }),
	};
}

const postHeaders = {
	"content-type": "application/json",
	"x-rem-studio": "1",
};
const text = (body: unknown) =>
	typeof body === "string" ? body : JSON.stringify(body);

async function films(tenantId: string) {
	const rows = await db.service.repository(Film).upsert(
		[
			{
				title: "Jurassic Park",
				year: 1993,
				seenAt: new Date("2026-01-02T03:04:05.678Z"),
				views: 12345678901234567890n / 10n,
				description: "dinosaurs in a park",
				graphEdges: [
					{ dst: "the-lost-world", rel_type: "sequel", weight: 0.9 },
					{ dst: "nobody", rel_type: "cameo" },
				],
			},
			{
				title: "The Lost World",
				year: 1997,
				description: "more dinosaurs on an island",
				graphEdges: [
					{ dst: "Jurassic Park", rel_type: "follows" },
					{ dst: "Jurassic Park", rel_type: "shares_cast" },
				],
			},
			{ title: "Space", year: 1979, description: "a ship in space" },
			{ title: "Silent", year: 1920 },
		],
		{ tenantId },
	);
	return rows.map(({ id }) => id);
}

const entityType = "studio_films";

describe("what is shown", () => {
	test("bootstrap describes the tables, the tenant and the model", async () => {
		const page = await open({ tenantId: "acme" });
		const { body } = await page.get<Bootstrap>("bootstrap");
		expect(body).toMatchObject({
			writable: false,
			writeHint: expect.stringContaining("--write"),
			tenant: { id: "acme", isFixed: true },
			embedding: { provider: "fake", model: "m1" },
		});
		const table = body.tables.find(({ name }) => name === entityType);
		expect(table).toMatchObject({
			keyFields: ["title"],
			embedFields: ["description"],
			isTenantScoped: true,
		});
		expect(table?.fields.find(({ name }) => name === "seenAt")).toMatchObject({
			column: "seen_at",
			type: "timestamptz",
			isSystem: false,
		});
		const free = await open();
		const open_ = await free.get<Bootstrap>("bootstrap");
		expect(open_.body.tenant).toEqual({ id: "default", isFixed: false });
	});

	test("counts, lists and pages are of the tenant", async () => {
		await films("lists");
		const page = await open();
		const counts = await page.get<object>("counts?tenantId=lists");
		expect(counts.body).toEqual({
			counts: { studio_films: 4, studio_labels: 0 },
		});
		const first = await page.post<ListResponse>("list", {
			tenantId: "lists",
			table: entityType,
			orderBy: "year desc",
			limit: 3,
		});
		expect(first.body.rows.map(({ title }) => title)).toEqual([
			"The Lost World",
			"Jurassic Park",
			"Space",
		]);
		expect(first.body.rows[1]?.fields).toMatchObject({
			views: "1234567890123456789",
			seenAt: "2026-01-02T03:04:05.678Z",
		});
		const second = await page.post<ListResponse>("list", {
			tenantId: "lists",
			table: entityType,
			orderBy: "year desc",
			limit: 3,
			cursor: first.body.next,
		});
		expect(second.body.rows.map(({ title }) => title)).toEqual(["Silent"]);
		expect(second.body.next).toBeNull();
		const filtered = await page.post<ListResponse>("list", {
			tenantId: "lists",
			table: entityType,
			filter: "year < 1990 AND description IS NOT NULL",
		});
		expect(filtered.body.rows.map(({ title }) => title)).toEqual(["Space"]);
		const wrong = await page.post("list", {
			tenantId: "lists",
			table: entityType,
			filter: "yeer < 1990",
		});
		expect(wrong.status).toBe(400);
		expect(wrong.body.error).toMatchObject({
			code: "UNKNOWN_FIELD",
			position: 1,
		});
	});

	test("an entity has its fields, vectors, passages and edges in both directions", async () => {
		const [jurassic] = await films("detail");
		const page = await open({ tenantId: "detail" });
		const { body } = await page.post<EntityDetail>("entity", {
			entityType,
			entityId: jurassic,
		});
		expect(body).toMatchObject({
			entityKey: "Jurassic Park",
			tenantId: "detail",
			deletedAt: null,
			fields: { year: 1993, views: "1234567890123456789" },
			vectors: [
				{
					field: "description",
					state: "present",
					isSearchable: true,
					passages: [{ index: 0, text: "dinosaurs in a park" }],
				},
			],
			edgesOut: [
				{
					dst: "the-lost-world",
					relType: "sequel",
					weight: 0.9,
					target: { entityKey: "The Lost World" },
				},
				{ dst: "nobody", target: null },
			],
		});
		expect(body.edgesIn.map(({ relType }) => relType).sort()).toEqual([
			"follows",
			"shares_cast",
		]);
		const none = await page.post("entity", {
			entityType,
			entityId: "00000000-0000-4000-8000-000000000000",
		});
		expect([none.status, none.body.error?.code]).toEqual([404, "NOT_FOUND"]);
	});

	test("every mode of a search finds, with its lists, weights and shares", async () => {
		await films("search");
		const page = await open({ tenantId: "search" });
		const search = async (settings: object) =>
			(await page.post<SearchResponse>("search", settings)).body;
		const titles = ({ items }: SearchResponse) =>
			items.map(({ title }) => title);
		const query = "dinosaurs in a park";
		/** What the code finds that the page shows to be copied. */
		const ids = async (code: string) => {
			const run = new Function("service", `return (async () => ${code})()`);
			const rows = await run(db.service);
			return (rows.items ?? rows).map(
				(row: { id?: string; entityId?: string }) => row.entityId ?? row.id,
			);
		};
		for (const mode of ["recall", "hybrid", "vector", "text"]) {
			const found = await search({ query, mode });
			expect([mode, titles(found)[0]]).toEqual([mode, "Jurassic Park"]);
			expect(found.items.map(({ place }) => place)).toEqual(
				found.items.map((_, at) => at + 1),
			);
			expect(await ids(found.code.typescript)).toEqual(
				found.items.map(({ entityId }) => entityId),
			);
		}
		expect(
			titles(await search({ query: "Jurasic Prk", mode: "fuzzy" })),
		).toEqual(["Jurassic Park"]);
		expect(
			titles(await search({ query: "JURASSIC_PARK", mode: "lookup" })),
		).toEqual(["Jurassic Park"]);
		const hybrid = await search({
			query,
			mode: "hybrid",
			tables: [entityType],
			filter: "year > 1995",
			weights: { vector: 0.5, text: 2 },
			explain: true,
		});
		expect(titles(hybrid)).toEqual(["The Lost World"]);
		expect(hybrid.lists.find(({ list }) => list === "text")).toMatchObject({
			weight: 2,
			entries: [{ title: "The Lost World", rank: 1, place: 1 }],
		});
		const shares = hybrid.items[0]?.lists.map(({ share }) => share ?? 0) ?? [];
		expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 6);
		for (const settings of [
			{ mode: "hybrid", tables: [entityType], filter: "year > 1990" },
			{ mode: "hybrid", weights: { vector: 0, text: 1 }, limit: 1 },
			{ mode: "vector", vectorMode: "exact", tables: [entityType] },
			{ mode: "fuzzy", tables: ["studio_films", "studio_labels"] },
			{ mode: "lookup", tables: ["studio_labels", "studio_films"] },
			{ mode: "recall", tables: [entityType], maxTokens: 500 },
		]) {
			const found = await search({ query: "the lost world", ...settings });
			expect([settings, await ids(found.code.typescript)]).toEqual([
				settings,
				found.items.map(({ entityId }) => entityId),
			]);
		}
		const soon = await search({ query, mode: "hybrid" });
		const onVectors = soon.items[0]?.lists.find(
			({ list }) => list === "vector",
		);
		expect(onVectors).toMatchObject({ rank: 1 });
		expect(onVectors).not.toHaveProperty("weight");
		expect(onVectors).not.toHaveProperty("share");
		const defaults = await search({ query, mode: "hybrid", explain: true });
		expect(
			defaults.items[0]?.lists.find(({ list }) => list === "vector")?.weight,
		).toBe(1);
		for (const { lists } of defaults.items)
			expect(lists.reduce((sum, { share = 0 }) => sum + share, 0)).toBeCloseTo(
				1,
				6,
			);
	});

	test("an explained search has every list as it was ranked, with its scores, also of what was not found", async () => {
		await films("lists");
		const page = await open({ tenantId: "lists" });
		const search = async (settings: object) =>
			(
				await page.post<SearchResponse>("search", {
					query: "dinosaurs in a park",
					explain: true,
					...settings,
				})
			).body;
		const hybrid = await search({ mode: "hybrid", limit: 1 });
		expect(hybrid.items.map(({ title }) => title)).toEqual(["Jurassic Park"]);
		const [vector] = hybrid.lists.filter(({ list }) => list === "vector");
		expect(vector).toMatchObject({
			weight: 1,
			omitted: 0,
			entries: [
				{ title: "Jurassic Park", rank: 1, place: 1 },
				{ rank: 2, place: null },
				{ rank: 3, place: null },
			],
		});
		const values = vector?.entries.map(({ value }) => value ?? Number.NaN);
		expect(values).toEqual([...(values ?? [])].sort((a, b) => b - a));
		expect(values?.[0]).toBeCloseTo(hybrid.items[0]?.similarity ?? 0, 6);
		for (const list of ["text", "name"])
			expect(hybrid.lists.find((one) => one.list === list)).toBeDefined();
		const recalled = await search({
			mode: "recall",
			query: "Jurassic Park, dinosaurs, Silennt",
			limit: 1,
		});
		expect(
			recalled.lists.map(({ list, entries }) => [
				list,
				entries.some(({ value }) => value !== null),
				entries.some(({ place }) => place === null),
			]),
		).toEqual([
			["lookup", false, false],
			["vector", true, true],
			["text", true, true],
			["name", true, false],
			["fuzzy", true, true],
			["edge", true, true],
		]);
		for (const [mode, list] of [
			["vector", "vector"],
			["fuzzy", "fuzzy"],
		] as const) {
			const { items, lists } = await search({ mode, query: "Jurassic Park" });
			expect(lists.map(({ list }) => list)).toEqual([list]);
			expect(lists[0]?.entries.map(({ value }) => value)).toEqual(
				items.map(({ score }) => score),
			);
		}
	});

	test("of a list, 30 that were not found are shown, and the rest is counted", async () => {
		const tenantId = "long lists";
		await db.service.repository(Film).upsert(
			Array.from({ length: 100 }, (_, at) => ({
				title: `Film ${at}`,
				description: `dinosaurs, number ${at}`,
			})),
			{ tenantId },
		);
		const page = await open({ tenantId });
		const { body } = await page.post<SearchResponse>("search", {
			query: "dinosaurs",
			mode: "text",
			limit: 40,
			explain: true,
		});
		const [{ entries, omitted } = { entries: [], omitted: 0 }] = body.lists;
		expect(body.items).toHaveLength(40);
		expect(entries.map(({ rank }) => rank)).toEqual(
			Array.from({ length: 70 }, (_, at) => at + 1),
		);
		expect(entries.filter(({ place }) => place === null)).toHaveLength(30);
		expect(omitted).toBe(10);
	});

	test("an explained search has the plan of each table", async () => {
		await films("explained");
		const page = await open({ tenantId: "explained" });
		for (const [mode, tables] of [
			["hybrid", [entityType]],
			["hybrid", undefined],
			["vector", [entityType]],
			["recall", undefined],
		]) {
			const { body } = await page.post<SearchResponse>("search", {
				query: "dinosaurs",
				mode,
				tables,
				explain: true,
			});
			expect(body.tables[0]).toMatchObject({
				table: entityType,
				isExact: true,
				sql: expect.stringContaining("SELECT"),
			});
		}
	});

	test("the console answers, explains and reports where a mistake is", async () => {
		await films("console");
		const page = await open({ tenantId: "console" });
		const ask = (query: string) =>
			page.post<ConsoleResponse>("console", { query });
		const sql = await ask("SQL studio_films WHERE year > 1990 ORDER BY year");
		expect(sql.body.kind).toBe("sql");
		expect(sql.body.rows.map(({ title }) => title)).toEqual([
			"Jurassic Park",
			"The Lost World",
		]);
		expect(sql.body.columns.map(({ name }) => name).slice(0, 2)).toEqual([
			"title",
			"year",
		]);
		expect(sql.body.entities[0]).toMatchObject({ entityType });
		expect(sql.body.json).toContain("1234567890123456789");
		for (const query of [
			'LOOKUP "space"',
			"FUZZY spce THRESHOLD 0.2",
			"SEARCH dinosaurs",
			"RECALL dinosaurs",
			'TRAVERSE WITH LOOKUP "Jurassic Park"',
		]) {
			const { body } = await ask(query);
			expect(body.rows.length).toBeGreaterThan(0);
			expect(body.entities).not.toContain(null);
		}
		const explained = await ask("EXPLAIN SQL studio_films");
		expect(explained.body.explanation?.statements[0]?.text).toContain("SELECT");
		const wrong = await ask("SQL studio_films WHERE yeer > 1");
		expect(wrong.status).toBe(400);
		expect(wrong.body.error).toMatchObject({
			code: "UNKNOWN_FIELD",
			position: 24,
		});
	});

	test("the console completes verbs, tables, fields and keys", async () => {
		await films("complete");
		const page = await open({ tenantId: "complete" });
		const complete = async (query: string) => {
			const { body } = await page.post<CompleteResponse>("complete", {
				query,
				cursor: query.length,
			});
			return body.suggestions.map(({ text }) => text);
		};
		expect(await complete("")).toContain("LOOKUP");
		expect(await complete("EXPLAIN ")).not.toContain("EXPLAIN");
		expect(await complete("tra")).toEqual(["TRAVERSE"]);
		expect(await complete("SEARCH x IN stu")).toEqual([
			"studio_films",
			"studio_labels",
		]);
		expect(await complete("SQL studio_films WHERE ye")).toContain("year");
		expect(await complete("SQL studio_films WHERE sh")).not.toContain("shade");
		expect(await complete("SQL studio_films ")).toContain("WHERE");
		expect(await complete('LOOKUP "jura')).toContain('"Jurassic Park"');
	});

	test("the graph has the neighbourhood, every edge between its nodes, and counts the rest", async () => {
		await films("graph");
		await db.service.batchUpsert({
			tableName: "studio_labels",
			tenantId: "graph",
			entities: Array.from({ length: 20 }, (_, at) => ({
				name: `label ${at}`,
				graphEdges: [{ dst: "Space", rel_type: "labels" }],
			})),
		});
		const page = await open({ tenantId: "graph" });
		const graph = async (request: object) =>
			(await page.post<GraphResponse>("graph", request)).body;
		const park = await graph({ from: "jurassic-park" });
		expect(park.from).toMatchObject({ title: "Jurassic Park", depth: 0 });
		expect(park.nodes.map(({ title }) => title)).toEqual([
			"Jurassic Park",
			"The Lost World",
		]);
		expect(park.edges.map(({ relType }) => relType).sort()).toEqual([
			"follows",
			"sequel",
			"shares_cast",
		]);
		expect(park.dangling).toEqual([
			expect.objectContaining({ dst: "nobody", relType: "cameo" }),
		]);
		const space = await graph({ from: "studio_films/Space", limit: 5 });
		expect(space.nodes).toHaveLength(5);
		expect(space.more).toBe(16);
		expect(space.edgeCounts).toEqual([
			{ relType: "labels", direction: "in", count: 20 },
		]);
		expect(await graph({ from: "none of them" })).toMatchObject({
			from: null,
			nodes: [],
		});
	});
});

describe("why", () => {
	const ask = async (tenantId: string, request: object) => {
		const page = await open({ tenantId });
		const { status, body } = await page.post<WhyResponse>("why", request);
		expect([status, body.error]).toEqual([200, undefined]);
		return body;
	};

	test("an entity that is found has its place on every list", async () => {
		await films("why-found");
		const body = await ask("why-found", {
			query: "dinosaurs in a park",
			mode: "hybrid",
			entity: "jurassic park",
		});
		expect(body).toMatchObject({ place: 1, reasons: [{ kind: "found" }] });
		expect(body.lists.map(({ list, rank }) => [list, rank])).toEqual([
			["vector", 1],
			["text", 1],
			["name", null],
		]);
		expect(body.words).toContainEqual({ word: "dinosaur", isFound: true });
	});

	test("what excludes an entity is named, with its remedy", async () => {
		const [jurassic, , , silent] = await films("why");
		const kinds = async (request: object) =>
			(await ask("why", request)).reasons.map(({ kind }) => kind);
		const query = "dinosaurs in a park";
		expect(await kinds({ query, entity: "Nobody" })).toEqual(["unknown"]);
		expect(
			await kinds({ query, entity: silent, entityType, mode: "vector" }),
		).toEqual(["no-vector"]);
		expect(
			await kinds({
				query,
				entity: "Jurassic Park",
				tables: ["studio_labels"],
			}),
		).toContain("other-table");
		const filtered = await ask("why", {
			query,
			entity: "Jurassic Park",
			mode: "hybrid",
			filter: "year BETWEEN 1990 AND 1999 AND title = 'x'",
		});
		expect(filtered.filters).toEqual([
			{ text: "year BETWEEN 1990 AND 1999", isFulfilled: true },
			{ text: "title = 'x'", isFulfilled: false },
		]);
		expect(filtered.reasons[0]?.kind).toBe("filter");
		expect(
			await kinds({ query: "Park", entity: "Silent", mode: "lookup" }),
		).toEqual(["not-named"]);
		expect(
			await kinds({ query: "zzz", entity: "Silent", mode: "fuzzy" }),
		).toEqual(["below-threshold"]);
		expect(
			await kinds({
				query: "a ship in space",
				entity: "Jurassic Park",
				mode: "hybrid",
				limit: 1,
			}),
		).toContain("below-limit");
		await db.service.repository(Film).delete(jurassic ?? "", "why");
		const deleted = await ask("why", { query, entity: "Jurassic Park" });
		expect(deleted.reasons[0]).toMatchObject({
			kind: "deleted",
			action: "restore",
		});
	});

	test("a dead-lettered text is a reason, and embedding it again repairs it", async () => {
		const tenantId = "why-dead";
		provider.refuse((text) => text.includes("poison"));
		const [row] = await db.service
			.repository(Film)
			.upsert([{ title: "Poisoned", description: "a poison" }], {
				tenantId,
				onEmbeddingError: "queue",
			});
		await db.service.embeddings.sync();
		const request = {
			query: "a poison",
			mode: "vector",
			entity: "Poisoned",
		};
		provider.refuse((text) => text === "a poison " || text === "poison");
		const before = await ask(tenantId, request);
		expect(before).toMatchObject({
			place: null,
			vectors: [{ state: "dead", reason: expect.stringContaining("400") }],
			reasons: [{ kind: "dead-letter", action: "embed" }],
		});
		provider.reset();
		const page = await open({ tenantId, writable: true });
		const repaired = await page.post<EntityDetail>("embed", {
			entityType,
			entityId: row?.id,
		});
		expect(repaired.body.vectors).toMatchObject([{ state: "present" }]);
		const after = await ask(tenantId, request);
		expect(after).toMatchObject({ place: 1 });
	});

	test("another user's entity is named as such, unless the studio is that user's", async () => {
		const tenantId = "why-users";
		await db.service
			.repository(Film)
			.upsert([{ title: "Private", description: "dinosaurs" }], {
				tenantId,
				userId: "one",
			});
		const request = { query: "dinosaurs", mode: "hybrid", entity: "Private" };
		const other = await ask(tenantId, { ...request, userId: "two" });
		expect(other.place).toBeNull();
		expect(other.reasons[0]?.kind).toBe("other-user");
		const page = await open({ tenantId, userId: "two" });
		const fixed = await page.post<WhyResponse>("why", request);
		expect(fixed.body.entity).toBeNull();
	});
});

describe("writes", () => {
	test("a read-only studio answers every write with 403 and the remedy", async () => {
		const [id] = await films("read-only");
		const page = await open({ tenantId: "read-only" });
		for (const path of [
			"edit",
			"delete",
			"restore",
			"link",
			"unlink",
			"embed",
		]) {
			const { status, body } = await page.post(path, {
				entityType,
				entityId: id,
				fields: { year: 2000 },
			});
			expect([path, status, body.error?.code]).toEqual([
				path,
				403,
				"READ_ONLY",
			]);
			expect(body.error?.hint).toContain("--write");
		}
		const [row] = await db.service
			.repository(Film)
			.find({ tenantId: "read-only", id: id ?? "" });
		expect(row?.year).toBe(1993);
	});

	test("an edit is validated by the model, and only changes what it names", async () => {
		const tenantId = "edits";
		const [id] = await films(tenantId);
		const page = await open({ tenantId, writable: true });
		const edit = (fields: object, more: object = {}) =>
			page.post<EntityDetail>("edit", {
				entityType,
				entityId: id,
				fields,
				...more,
			});
		const edited = await edit({
			description: "dinosaurs everywhere",
			views: "1234567890123456780",
			seenAt: "2026-02-03T00:00:00.000Z",
			tags: ["seen"],
		});
		expect(edited.status).toBe(200);
		expect(edited.body.fields).toMatchObject({
			title: "Jurassic Park",
			year: 1993,
			description: "dinosaurs everywhere",
			views: "1234567890123456780",
			seenAt: "2026-02-03T00:00:00.000Z",
			tags: ["seen"],
		});
		expect(edited.body.edgesOut).toHaveLength(2);
		expect(edited.body.vectors[0]?.passages[0]?.text).toBe(
			"dinosaurs everywhere",
		);
		const cleared = await edit({ seenAt: null });
		expect(cleared.body.fields.seenAt).toBeNull();
		const invalid = await edit({ year: 1066 });
		expect(invalid.status).toBe(400);
		expect(invalid.body.error?.issues?.[0]?.field).toBe("year");
		for (const fields of [
			{ tenantId: "other" },
			{ userId: "x" },
			{ id: "x" },
			{ graphEdges: [] },
			{ deletedAt: null },
			{ yeer: 1 },
		])
			expect((await edit(fields)).body.error?.code).toBe("UNKNOWN_FIELD");
		const stale = await edit(
			{ year: 1999 },
			{ updatedAt: "2020-01-01T00:00:00.000Z" },
		);
		expect([stale.status, stale.body.error?.code]).toEqual([409, "CONFLICT"]);
		const fresh = await edit(
			{ year: 1999 },
			{ updatedAt: cleared.body.updatedAt },
		);
		expect(fresh.body.fields.year).toBe(1999);
	});

	test("delete, restore, link and unlink answer with the entity as it is then", async () => {
		const tenantId = "changes";
		const [, , space] = await films(tenantId);
		const page = await open({ tenantId, writable: true });
		const ref = { entityType, entityId: space };
		const send = (path: string, more: object = {}) =>
			page.post<EntityDetail>(path, { ...ref, ...more });
		const deleted = await send("delete");
		expect(deleted.body.deletedAt).toEqual(expect.any(String));
		expect((await send("edit", { fields: { year: 2000 } })).status).toBe(409);
		const list = await page.post<ListResponse>("list", {
			table: entityType,
			rows: "deleted",
		});
		expect(list.body.rows.map(({ entityId }) => entityId)).toEqual([space]);
		expect((await send("restore")).body.deletedAt).toBeNull();
		const linked = await send("link", {
			dst: "Jurassic Park",
			relType: "like",
			weight: 0.5,
			properties: { why: "both have a crew" },
		});
		expect(linked.body.edgesOut).toMatchObject([
			{ dst: "Jurassic Park", relType: "like", weight: 0.5 },
		]);
		const unlinked = await send("unlink", { dst: "Jurassic Park" });
		expect(unlinked.body.edgesOut).toEqual([]);
	});

	test("a provider that fails is reported by embed, and an edit is written all the same", async () => {
		const tenantId = "failing";
		const [id] = await films(tenantId);
		const page = await open({ tenantId, writable: true });
		provider.fail();
		try {
			const edited = await page.post<EntityDetail>("edit", {
				entityType,
				entityId: id,
				fields: { description: "not yet embedded" },
			});
			expect(edited.status).toBe(200);
			expect(edited.body.vectors[0]?.state).toBe("queued");
			const embedded = await page.post("embed", { entityType, entityId: id });
			expect(embedded.status).toBe(502);
			expect(embedded.body.error?.code).toMatch(/^PROVIDER_/);
		} finally {
			provider.reset();
		}
	});
});

describe("isolation", () => {
	test("a studio of one tenant shows no other, whatever a request names", async () => {
		const [foreign] = await films("foreign");
		await films("own");
		const page = await open({ tenantId: "own", writable: true });
		const requests: [path: string, body: object][] = [
			["search", { query: "dinosaurs" }],
			["why", { query: "dinosaurs", entity: foreign }],
			["list", { table: entityType }],
			["entity", { entityType, entityId: foreign }],
			["edit", { entityType, entityId: foreign, fields: { year: 2000 } }],
			["delete", { entityType, entityId: foreign }],
			["restore", { entityType, entityId: foreign }],
			["link", { entityType, entityId: foreign, dst: "x", relType: "y" }],
			["unlink", { entityType, entityId: foreign, dst: "x" }],
			["embed", { entityType, entityId: foreign }],
			["graph", { from: foreign }],
			[
				"console",
				{ query: "SQL studio_films WHERE tenant_id = 'foreign' OR TRUE" },
			],
			["complete", { query: 'LOOKUP "j', cursor: 9 }],
		];
		for (const [path, body] of requests) {
			const named = await page.post(path, { ...body, tenantId: "foreign" });
			expect([path, named.status, named.body.error?.code]).toEqual([
				path,
				403,
				"TENANT_MISMATCH",
			]);
			const own = await page.post(path, body);
			expect(JSON.stringify(own.body)).not.toContain(`"entityId":"${foreign}`);
		}
		expect((await page.get("counts?tenantId=foreign")).status).toBe(403);
		const [row] = await db.service
			.repository(Film)
			.find({ tenantId: "foreign", id: foreign ?? "" });
		expect(row?.year).toBe(1993);
	});
});

test("every path of the API is served, and no other", async () => {
	const { handler, cookie } = await open({ health: false });
	for (const path of [...Object.values(routes), "api/none", "api/"]) {
		const { status } = await handler(
			new Request(`${base}${path}`, { headers: { cookie } }),
		);
		const isKnown = Object.values<string>(routes).includes(path);
		expect([path, status !== 404]).toEqual([path, isKnown]);
	}
});

describe("who may call", () => {
	const ask = (
		handler: StudioHandler,
		path: string,
		init: RequestInit & { headers?: Record<string, string> } = {},
	) => handler(new Request(`${base}${path}`, init));

	test("without the cookie nothing is shown; a wrong token is refused", async () => {
		const { handler, cookie } = await open();
		for (const path of ["", "api/bootstrap", "api/events", "assets/x.js"])
			expect((await ask(handler, path)).status).toBe(401);
		for (const wrong of ["", "x", `${token}x`, token.slice(1)])
			expect(
				(await ask(handler, `?token=${encodeURIComponent(wrong)}`)).status,
			).toBe(401);
		const [name] = cookie.split("=");
		for (const value of ["", "x", `${token}`])
			expect(
				(
					await ask(handler, "api/bootstrap", {
						headers: { cookie: `${name}=${value}` },
					})
				).status,
			).toBe(401);
	});

	test("the cookie is for scripts and other sites out of reach", async () => {
		const handler = studio(db.service, { token, basePath: "admin/studio" });
		const opened = await handler(
			new Request(`${base}admin/studio/?token=${encodeURIComponent(token)}`),
		);
		expect(opened.headers.get("location")).toBe("/admin/studio/");
		expect(opened.headers.get("set-cookie")).toMatch(
			/^rem_studio_\w+=[\w-]{43}; Path=\/admin\/studio\/; HttpOnly; SameSite=Strict$/,
		);
		const without = await handler(new Request(`${base}admin/studio?token=x`));
		expect([without.status, without.headers.get("location")]).toEqual([
			308,
			"/admin/studio/?token=x",
		]);
		expect((await handler(new Request(`${base}other`))).status).toBe(404);
	});

	test("other hosts, other origins and other sites' requests are refused", async () => {
		const { handler, cookie } = await open({ writable: true });
		const refused: Record<string, string>[] = [
			{ host: "evil.example:4400" },
			{ host: "127.0.0.1.evil.example" },
			{ origin: "https://evil.example" },
			{ origin: "http://127.0.0.1:9999" },
			{ origin: "null" },
			{ origin: "http://localhost:4400" },
			{ "sec-fetch-site": "cross-site" },
			{ "sec-fetch-site": "same-site" },
		];
		for (const headers of refused) {
			const response = await ask(handler, "api/bootstrap", {
				headers: { cookie, ...headers },
			});
			expect([headers, response.status]).toEqual([headers, 403]);
		}
		const own = await ask(handler, "api/bootstrap", {
			headers: {
				cookie,
				host: "localhost:4400",
				origin: "http://localhost:4400",
				"sec-fetch-site": "same-origin",
			},
		});
		expect(own.status).toBe(200);
	});

	test("a body that no page of the studio sends is refused", async () => {
		const { handler, cookie } = await open({ writable: true });
		const send = async (
			headers: Record<string, string>,
			body: string,
			path = "api/list",
		) =>
			(
				await ask(handler, path, {
					method: "POST",
					headers: { cookie, ...headers },
					body,
				})
			).status;
		const list = JSON.stringify({ table: entityType });
		expect(await send(postHeaders, list)).toBe(200);
		expect(await send({ "content-type": "application/json" }, list)).toBe(403);
		expect(
			await send({ "content-type": "text/plain", "x-rem-studio": "1" }, list),
		).toBe(415);
		for (const body of [
			"",
			"{",
			"null",
			"[]",
			'"text"',
			'{"table":1}',
			'{"table":"studio_films","more":1}',
			'{"table":"studio_films","limit":1e9}',
			'{"table":"__proto__"}',
			'{"table":"studio_films","__proto__":{"a":1}}',
		])
			expect([body, await send(postHeaders, body)]).toEqual([body, 400]);
		expect(
			await send(postHeaders, JSON.stringify({ table: "x".repeat(5e6) })),
		).toBe(413);
		expect(await send(postHeaders, list, "api/none")).toBe(404);
		expect(await send(postHeaders, list, "api/bootstrap")).toBe(405);
		expect(
			(await ask(handler, "api/list", { headers: { cookie } })).status,
		).toBe(405);
	});

	test("an application decides itself whom it lets in, and gives no token", async () => {
		const handler = studio(db.service, {
			hosts: ["app.example.com"],
			authorize: (request) => request.headers.get("x-user") === "admin",
		});
		expect(handler.token).toBeUndefined();
		const call = (headers: Record<string, string>) =>
			handler(
				new Request("https://app.example.com/api/bootstrap", { headers }),
			);
		expect((await call({})).status).toBe(401);
		expect((await call({ "x-user": "admin" })).status).toBe(200);
		expect((await call({ "x-user": "admin", host: "127.0.0.1" })).status).toBe(
			403,
		);
	});

	test("a studio without options has a random token", async () => {
		const [one, other] = [studio(db.service), studio(db.service)];
		expect(one.token).toMatch(/^[\w-]{32}$/);
		expect(one.token).not.toBe(other.token);
		expect(() => studio(db.service, { token: "short" })).toThrow(/too short/);
		for (const name of ["tenantId", "userId"])
			expect(() => studio(db.service, { [name]: undefined })).toThrow(
				expect.objectContaining({
					code: "VALIDATION",
					message: `${name} of studio is undefined`,
				}),
			);
	});

	test("every response forbids scripts of others, frames and guessing of types", async () => {
		const { handler, cookie } = await open();
		for (const path of ["", "api/bootstrap", "api/none", "none", "?token=x"]) {
			const { headers } = await ask(handler, path, { headers: { cookie } });
			const policy = headers.get("content-security-policy");
			expect(policy).toContain("default-src 'none'; script-src 'self'");
			expect(policy).not.toContain("unsafe");
			expect(headers.get("x-content-type-options")).toBe("nosniff");
			expect(headers.get("content-type") ?? "").not.toMatch(
				path.startsWith("api") ? /html/ : /^$/,
			);
			expect(headers.get("access-control-allow-origin")).toBeNull();
		}
	});
});

test("hostile content is data: it comes as it is, as JSON", async () => {
	const tenantId = "hostile";
	const title = `<script>alert(1)</script>"'\u2028&\u202e`;
	await db.service
		.repository(Film)
		.upsert([{ title, description: "<img src=x onerror=alert(1)>" }], {
			tenantId,
		});
	const { handler, cookie } = await open({ tenantId });
	const response = await handler(
		new Request(`${base}api/list`, {
			method: "POST",
			headers: { cookie, ...postHeaders },
			body: JSON.stringify({ table: entityType }),
		}),
	);
	expect(response.headers.get("content-type")).toBe("application/json");
	const { rows } = (await response.json()) as ListResponse;
	expect(rows[0]?.fields).toMatchObject({
		title,
		description: "<img src=x onerror=alert(1)>",
	});
	const page = await open({ tenantId });
	const found = await page.post<SearchResponse>("search", {
		query: 'it\'s $(rm -rf /) `x` "quoted"',
	});
	expect(found.body.code.shell).toContain(
		`rem recall 'it'\\''s $(rm -rf /) \`x\` "quoted"'`,
	);
});

test("a long text is cut in a list, and whole in the entity", async () => {
	const tenantId = "long";
	const description = "word ".repeat(500).trim();
	const [row] = await db.service
		.repository(Film)
		.upsert([{ title: "Long", description }], { tenantId });
	const page = await open({ tenantId });
	const list = await page.post<ListResponse>("list", { table: entityType });
	expect(list.body.rows[0]?.cut).toEqual(["description"]);
	const whole = await page.post<EntityDetail>("entity", {
		entityType,
		entityId: row?.id,
	});
	expect(whole.body.fields.description).toBe(description);
});

test("a condition is split where all parts must be true", () => {
	expect(filterParts("a = 1 AND b = 'x AND y' and (c = 2 OR d = 3)")).toEqual([
		"a = 1",
		"b = 'x AND y'",
		"(c = 2 OR d = 3)",
	]);
	expect(filterParts("a BETWEEN 1 AND 2 AND b = 3")).toEqual([
		"a BETWEEN 1 AND 2",
		"b = 3",
	]);
	expect(filterParts("a = 1 OR b = 2 AND c = 3")).toEqual([
		"a = 1 OR b = 2 AND c = 3",
	]);
});

describe("mounted in an application", () => {
	const options = {
		tenantId: "mounted",
		basePath: "/admin/studio",
		hosts: ["127.0.0.1"],
		authorize: (request: Request) => request.headers.get("x-role") === "admin",
	};

	test("under a path of node:http, as Express calls it", async () => {
		await films("mounted");
		const handler = studio(db.service, options);
		handlers.push(handler);
		const listener = nodeListener(handler);
		// `app.use(path, listener)` of Express takes the path out of the address.
		const server = createServer((request, response) => {
			const { url = "" } = request;
			if (!url.startsWith(options.basePath)) return response.end("the app");
			const mounted = Object.assign(request, { originalUrl: url });
			mounted.url = url.slice(options.basePath.length) || "/";
			listener(mounted, response);
		});
		await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
		const { port } = server.address() as AddressInfo;
		const ask = (path: string, init: RequestInit = {}) =>
			fetch(`http://127.0.0.1:${port}${path}`, {
				redirect: "manual",
				...init,
				headers: { "x-role": "admin", ...init.headers },
			});
		try {
			expect(await (await ask("/")).text()).toBe("the app");
			const moved = await ask("/admin/studio");
			expect([moved.status, moved.headers.get("location")]).toEqual([
				308,
				"/admin/studio/",
			]);
			const page = await ask("/admin/studio/");
			expect(await page.text()).toContain("<title>rem studio</title>");
			const found = await ask("/admin/studio/api/search", {
				method: "POST",
				headers: postHeaders,
				body: JSON.stringify({ query: "dinosaurs in a park", limit: 2 }),
			});
			expect(await found.json()).toMatchObject({
				items: [{ title: "Jurassic Park" }, { title: "The Lost World" }],
			});
			const other = await ask("/admin/studio/", { headers: { "x-role": "" } });
			expect(other.status).toBe(401);
		} finally {
			server.close();
		}
	});

	test("as a route of Hono or Next: a function of the web's Request", async () => {
		const handler = studio(db.service, options);
		handlers.push(handler);
		// app.all("/admin/studio/*", (c) => handler(c.req.raw)); in Next.js:
		const route = { GET: handler, POST: handler };
		const headers = { host: "127.0.0.1", "x-role": "admin" };
		const page = await route.GET(
			new Request("http://127.0.0.1/admin/studio/", { headers }),
		);
		expect(page.headers.get("content-type")).toContain("text/html");
		const listed = await route.POST(
			new Request("http://127.0.0.1/admin/studio/api/list", {
				method: "POST",
				headers: { ...headers, ...postHeaders },
				body: JSON.stringify({ table: entityType }),
			}),
		);
		expect(listed.status).toBe(200);
	});
});

describe("health", () => {
	test("a snapshot has every part", async () => {
		const page = await open();
		const { body } = await page.get<HealthSnapshot>("health");
		for (const part of [
			"checks",
			"cache",
			"embeddings",
			"indexes",
			"pool",
			"statements",
		] as const)
			expect([part, body[part]?.ok]).toEqual([part, true]);
		const closed = await open({ health: false });
		expect((await closed.get("health")).status).toBe(403);
		expect((await closed.get("events")).status).toBe(403);
	});

	test("the stream has an event for each part, and at most 20 pages look", async () => {
		const { handler, cookie } = await open();
		const gone = new AbortController();
		const look = () =>
			handler(
				new Request(`${base}api/events`, {
					headers: { cookie },
					signal: gone.signal,
				}),
			);
		const first = await look();
		expect(first.headers.get("content-type")).toContain("text/event-stream");
		const reader = first.body?.pipeThrough(new TextDecoderStream()).getReader();
		const parts = new Set<string>();
		while (parts.size < 6) {
			const { value = "" } = (await reader?.read()) ?? {};
			for (const [, name] of value.matchAll(/^event: (\w+)$/gm))
				parts.add(name ?? "");
		}
		for (let at = 1; at < 20; at++) expect((await look()).status).toBe(200);
		expect((await look()).status).toBe(503);
		gone.abort();
		const again = new AbortController();
		const later = await handler(
			new Request(`${base}api/events`, {
				headers: { cookie },
				signal: again.signal,
			}),
		);
		expect(later.status).toBe(200);
		again.abort();
	});
});

describe("a database that is away", () => {
	let service: PostgresService<readonly [typeof Film]>;
	let drop: () => Promise<void>;
	beforeAll(async () => {
		const database = await createDatabase();
		drop = database.drop;
		service = await PostgresService.connect({
			connectionString: database.url,
			models: [Film],
			embedding: { provider: new FakeProvider() },
		});
		await service.migrate();
	});
	afterAll(async () => {
		await service.close();
		await drop();
	});

	test("errors are JSON with code and hint; the health reports them by part", async () => {
		const handler = studio(service, { authorize: () => true });
		await service.close();
		const response = await handler(
			new Request(`${base}api/list`, {
				method: "POST",
				headers: postHeaders,
				body: JSON.stringify({ table: entityType }),
			}),
		);
		expect(response.status).toBe(503);
		expect(await response.json()).toMatchObject({
			error: { code: "CONNECTION_FAILED", hint: expect.any(String) },
		});
		const health = await handler(new Request(`${base}api/health`));
		expect(await health.json()).toMatchObject({
			cache: { ok: false, error: { code: "CONNECTION_FAILED" } },
			pool: { ok: true },
		});
	});
});
