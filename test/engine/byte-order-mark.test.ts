import { expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { useService } from "../support/engine.ts";

// U+FEFF is a character like any other, also where a text begins with it. An
// engine whose decoder drops it reads another text than was written: the row
// written back is a second one, and a page begins after a key that does not exist.

const bom = "\u{FEFF}";

const Text = defineEntity(
	"bom_texts",
	{
		name: z.string(),
		content: z.string().optional(),
		sessionId: z.string().optional(),
		words: z.array(z.string()).optional(),
		choice: z.enum(["plain", `${bom}marked`]).optional(),
		anything: z.unknown().optional(),
		nested: z.object({ inner: z.string() }).optional(),
	},
	{ entityKeyField: "name" },
);
const db = useService({ models: [Text] });

const texts = () => db.service.repository(Text);

const full = (name: string) => ({
	name,
	content: `${bom}content`,
	sessionId: `${bom}session`,
	words: [`${bom}one`, "two", `${bom}`, `${bom}${bom}`],
	choice: `${bom}marked` as const,
	anything: { [`${bom}key`]: [`${bom}value`], text: `${bom}` },
	nested: { inner: `${bom}inner` },
	graphEdges: [{ dst: `${bom}target`, rel_type: "is" }],
	metadata: { [`${bom}m`]: `${bom}v` },
	tags: [`${bom}tag`],
	tenantId: `${bom}tenant`,
	userId: `${bom}user`,
});

test("every kind of field is read as it was written", async () => {
	const given = full(`${bom}whole`);
	const stored = await texts().upsert(given as never);
	expect(stored).toMatchObject(given);
	const read = await texts().getById(stored.id, given.tenantId);
	expect(read).toEqual(stored);
});

test("a row that is written back is the same row", async () => {
	const [row] = await texts().find({ name: `${bom}whole` });
	const result = await db.service.batchUpsert({
		tableName: "bom_texts",
		entities: [row as never],
		tenantId: `${bom}tenant`,
	});
	expect(result.inserted).toBe(0);
	expect(await texts().find({ tenantId: `${bom}tenant` })).toEqual([
		{ ...row, updatedAt: expect.any(Date) },
	]);
});

test("names with and without it are two names, in every read", async () => {
	const tenantId = "names";
	for (const name of ["twin", `${bom}twin`])
		await texts().upsert({ name, content: name, tenantId });
	const rows = await texts().find({ tenantId }, { orderBy: "name asc" });
	expect(rows.map(({ name }) => name).sort()).toEqual(
		["twin", `${bom}twin`].sort(),
	);
	expect(await texts().count({ tenantId, name: `${bom}twin` })).toBe(1);
	const hits = await db.service.vectorSearch({
		tableName: "bom_texts",
		queryText: "twin",
		tenantId,
	});
	expect(new Set(hits.map(({ name }) => name))).toEqual(
		new Set(["twin", `${bom}twin`]),
	);
});

test("iterate in the order of such texts gives each row once, and ends", async () => {
	const tenantId = "pages";
	const names = Array.from({ length: 1200 }, (_, at) => `${bom}row ${at}`);
	await db.service.batchUpsert({
		tableName: "bom_texts",
		entities: names.map((name) => ({ name, sessionId: `${bom}s` })),
		tenantId,
		generateEmbeddings: false,
	});
	for (const orderBy of ["name asc", "name desc", "sessionId asc"] as const) {
		const seen: string[] = [];
		for await (const { name } of texts().iterate({ tenantId }, { orderBy })) {
			seen.push(name);
			if (seen.length > names.length) break;
		}
		expect(seen.sort()).toEqual([...names].sort());
	}
});

test("a tenant's name may begin with it", async () => {
	const scope = db.service.scope({ tenantId: `${bom}tenant` });
	const [row] = await scope.repository(Text).find({});
	expect(row?.tenantId).toBe(`${bom}tenant`);
	await scope.repository(Text).upsert({ ...row, content: "changed" } as never);
	expect(await scope.repository(Text).count()).toBe(1);
});

test("values, column names, arrays, JSON and errors of your own SQL retain it", async () => {
	const { rows } = await db.service.execute(
		`SELECT $1::text AS "${bom}column", ARRAY[$1::text] AS texts, jsonb_build_object($1::text, $1::text) AS json, to_json($1::text) AS scalar, $1::varchar AS v, $1::name AS n`,
		[`${bom}x`],
	);
	expect(rows).toEqual([
		{
			[`${bom}column`]: `${bom}x`,
			texts: [`${bom}x`],
			json: { [`${bom}x`]: `${bom}x` },
			scalar: `${bom}x`,
			v: `${bom}x`,
			n: `${bom}x`,
		},
	]);
	const error = await db.service
		.execute(`SELECT * FROM "${bom}absent"`)
		.catch((e) => e);
	expect(error.message).toContain(`"${bom}absent"`);
});
