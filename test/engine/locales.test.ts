import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { createDatabase, engine } from "../support/engine.ts";

// What finds names and words in databases of each kind of locale: `letters` is
// whether LC_CTYPE knows those outside ASCII, `case` whose upper and lower case
// the locale knows.

const Note = defineEntity(
	"notes",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);
const models = [Note] as const;
const tenantId = "acme";

const c = "LC_COLLATE 'C' LC_CTYPE 'C'";
const utf8 = "LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'";
const locales = [
	[`LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' ${utf8}`, true, "all"],
	[`LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' ${c}`, false, "all"],
	[
		`LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST' ${c}`,
		false,
		"all",
	],
	[`LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C' ${utf8}`, true, "ascii"],
	[`LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C' ${c}`, false, "ascii"],
	[`LOCALE_PROVIDER libc LOCALE 'C'`, false, "ascii"],
	[`LOCALE_PROVIDER libc LOCALE 'C.UTF-8'`, true, "all"],
	[`LOCALE_PROVIDER icu ICU_LOCALE 'und' ${c}`, false, "all"],
	[`LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' ${utf8}`, true, "all"],
	[`LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' ${utf8}`, true, "turkish"],
] as const;

const rows = [
	{ name: "王小明", content: "École ÉTÉ" },
	{ name: "Пётр Чайковский", content: "a composer" },
	{ name: "Οδυσσέας", content: "big TITLE in town" },
	{
		name: "plain ascii",
		content: "nothing",
		graphEdges: [{ dst: "ПЁТР_ЧАЙКОВСКИЙ", rel_type: "plays" }],
	},
];

const keys = (hits: readonly { readonly entityKey: string }[]) =>
	hits.map(({ entityKey }) => entityKey);

async function createWith(locale: string): Promise<string> {
	const server = process.env.REM_TEST_DATABASE_URL as string;
	const name = `rem_locale_${process.pid}_${Date.now()}`;
	const admin = async (text: string) => {
		const client = new pg.Client({ connectionString: server });
		await client.connect();
		await client.query(text).finally(() => client.end());
	};
	await admin(
		`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' ${locale}`,
	);
	onTestFinished(() => admin(`DROP DATABASE ${name} WITH (FORCE)`));
	const url = new URL(server);
	url.pathname = `/${name}`;
	return url.href;
}

async function open(connectionString: string) {
	const warnings: string[] = [];
	const quiet = () => {};
	const service = await PostgresService.connect({
		connectionString,
		models,
		embedding: { provider: "local" },
		logger: {
			debug: quiet,
			info: quiet,
			error: quiet,
			warn: (_, message) => {
				warnings.push(message);
			},
		},
	});
	await service.migrate();
	await service.batchUpsert({ tableName: "notes", tenantId, entities: rows });
	return { service, warnings };
}

describe.runIf(engine === "server")("in a database", () => {
	test.each(locales)("of %s", async (locale, letters, folds) => {
		const { service, warnings } = await open(await createWith(locale));
		onTestFinished(() => service.close());

		// Whatever the locale, a key is found in every form of it.
		for (const { name } of rows)
			for (const form of [name, name.toUpperCase(), name.normalize("NFD")])
				expect(
					keys(await service.lookupEntities({ entityKeys: [form], tenantId })),
				).toEqual([name]);
		const { nodes } = await service.traverse({ from: "plain ascii", tenantId });
		expect(nodes).toHaveLength(1);

		// The trigrams of the very same text, and of nearly the same. What has no
		// spaces between words is found without them.
		for (const query of ["王小明", "Пётр Чайковский", "Пётр Чайковски"])
			for (const mode of ["key", "word"] as const)
				expect([
					query,
					keys(await service.fuzzySearch({ query, mode, tenantId })).length,
				]).toEqual([query, letters || query === "王小明" ? 1 : 0]);
		expect(
			keys(await service.fuzzySearch({ query: "plain ascii", tenantId })),
		).toEqual(["plain ascii"]);

		// Case.
		const words = async (query: string) =>
			(
				await service.hybridSearch({ tableName: "notes", query, tenantId })
			).filter(({ ranks }) => ranks.text !== undefined).length;
		expect(await words("école")).toBe(folds === "ascii" ? 0 : 1);
		expect(await words("title")).toBe(folds === "turkish" ? 0 : 1);
		const find = (where: object) =>
			service.repository(Note).count({ tenantId, ...where } as never);
		expect(await find({ content: { ilike: "%été" } })).toBe(
			folds === "ascii" ? 0 : 1,
		);
		expect(await find({ content: { ilike: "%title%" } })).toBe(
			folds === "turkish" ? 0 : 1,
		);

		// Pages by name end, and have every row once, in the order of the locale.
		const seen: string[] = [];
		for await (const row of service
			.repository(Note)
			.iterate({ tenantId }, { orderBy: "name" }))
			seen.push(row.name);
		expect(seen).toHaveLength(rows.length);
		const ordered = await service
			.repository(Note)
			.find({ tenantId }, { orderBy: "name" });
		expect(ordered.map(({ name }) => name)).toEqual(seen);

		// `migrate` and the doctor report everything that is not found.
		const expected = [
			...(letters
				? []
				: [/^(\w+: )?LC_CTYPE is "C": FUZZY finds no name outside/]),
			...(folds === "ascii" ? [/only ASCII letters have upper and/] : []),
			...(folds === "turkish" ? [/i is not the lower case of I/] : []),
		].map((message) => expect.stringMatching(message));
		expect(warnings).toEqual(expected);
		const { checks } = await service.doctor();
		const found = checks.filter(({ name }) => name === "locale");
		expect(
			found.filter(({ state }) => state === "warning").map((one) => one.found),
		).toEqual(expected);
		if (expected.length > 0)
			expect(found[0]?.remedy).toContain("--lc-ctype=C.UTF-8");
	});
});

test("the engine's own databases have all letters", async () => {
	const database = await createDatabase();
	onTestFinished(database.drop);
	const { service, warnings } = await open(database.url);
	onTestFinished(() => service.close());
	expect(warnings).toEqual([]);
	const { checks } = await service.doctor();
	expect(checks.find(({ name }) => name === "locale")).toMatchObject({
		state: "ok",
		found: expect.stringMatching(/LC_CTYPE /),
	});
	expect(
		keys(await service.fuzzySearch({ query: "Пётр Чайковски", tenantId })),
	).toEqual(["Пётр Чайковский"]);
});
