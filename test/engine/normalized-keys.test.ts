import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { encodeArray } from "../../src/db/encode.ts";
import { defineEntity, type Edge, PostgresService } from "../../src/index.ts";
import { isNameless } from "../../src/models/key-characters.ts";
import { ident, sql } from "../../src/sql.ts";
import {
	codeOf,
	coreOf,
	coresOf,
	createDatabase,
	useService,
} from "../support/engine.ts";

const Name = defineEntity(
	"names",
	{ name: z.string(), year: z.number().int().optional() },
	{ entityKeyField: "name" },
);
const db = useService({ models: [Name] });
const tenantId = "keys";

const upsert = (
	entities: readonly { name: string; graphEdges?: readonly Edge[] }[],
) => db.service.batchUpsert({ tableName: "names", tenantId, entities });

/** What the function makes of the texts; a NUL is in none of them. */
async function normalized(texts: readonly string[]): Promise<string[]> {
	const made: string[] = [];
	const { schema } = coreOf(db.service).settings;
	for (let at = 0; at < texts.length; at += 50_000) {
		const { rows } = await db.service.core.db.query<{ key: string }>(
			sql`SELECT ${ident(schema, "rem_normalize_key")}(t.text) AS key FROM unnest(${encodeArray("text", texts.slice(at, at + 50_000))}::text[]) WITH ORDINALITY AS t (text, place) ORDER BY t.place`,
		);
		made.push(...rows.map(({ key }) => key));
	}
	return made;
}

const assigned = Array.from({ length: 0x10ffff }, (_, at) => at + 1)
	.filter((code) => code < 0xd800 || code > 0xdfff)
	.map((code) => String.fromCodePoint(code))
	.filter((one) =>
		/[^\p{Cn}\p{Co}]|\p{Default_Ignorable_Code_Point}/u.test(one),
	);

/** All that has another form, is a mark or is no letter; of the others, every hundredth. */
const codePoints = assigned.filter(
	(one, at) =>
		at % 100 === 0 || /[^\p{L}]/u.test(one) || formsOf(one).length > 1,
);

function formsOf(text: string): string[] {
	const [first = "", ...rest] = text;
	const cased = [
		text,
		text.toUpperCase(),
		text.toLowerCase(),
		text.toUpperCase().toLowerCase(),
		text.toLowerCase().toUpperCase(),
		first.toUpperCase() + rest.join("").toLowerCase(),
	];
	const forms = ["NFC", "NFD", "NFKC", "NFKD"] as const;
	return [
		...new Set(
			cased.flatMap((one) => [one, ...forms.map((f) => one.normalize(f))]),
		),
	];
}

describe("a normalised key", () => {
	test("is its own normalised key, of every code point", async () => {
		const once = await normalized(codePoints);
		const twice = await normalized(once);
		const differs = codePoints.filter((_, at) => once[at] !== twice[at]);
		expect(differs).toEqual([]);
		const inText = await normalized(codePoints.map((one) => `a${one}b c`));
		expect(await normalized(inText)).toEqual(inText);
	});

	test("is its own normalised key, of any text", async () => {
		const texts = fc.sample(
			fc
				.string({ unit: "binary", maxLength: 300 })
				.map((text) => text.replaceAll("\0", "")),
			3000,
		);
		const once = await normalized(texts);
		expect(await normalized(once)).toEqual(once);
		for (const key of once) expect([...key].length).toBeLessThanOrEqual(255);
	});

	test("of ASCII alone is that of the same text with something invisible in it", async () => {
		const ascii = fc.string({ unit: "binary-ascii", maxLength: 40 });
		const texts = [
			...Array.from({ length: 127 }, (_, at) => String.fromCharCode(at + 1)),
			..."-_ `'\t\n\v\f\r\x1c"
				.split("")
				.flatMap((a) =>
					[..."-_ `'\t\n"].map((b) => `${a}${b}Name${b}${a}Of${a}${a}One${b}`),
				),
			...fc.sample(ascii, 3000).map((text) => text.replaceAll("\0", "")),
		];
		const [plain, mixed] = [
			await normalized(texts),
			await normalized(texts.map((text) => `\u200b${text}`)),
		];
		expect(plain).toEqual(mixed);
	});

	test("is the same of all forms of every cased code point", async () => {
		const given: string[] = [];
		const forms: string[] = [];
		for (const code of codePoints)
			for (const form of formsOf(code))
				if (form !== code) {
					given.push(`x${code}y`);
					forms.push(`x${form}y`);
				}
		const [a, b] = [await normalized(given), await normalized(forms)];
		const differs = new Set(
			given.filter((_, at) => a[at] !== b[at]).map((text) => [...text][1]),
		);
		// The dotless i of Turkish is a letter of its own; JavaScript's Unicode can
		// be newer or older than PostgreSQL's.
		const known = [...differs].filter((one) => one !== "ı" && isOld(one ?? ""));
		expect(known).toEqual([]);
		expect(given.length).toBeGreaterThan(10_000);
	});

	test("has one hyphen for every dash, space and underscore", async () => {
		const dashes = codePoints.filter((one) => /\p{Dash}/u.test(one));
		expect(dashes.length).toBeGreaterThan(25);
		const spaces = codePoints.filter((one) => /\p{White_Space}/u.test(one));
		const others = [..."⁃⁒➖˗─━⎯⑈＿﹘﹣－⁻₋︱︲"];
		const runs = ["_", "−", "--", " — ", "_-\u2011 "];
		const texts = [...dashes, ...spaces, ...others, ...runs];
		const keys = await normalized(texts.map((one) => `jean${one}luc`));
		expect(new Set(keys)).toEqual(new Set(["jean-luc"]));
	});

	test("has one apostrophe", async () => {
		const signs = [..."'’‘‚‛ʼʻʽʾʿ′‵`´ˊˋˈʹʹ˴＇｀՚ՙ׳ߴߵꞋꞌ❛❜΄´`᾽᾿῾"];
		const texts = [
			...signs,
			...signs.map((one) => one.normalize("NFKC")),
			...signs.map((one) => one.normalize("NFD")),
		].map((one) => `O${one}Brien`);
		expect(new Set(await normalized(texts))).toEqual(new Set(["o'brien"]));
	});

	test("has no invisible characters", async () => {
		const invisible = codePoints.filter((one) =>
			/\p{Default_Ignorable_Code_Point}/u.test(one),
		);
		expect(invisible.length).toBeGreaterThan(4000);
		const keys = await normalized(
			invisible.flatMap((one) => [`${one}Ada`, `A${one}da`, `Ada${one}`]),
		);
		expect(new Set(keys)).toEqual(new Set(["ada"]));
	});
});

test("the empty form is known without a database, of every code point", async () => {
	const forms = await normalized(assigned);
	const differs = assigned.filter(
		(one, at) => isNameless(one) !== (forms[at] === ""),
	);
	expect(differs).toEqual([]);
	const texts = fc.sample(
		fc
			.array(fc.constantFrom(...assigned.filter(isNameless)), { maxLength: 20 })
			.map((all) => all.join("")),
		1000,
	);
	expect(new Set(await normalized(texts))).toEqual(new Set([""]));
	expect(texts.every(isNameless)).toBe(true);
}, 300_000);

/** In Unicode 15, which all supported versions of Node.js have. */
function isOld(text: string): boolean {
	const code = text.codePointAt(0) ?? 0;
	return !(
		(code >= 0xa7cb && code <= 0xa7f1) ||
		(code >= 0x10d50 && code <= 0x10d85) ||
		(code >= 0x16ea0 && code <= 0x16ed3) ||
		code === 0x1c89 ||
		code === 0x1c8a
	);
}

test("every form of a name finds it, in every verb", async () => {
	const entities = [
		{
			name: "Jean-Luc O'Brien",
			graphEdges: [{ dst: "ΐ — x", rel_type: "knows" }],
		},
		{ name: "ΐ-X" },
	];
	await db.service.batchUpsert({ tableName: "names", tenantId, entities });
	for (const key of [
		"Jean‑Luc O’Brien",
		"jean–luc o´brien",
		"JEAN−LUC\u200b O‘BRIEN",
		"\ufeffJean_Luc\u00a0O'Brien\u2060",
	]) {
		const found = await db.service.lookupEntities({
			entityKeys: [key],
			tenantId,
		});
		expect(found.map(({ entityKey }) => entityKey)).toEqual([
			"Jean-Luc O'Brien",
		]);
		const { nodes } = await db.service.traverse({ from: key, tenantId });
		expect(nodes.map(({ entityKey }) => entityKey)).toEqual(["ΐ-X"]);
	}
	const upper = await db.service.lookupEntities({
		entityKeys: ["ΐ-x".toUpperCase()],
		tenantId,
	});
	expect(upper).toHaveLength(1);
});

test.each([
	["a space", " "],
	["a tab and a line feed", "\t\n"],
	["no-break spaces", "\u00a0\u202f"],
	["an ideographic space", "\u3000"],
	["a next line and separators", "\u0085\u2028\u2029"],
	["a zero-width space", "\u200b"],
	["a byte order mark", "\ufeff"],
	["a soft hyphen", "\u00ad"],
	["joiners and marks of direction", "\u200d\u200e\u2066"],
	["a Hangul filler", "\u3164"],
	["several of these", " \u200b\t\ufeff"],
])("a key of %s is refused", async (_, name) => {
	const write = db.service.batchUpsert({
		tableName: "names",
		tenantId,
		entities: [{ name }],
	});
	await expect(write).rejects.toMatchObject({
		code: "VALIDATION",
		message: expect.stringContaining("key is blank"),
	});
	const service = db.service;
	for (const read of [
		service.lookupEntities({ entityKeys: [name], tenantId }),
		service.traverse({ from: name, tenantId }),
		service.link({ from: name, edges: { dst: "x", rel_type: "y" }, tenantId }),
		service.unlink({ from: "ΐ-X", dst: name, tenantId }),
	])
		expect(await codeOf(read)).toBe("VALIDATION");
});

describe.each(["-", "—", "_ _", "\u2011\u2212", "＿", "－ \u200b"])(
	"a key of dashes, %s,",
	(name) => {
		test("is refused wherever a key is given", async () => {
			await upsert([{ name: "real" }]);
			const link = (from: string, dst: string) =>
				db.service.link({ from, edges: { dst, rel_type: "y" }, tenantId });
			const unlink = (from: string, dst: string) =>
				db.service.unlink({ from, dst, tenantId });
			const edge = { dst: name, rel_type: "y" };
			const calls: Readonly<Record<string, () => Promise<unknown>>> = {
				upsert: () => upsert([{ name }]),
				"edges of an upsert": () => upsert([{ name: "a", graphEdges: [edge] }]),
				lookupEntities: () =>
					db.service.lookupEntities({ entityKeys: [name], tenantId }),
				traverse: () => db.service.traverse({ from: name, tenantId }),
				"link from": () => link(name, "x"),
				"link to": () => link("real", name),
				"unlink from": () => unlink(name, "x"),
				"unlink to": () => unlink("real", name),
				LOOKUP: () => db.service.query(`LOOKUP '${name}'`, { tenantId }),
				TRAVERSE: () =>
					db.service.query(`TRAVERSE WITH LOOKUP '${name}'`, { tenantId }),
			};
			for (const [what, call] of Object.entries(calls)) {
				const error: unknown = await call().catch((e) => e);
				expect({ what, error }).toMatchObject({
					error: {
						code: "VALIDATION",
						message: expect.stringContaining(
							"nothing but dashes and underscores",
						),
					},
				});
			}
		});
	},
);

describe("a key of dashes that another program writes", () => {
	const given = ["-", "—", "__"];

	test("is stored, and found by its id, but by no name", async () => {
		await db.service.execute(
			"INSERT INTO public.names (tenant_id, name) SELECT 'psql', unnest($1::text[])",
			[encodeArray("text", given)],
		);
		await db.service.execute(
			"INSERT INTO public.names (tenant_id, name, graph_edges) SELECT 'psql', 'points', jsonb_agg(jsonb_build_object('dst', dst, 'rel_type', 'x')) FROM unnest($1::text[]) AS dst",
			[encodeArray("text", [...given, "names/—", "_-_"])],
		);
		const rows = await db.service.repository(Name).find({ tenantId: "psql" });
		expect(rows).toHaveLength(given.length + 1);
		for (const direction of ["out", "in", "both"] as const) {
			const { nodes } = await db.service.traverse({
				from: "points",
				tenantId: "psql",
				direction,
			});
			expect(nodes).toEqual([]);
		}
		const { from } = await db.service.traverse({
			from: "names/—",
			tenantId: "psql",
		});
		expect(from).toBeUndefined();
		const dash = rows.find(({ name }) => name === "—");
		const byId = await db.service.traverse({
			from: dash?.id ?? "",
			tenantId: "psql",
			direction: "in",
		});
		expect(byId.from?.entityKey).toBe("—");
		expect(byId.nodes).toEqual([]);
		expect(await db.service.kv.verify()).toMatchObject({ differences: [] });
	});
});

test("a database whose keys were normalised by older rules is brought to these", async () => {
	const database = await createDatabase();
	onTestFinished(database.drop);
	const service = await PostgresService.connect({
		connectionString: database.url,
		models: [Name],
		embedding: { provider: "local" },
	});
	onTestFinished(() => service.close());
	await service.migrate();
	// As the function was.
	await service.execute(`CREATE OR REPLACE FUNCTION public.rem_normalize_key(key TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN left(btrim(regexp_replace(casefold(normalize(key, NFKC) COLLATE pg_unicode_fast), '[[:space:]_-]+', '-', 'g'), '-'), 255);
COMMENT ON FUNCTION public.rem_normalize_key(TEXT) IS NULL;
UPDATE public.rem_migrations SET sha256 = 'old' WHERE name = '001_setup_extensions.sql'`);
	await service.batchUpsert({
		tableName: "names",
		tenantId,
		entities: [{ name: "O’Brien" }],
	});
	const find = async () =>
		(await service.lookupEntities({ entityKeys: ["O'Brien"], tenantId }))
			.length;
	expect(await find()).toBe(0);
	await service.migrate();
	expect(await find()).toBe(1);
	await service.kv.rebuild();
	expect(await find()).toBe(1);
	const { rows } = await service.execute(
		"SELECT normalized_key FROM public.kv_store",
	);
	expect(rows).toEqual([{ normalized_key: "o'brien" }]);
	// What reads use while the cache is rebuilt.
	await service.execute("DELETE FROM public.kv_state");
	expect(await find()).toBe(1);
	const indexes = await service.execute<{ ready: boolean }>(
		"SELECT indisvalid AS ready FROM pg_index WHERE indrelid = 'public.names'::regclass AND pg_get_indexdef(indexrelid) LIKE '%rem_normalize_key%'",
	);
	expect(indexes.rows).toEqual(coresOf(service).map(() => ({ ready: true })));
	expect(await service.schema.diff()).toEqual([]);
	expect(await service.migrate()).toEqual({ applied: [] });
});
