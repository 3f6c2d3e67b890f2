import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import {
	defineEntity,
	type Edge,
	type Traversal,
	type TraverseCall,
	type TraverseOrder,
} from "../../src/index.ts";
import { codeOf, useService } from "../support/engine.ts";

const fields = { name: z.string(), summary: z.string().optional() };
const Person = defineEntity("people", fields, { entityKeyField: "name" });
const Project = defineEntity("projects", fields, { entityKeyField: "name" });
const Place = defineEntity("places", fields, {
	entityKeyField: "name",
	tenantScoped: false,
});

const db = useService({ models: [Person, Project, Place] });

type NewNode = {
	readonly name: string;
	readonly graphEdges?: readonly Edge[];
	readonly userId?: string | null;
};

const write = (
	tableName: "people" | "projects" | "places",
	entities: readonly NewNode[],
	tenantId: string,
) => db.service.batchUpsert({ tableName, entities, tenantId });

const edge = (dst: string, rel_type = "knows", more: object = {}): Edge => ({
	dst,
	rel_type,
	...more,
});

const keys = ({ nodes }: Traversal) => nodes.map(({ entityKey }) => entityKey);

describe("a small company", () => {
	const tenantId = "company";
	const traverse = (options: Omit<TraverseCall, "tenantId">) =>
		db.service.traverse({ tenantId, limit: 1000, ...options });

	beforeAll(async () => {
		await write(
			"people",
			[
				{
					name: "Sally",
					graphEdges: [
						edge("bob", "manages", { weight: 0.9, since: 2020 }),
						edge("Carol", "manages"),
						edge("projects/Apollo", "leads", { weight: 0.1 }),
						edge("Nobody At All", "manages"),
					],
				},
				{ name: "Bob", graphEdges: [edge("dave", "manages"), edge("Sally")] },
				{ name: "Carol", graphEdges: [edge("Dave", "manages")] },
				{ name: "Dave", graphEdges: [edge("Lisbon", "lives_in")] },
				{ name: "Apollo", graphEdges: [] },
				{ name: "Loner" },
			],
			tenantId,
		);
		await write("projects", [{ name: "Apollo" }], tenantId);
		await write("places", [{ name: "Lisbon" }], tenantId);
		await write(
			"people",
			[
				{ name: "Bob", graphEdges: [edge("Eve", "manages")] },
				{ name: "Eve", graphEdges: [edge("Sally", "manages")] },
			],
			"another company",
		);
	});

	test("gives each entity once, nearest first, with its depth, path and edge", async () => {
		const { from, nodes, isComplete } = await traverse({
			from: "sally",
			depth: 3,
		});
		expect(from).toMatchObject({ entityKey: "Sally", entityType: "people" });
		expect(
			nodes.map(({ depth, path, entityType }) => [depth, entityType, path]),
		).toEqual([
			[1, "people", ["Sally", "Bob"]],
			[1, "people", ["Sally", "Carol"]],
			[1, "projects", ["Sally", "Apollo"]],
			[2, "people", ["Sally", "Bob", "Dave"]],
			[3, "places", ["Sally", "Bob", "Dave", "Lisbon"]],
		]);
		expect(nodes[0]).toMatchObject({
			direction: "out",
			edge: { dst: "bob", rel_type: "manages", weight: 0.9, since: 2020 },
		});
		expect(isComplete).toBe(true);
	});

	test("has the depth 1 and follows outgoing edges by default", async () => {
		expect(keys(await traverse({ from: "Sally" }))).toEqual([
			"Bob",
			"Carol",
			"Apollo",
		]);
	});

	test("follows only the given types, exactly as they are written", async () => {
		const of = async (...edgeTypes: string[]) =>
			keys(await traverse({ from: "Sally", edgeTypes, depth: 5 }));
		expect(await of("manages")).toEqual(["Bob", "Carol", "Dave"]);
		expect(await of("leads", "knows")).toEqual(["Apollo"]);
		expect(await of("Manages")).toEqual([]);
		expect(await of("' OR 1=1 --")).toEqual([]);
		expect(await of()).toHaveLength(5);
	});

	test("goes against the edges, and both ways", async () => {
		const incoming = await traverse({
			from: "Dave",
			direction: "in",
			depth: 2,
		});
		expect(keys(incoming).sort()).toEqual(["Bob", "Carol", "Sally"]);
		expect(
			incoming.nodes.find(({ entityKey }) => entityKey === "Sally"),
		).toMatchObject({
			depth: 2,
			direction: "in",
			path: ["Dave", "Bob", "Sally"],
			edge: { dst: "bob" },
		});
		const lisbon = await traverse({
			from: "lisbon",
			direction: "both",
			depth: 10,
		});
		expect(keys(lisbon).sort()).toEqual([
			"Apollo",
			"Bob",
			"Carol",
			"Dave",
			"Sally",
		]);
	});

	test("against the edges, too, an edge leads only to what it names", async () => {
		// People's Apollo has the name, but "projects/Apollo" is the other one.
		expect(
			keys(await traverse({ from: "people/Apollo", direction: "in" })),
		).toEqual([]);
		expect(
			keys(await traverse({ from: "projects/Apollo", direction: "in" })),
		).toEqual(["Sally"]);
	});

	test("begins at a key in any case, at table/key and at an id", async () => {
		const { from: sally } = await traverse({ from: "Sally" });
		const id = sally?.entityId ?? "";
		for (const from of ["SALLY", "people/sally", id, id.toUpperCase()])
			expect((await traverse({ from })).from?.entityKey, from).toBe("Sally");
	});

	test("an unknown name is no start", async () => {
		for (const from of [
			"Eve",
			"projects/Sally",
			"0190f7a0-0000-7000-8000-000000000000",
			"/",
		])
			expect(await traverse({ from, depth: 3, direction: "both" })).toEqual({
				from: undefined,
				nodes: [],
				edges: [],
				dangling: [],
				ambiguous: [],
				isComplete: true,
			});
	});

	test("lists the edges that lead nowhere, and the names that several have", async () => {
		const { dangling, ambiguous } = await traverse({ from: "Sally" });
		expect(dangling).toEqual([
			{ from: "Sally", edge: edge("Nobody At All", "manages") },
		]);
		expect(ambiguous).toEqual([]);
		const { ambiguous: names, from } = await traverse({ from: "apollo" });
		expect(names).toEqual([
			{
				dst: "apollo",
				matches: 2,
				taken: `${from?.entityType}/Apollo`,
			},
		]);
	});

	test("at the depth 0 counts the edges there are", async () => {
		const { nodes, edges } = await traverse({ from: "Sally", depth: 0 });
		expect(nodes).toEqual([]);
		expect(edges).toEqual([
			{ relType: "manages", direction: "out", count: 3 },
			{ relType: "leads", direction: "out", count: 1 },
		]);
		const both = await traverse({ from: "Bob", depth: 0, direction: "both" });
		expect(both.edges).toEqual([
			{ relType: "knows", direction: "out", count: 1 },
			{ relType: "manages", direction: "out", count: 1 },
			{ relType: "manages", direction: "in", count: 1 },
		]);
	});

	test("orders as requested, and applies the limit after that", async () => {
		// The types refuse what is not a term; JavaScript and the dialect pass any text.
		const by = async (orderBy: string | string[], limit = 1000) =>
			keys(
				await traverse({
					from: "Sally",
					orderBy: orderBy as TraverseOrder,
					limit,
					depth: 2,
				}),
			);
		expect(await by("weight desc")).toEqual(["Bob", "Carol", "Dave", "Apollo"]);
		expect(await by("weight desc", 1)).toEqual(["Bob"]);
		expect(await by("entity_key DESC")).toEqual([
			"Dave",
			"Carol",
			"Bob",
			"Apollo",
		]);
		expect(await by(["depth desc", "entityKey"])).toEqual([
			"Dave",
			"Apollo",
			"Bob",
			"Carol",
		]);
		expect(await by("depth desc, entity_key")).toEqual(
			await by(["depth desc", "entityKey"]),
		);
		expect(await by("depth", 2)).toEqual(["Bob", "Carol"]);
		expect(await codeOf(by("wait"))).toBe("UNKNOWN_FIELD");
		expect(await codeOf(by("weight up"))).toBe("VALIDATION");
	});

	test("reports when its budget was not enough", async () => {
		const some = await traverse({ from: "Sally", depth: 3, nodeBudget: 2 });
		expect(keys(some)).toEqual(["Bob", "Carol"]);
		expect(some.isComplete).toBe(false);
	});

	test("works while the cache is empty", async () => {
		for (const direction of ["out", "in", "both"] as const)
			for (const from of ["Dave", "people/sally"]) {
				const cached = await traverse({ from, depth: 3, direction });
				await db.service.execute("DELETE FROM kv_state; DELETE FROM kv_store");
				expect(await traverse({ from, depth: 3, direction })).toEqual(cached);
				await db.service.kv.ensureReady();
			}
	});

	test("stays inside its tenant", async () => {
		expect(
			keys(
				await db.service.traverse({
					from: "Eve",
					depth: 10,
					direction: "both",
					tenantId: "another company",
				}),
			),
		).toEqual(["Bob"]);
		expect(
			await db.service.traverse({ from: "Sally", tenantId: "third" }),
		).toMatchObject({ from: undefined });
	});

	test.each<[string, object, string]>([
		["an empty beginning", { from: "" }, "VALIDATION"],
		["a beginning with NUL", { from: "a\0" }, "VALIDATION"],
		["a beginning that is no text", { from: 7 }, "VALIDATION"],
		["a beginning that is too long", { from: "k".repeat(400) }, "INPUT_LIMIT"],
		["the depth 11", { depth: 11 }, "INPUT_LIMIT"],
		["a negative depth", { depth: -1 }, "INPUT_LIMIT"],
		["half a step", { depth: 0.5 }, "INPUT_LIMIT"],
		["a direction there is not", { direction: "up" }, "VALIDATION"],
		["the limit 0", { limit: 0 }, "INPUT_LIMIT"],
		["a budget of nothing", { nodeBudget: 0 }, "INPUT_LIMIT"],
		["types that are no list", { edgeTypes: "manages" }, "VALIDATION"],
		["a type that is empty", { edgeTypes: [""] }, "VALIDATION"],
		["the tenant *", { tenantId: "*" }, "VALIDATION"],
	])("refuses %s", async (_, options, code) => {
		expect(
			await codeOf(
				db.service.traverse({ from: "Sally", tenantId, ...options }),
			),
		).toBe(code);
	});
});

describe("users", () => {
	const tenantId = "users";

	beforeAll(() =>
		write(
			"people",
			[
				{ name: "shared", graphEdges: [edge("mine"), edge("theirs")] },
				{ name: "mine", userId: "me", graphEdges: [edge("end")] },
				{ name: "theirs", userId: "other", graphEdges: [edge("end")] },
				{ name: "end" },
				{ name: "end", userId: "me" },
			],
			tenantId,
		),
	);

	test("a user's own and shared entities are the visible graph", async () => {
		const seen = async (userId?: string | null) => {
			const { nodes, dangling } = await db.service.traverse({
				from: "shared",
				depth: 2,
				tenantId,
				...(userId === undefined ? {} : { userId }),
			});
			return [
				...nodes.map((node) => `${node.entityKey} ${node.userId}`),
				...dangling.map(({ edge: { dst } }) => `no ${dst}`),
			];
		};
		expect(await seen()).toEqual(["mine me", "theirs other", "end null"]);
		expect(await seen("me")).toEqual(["mine me", "end me", "no theirs"]);
		expect(await seen(null)).toEqual(["no mine", "no theirs"]);
	});
});

test("what other programs stored for edges does no harm", async () => {
	const tenantId = "foreign";
	await write("people", [{ name: "a" }, { name: "b" }], tenantId);
	for (const edges of [
		"{}",
		'"text"',
		"7",
		'[1, null, "b", [], {"dst": "b"}, {"rel_type": "x"}, {"dst": 5, "rel_type": {}}, {"dst": "b", "rel_type": "ok"}]',
	]) {
		await db.service.execute(
			`UPDATE people SET graph_edges = '${edges}' WHERE tenant_id = '${tenantId}' AND name = 'a'`,
		);
		const out = await db.service.traverse({ from: "a", tenantId });
		expect(keys(out)).toEqual(edges.startsWith("[") ? ["b"] : []);
		const into = await db.service.traverse({
			from: "b",
			tenantId,
			direction: "in",
		});
		expect(keys(into)).toEqual(edges.startsWith("[") ? ["a"] : []);
	}
});

test.each([3, 12])(
	"against the edges, %i ways to write a name are one, each edge of the type that it has",
	async (count) => {
		const tenantId = `written in ${count} ways`;
		const ways = [
			"b c",
			"B c",
			"b C",
			"B C",
			"b-c",
			"b_c",
			"B-C",
			"B_C",
			"b - c",
			"B - C",
			"b__c",
			"people/b c",
		].slice(0, count);
		const [first = ""] = ways;
		const noise = Array.from({ length: 30 }, (_, at) => edge(`other ${at}`));
		await write(
			"people",
			[
				{ name: "b c" },
				{ name: "5" },
				// Of several edges of a type the first counts.
				{
					name: "a",
					graphEdges: [
						...noise,
						...ways.map((way, at) => edge(way, `type ${at}`)),
						edge(first, "again", { no: 1 }),
						edge(ways.at(-1) ?? "", "again", { no: 2 }),
					],
				},
				{ name: "z", graphEdges: [edge(ways.at(-1) ?? "")] },
			],
			tenantId,
		);
		const into = (from: string, depth: number, edgeTypes: string[] = []) =>
			db.service.traverse({
				from,
				depth,
				edgeTypes,
				tenantId,
				direction: "in",
			});
		const counted = (await into("b c", 0)).edges;
		expect(counted.map(({ relType }) => relType).sort()).toEqual(
			["again", "knows", ...ways.map((_, at) => `type ${at}`)].sort(),
		);
		expect(keys(await into("b c", 1)).sort()).toEqual(["a", "z"]);
		const [again] = (await into("b c", 1, ["again"])).nodes;
		expect(again?.edge).toMatchObject({ no: 1 });
		// Another program may have stored a number for the name.
		await db.service.execute(
			`UPDATE people SET graph_edges = '[{"dst": 5, "rel_type": "n"}, {"dst": "5", "rel_type": "t"}]' WHERE tenant_id = '${tenantId}' AND name = 'z'`,
		);
		const numbered = (await into("5", 0)).edges;
		expect(numbered.map(({ relType }) => relType).sort()).toEqual(["n", "t"]);
	},
);

test("all of a node's edges are one page where all are wanted", async () => {
	const tenantId = "star";
	const leaves = Array.from({ length: 700 }, (_, at) => ({
		name: `leaf ${at}`,
	}));
	const graphEdges = leaves.map(({ name }) => edge(name));
	await write("people", [{ name: "star", graphEdges }, ...leaves], tenantId);
	for (const limit of [600, 700, 1000])
		for (const orderBy of [undefined, "entityKey"] as const) {
			const ordered = orderBy === undefined ? {} : { orderBy };
			const { nodes } = await db.service.traverse({
				from: "star",
				tenantId,
				limit,
				...ordered,
			});
			expect(new Set(keys({ nodes } as Traversal)).size).toBe(
				Math.min(limit, 700),
			);
		}
});

describe("a node with edges to every kind of target", () => {
	const tenantId = "kinds";
	const ids = new Map<string, string>();
	const idOf = (key: string) => ids.get(key) ?? "";
	const walk = (options: Partial<TraverseCall> = {}) =>
		db.service.traverse({ from: "hub", limit: 1000, tenantId, ...options });

	beforeAll(async () => {
		await write(
			"people",
			[
				{ name: "Ann Lee" },
				{ name: "Twin", userId: "me" },
				{ name: "Twin" },
				{ name: "Gone" },
				{ name: "Bo/Cy" },
				{ name: "projects/Apollo" },
				{ name: "by id" },
			],
			tenantId,
		);
		await write(
			"projects",
			[{ name: "Apollo" }, { name: "Ann Lee" }],
			tenantId,
		);
		await write("places", [{ name: "Rome" }], tenantId);
		for (const other of ["kinds of another", "kinds 2"])
			await write(
				"people",
				[{ name: "Ann Lee" }, { name: "Foreign" }, { name: "Nowhere 7" }],
				other,
			);
		for (const key of ["Ann Lee", "by id", "Bo/Cy"]) {
			const [hit] = await db.service.lookupEntities({
				entityKeys: [key],
				entityType: "people",
				tenantId,
			});
			ids.set(key, hit?.entityId ?? "");
		}
		const [foreign] = await db.service.lookupEntities({
			entityKeys: ["Foreign"],
			tenantId: "kinds of another",
		});
		ids.set("Foreign", foreign?.entityId ?? "");
		// Whose key is the id of another one.
		await write("people", [{ name: idOf("by id") }], tenantId);
		const { service } = db;
		const [gone] = await service
			.repository(Person)
			.find({ tenantId, name: "Gone" });
		await service.repository(Person).delete(gone?.id ?? "", tenantId);
		const noise = Array.from({ length: 600 }, (_, at) =>
			edge(`Nowhere ${at}`, "none"),
		);
		await write(
			"people",
			[
				{
					name: "hub",
					graphEdges: [
						...noise.slice(0, 300),
						edge("ANN_LEE", "in any case", { weight: 0.3 }),
						edge("people/ann lee"),
						edge("projects/ann-lee"),
						edge(idOf("by id").toUpperCase(), "by id"),
						edge("Ann Lee", "second name"),
						edge("Ann Lee", "met before"),
						edge("Bo/Cy"),
						edge("projects/Apollo"),
						edge("Rome"),
						edge("places/Rome", "met before"),
						edge("hub", "itself"),
						edge("Twin"),
						edge("Gone"),
						edge("people/Gone"),
						edge("Foreign"),
						edge(idOf("Foreign"), "of another tenant"),
						edge("projects/Rome"),
						...noise.slice(300),
					],
				},
			],
			tenantId,
		);
		await db.service.execute(
			`UPDATE people SET graph_edges = graph_edges || '[{"dst": "---", "rel_type": "dashes"}, {"dst": "/", "rel_type": "slash"}]' WHERE tenant_id = '${tenantId}' AND name = 'hub'`,
		);
	});

	test("meets them in the order of its edges, each once, by id, key or table/key", async () => {
		const { nodes, dangling, ambiguous } = await walk();
		expect(
			nodes.map(({ entityType, entityKey, userId, edge: { rel_type } }) =>
				[`${entityType}/${entityKey}`, userId, rel_type].join(" "),
			),
		).toEqual([
			"projects/Ann Lee  in any case",
			"people/Ann Lee  knows",
			"people/by id  by id",
			"people/Bo/Cy  knows",
			"people/projects/Apollo  knows",
			"places/Rome  knows",
			"people/Twin  knows",
		]);
		expect(nodes[0]?.edge).toEqual(
			edge("ANN_LEE", "in any case", { weight: 0.3 }),
		);
		expect(dangling.map(({ edge: { dst } }) => dst)).toEqual([
			...Array.from({ length: 300 }, (_, at) => `Nowhere ${at}`),
			"Gone",
			"people/Gone",
			"Foreign",
			idOf("Foreign"),
			"projects/Rome",
			...Array.from({ length: 300 }, (_, at) => `Nowhere ${300 + at}`),
			"---",
			"/",
		]);
		expect(ambiguous).toEqual([
			{ dst: "ANN_LEE", matches: 2, taken: "projects/Ann Lee" },
			{
				dst: idOf("by id").toUpperCase(),
				matches: 2,
				taken: "people/by id",
			},
			{ dst: "Ann Lee", matches: 2, taken: "projects/Ann Lee" },
			{ dst: "projects/Apollo", matches: 2, taken: "people/projects/Apollo" },
			{ dst: "Twin", matches: 2, taken: "people/Twin" },
		]);
	});

	test("prefers a user's own, and does not see another's", async () => {
		const twin = async (userId: string | null) => {
			const { nodes, ambiguous } = await walk({ userId });
			return [
				nodes.find(({ entityKey }) => entityKey === "Twin")?.userId,
				ambiguous.find(({ dst }) => dst === "Twin")?.matches,
			];
		};
		expect(await twin("me")).toEqual(["me", 2]);
		expect(await twin("another")).toEqual([null, undefined]);
		expect(await twin(null)).toEqual([null, undefined]);
	});

	test("gives the first ones alone, and counts what it looked at", async () => {
		expect(keys(await walk({ limit: 2 }))).toEqual(["Ann Lee", "Ann Lee"]);
		const some = await walk({ nodeBudget: 301 });
		expect(keys(some)).toEqual(["Ann Lee"]);
		expect(some.isComplete).toBe(false);
		expect(some.dangling).toHaveLength(300);
	});

	test("is found against each of them, and from no other", async () => {
		const into = async (from: string) =>
			(await walk({ from, direction: "in" })).nodes.map(
				({ entityKey, edge: { dst } }) => [entityKey, dst],
			);
		expect(await into("people/Ann Lee")).toEqual([["hub", "people/ann lee"]]);
		// Of several edges to it the first type.
		expect(await into("projects/Ann Lee")).toEqual([["hub", "ANN_LEE"]]);
		expect(await into(idOf("by id"))).toEqual([
			["hub", idOf("by id").toUpperCase()],
		]);
		expect(await into("Rome")).toEqual([["hub", "Rome"]]);
		// Of the two projects/Apollo the person's key is the better match.
		expect(
			await into(
				(
					await db.service.lookupEntity({
						entityKey: "Apollo",
						entityType: "projects",
						tenantId,
					})
				)?.entityId ?? "",
			),
		).toEqual([]);
		for (const tenant of ["kinds of another", "kinds 2"])
			expect(
				keys(
					await walk({ from: "Ann Lee", direction: "in", tenantId: tenant }),
				),
			).toEqual([]);
	});

	test("finds the same without the cache", async () => {
		const calls = [
			{},
			{ userId: "me" },
			{ from: "people/Ann Lee", direction: "in" },
			{ from: "hub", direction: "both", depth: 2 },
		] as const;
		for (const call of calls) {
			const cached = await walk(call);
			await db.service.execute("DELETE FROM kv_state; DELETE FROM kv_store");
			expect(await walk(call)).toEqual(cached);
			await db.service.kv.ensureReady();
		}
	});
});

describe("link and unlink", () => {
	const tenantId = "links";
	const edgesOf = async (entityKey: string) =>
		(await db.service.lookupEntity({ entityKey, tenantId }))?.graphEdges;

	test("add, replace and remove edges, in the cache as well", async () => {
		await write("people", [{ name: "Ann" }, { name: "Ben" }], tenantId);
		const link = (edges: Edge | Edge[]) =>
			db.service.link({ from: "ann", edges, tenantId });
		expect(await link(edge("Ben", "knows", { weight: 0.2, x: [1] }))).toEqual({
			added: 1,
			replaced: 0,
		});
		expect(
			await link([edge("Ben", "knows", { weight: 1 }), edge("Ben", "likes")]),
		).toEqual({ added: 1, replaced: 1 });
		expect(await edgesOf("Ann")).toEqual([
			edge("Ben", "knows", { weight: 1 }),
			edge("Ben", "likes"),
		]);
		const unlink = (dst: string, relType?: string) =>
			db.service.unlink({
				from: "people/ann",
				dst,
				tenantId,
				...(relType === undefined ? {} : { relType }),
			});
		expect(await unlink("ben", "hates")).toBe(0);
		expect(await unlink("BEN", "likes")).toBe(1);
		await link([edge("Ben", "a"), edge("Carl", "a")]);
		expect(await unlink("ben")).toBe(2);
		expect(await edgesOf("Ann")).toEqual([edge("Carl", "a")]);
	});

	test("of many writers at once, none is lost", async () => {
		await write("people", [{ name: "Hub" }], tenantId);
		await Promise.all(
			Array.from({ length: 20 }, (_, at) =>
				db.service.link({ from: "Hub", edges: edge(`n ${at}`), tenantId }),
			),
		);
		expect(await edgesOf("Hub")).toHaveLength(20);
		await Promise.all(
			Array.from({ length: 10 }, (_, at) =>
				db.service.unlink({ from: "Hub", dst: `n ${at}`, tenantId }),
			),
		);
		expect(await edgesOf("Hub")).toHaveLength(10);
	});

	test("belong to a transaction that is passed", async () => {
		await write("people", [{ name: "Tess" }], tenantId);
		await codeOf(
			db.service.transaction(async (transaction) => {
				await db.service.link({
					from: "Tess",
					edges: edge("x"),
					tenantId,
					transaction,
				});
				throw new Error("undone");
			}),
		);
		expect(await edgesOf("Tess")).toEqual([]);
	});

	test("refuse values that are not an edge, unknown names and ambiguous ones", async () => {
		await write("people", [{ name: "Twin" }], tenantId);
		await write("projects", [{ name: "Twin" }], tenantId);
		const link = (from: string, edges: unknown, tenant = tenantId) =>
			codeOf(db.service.link({ from, edges: edges as Edge, tenantId: tenant }));
		for (const bad of [
			{ dst: "", rel_type: "a" },
			{ dst: "a" },
			edge("a", "a", { weight: 1.5 }),
			edge("a", "a", { properties: [] }),
			edge("a\0"),
			null,
			"a",
		])
			expect(await link("people/Twin", bad)).toBe("VALIDATION");
		expect(await link("Nobody", edge("a"))).toBe("VALIDATION");
		expect(await link("Twin", edge("a"))).toBe("VALIDATION");
		expect(await link("people/Twin", edge("a"), "elsewhere")).toBe(
			"VALIDATION",
		);
		expect(await link("people/Twin", edge("a"))).toBe("no error");
	});
});

/**
 * Random graphs, twice written: in the database, and as lists that a loop
 * walks. REM_TEST_GRAPHS sets how many.
 */
describe("random graphs", () => {
	const graphs = Number(process.env.REM_TEST_GRAPHS ?? 40);
	const names = Array.from({ length: 8 }, (_, at) => `Node ${at}`);
	const types = ["a", "b"];
	const target = fc.oneof(
		{ weight: 6, arbitrary: fc.constantFrom(...names) },
		{
			weight: 2,
			arbitrary: fc
				.constantFrom(...names)
				.map((name) => name.toLowerCase().replace(" ", "_")),
		},
		{
			weight: 1,
			arbitrary: fc.constantFrom(...names).map((name) => `people/${name}`),
		},
		{ weight: 1, arbitrary: fc.constantFrom("missing", "projects/Node 1") },
	);
	const graph = fc.array(
		fc.array(fc.record({ dst: target, rel_type: fc.constantFrom(...types) }), {
			maxLength: 4,
		}),
		{ minLength: names.length, maxLength: names.length },
	);
	let tenants = 0;

	/** Which node a text names. */
	function named(text: string): number {
		const key = text.replace(/^people\//, "").replace("_", " ");
		return names.findIndex((name) => name.toLowerCase() === key.toLowerCase());
	}

	/** Depths by node, without the beginning. */
	function walk(
		edges: readonly (readonly { dst: string; rel_type: string }[])[],
		from: number,
		depth: number,
		direction: string,
		edgeTypes: readonly string[],
	): Map<string, number> {
		const depths = new Map([[from, 0]]);
		for (let step = 1; step <= depth; step++)
			for (const [source, own] of edges.entries())
				for (const { dst, rel_type } of own) {
					const end = named(dst);
					if (end === -1 || !edgeTypes.includes(rel_type)) continue;
					const ways = [
						...(direction === "in" ? [] : [[source, end]]),
						...(direction === "out" ? [] : [[end, source]]),
					] as [number, number][];
					for (const [near, far] of ways)
						if (depths.get(near) === step - 1 && !depths.has(far))
							depths.set(far, step);
				}
		depths.delete(from);
		return new Map([...depths].map(([at, d]) => [names[at] as string, d]));
	}

	test("are walked as a loop walks them", async () => {
		await fc.assert(
			fc.asyncProperty(
				graph,
				fc.nat({ max: names.length - 1 }),
				fc.constantFrom("out", "in", "both"),
				fc.subarray(types, { minLength: 1 }),
				async (edges, from, direction, edgeTypes) => {
					const tenantId = `graph ${++tenants}`;
					await write(
						"people",
						names.map((name, at) => ({
							name,
							graphEdges: edges[at] as Edge[],
						})),
						tenantId,
					);
					for (const depth of [1, 2, 3, 10]) {
						const { nodes } = await db.service.traverse({
							from: names[from] as string,
							depth,
							direction: direction as "out",
							edgeTypes,
							limit: 1000,
							tenantId,
						});
						expect(
							new Map(nodes.map((node) => [node.entityKey, node.depth])),
						).toEqual(walk(edges, from, depth, direction, edgeTypes));
						expect(nodes).toHaveLength(
							new Set(nodes.map(({ entityId }) => entityId)).size,
						);
						for (const node of nodes)
							expect(node.path).toHaveLength(node.depth + 1);
					}
				},
			),
			{ numRuns: graphs },
		);
	});
});
