import { existsSync } from "node:fs";
import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import {
	afterAll,
	beforeAll,
	describe,
	expect,
	onTestFinished,
	test,
} from "vitest";
import * as z from "zod";
import { pinnedSettings } from "../../src/db/session-settings.ts";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { createDatabase, engine } from "../support/engine.ts";

// A database and a role can set anything for their sessions. Whatever they set,
// every verb gives the same answers, or an error that names the setting.

/** Each setting with a value that changes results where it is not set back. Add what is found. */
const hostile: Readonly<Record<string, string>> = {
	DateStyle: "SQL, DMY",
	IntervalStyle: "sql_standard",
	TimeZone: "America/St_Johns",
	timezone_abbreviations: "Australia",
	extra_float_digits: "-15",
	bytea_output: "escape",
	standard_conforming_strings: "off",
	backslash_quote: "off",
	escape_string_warning: "on",
	array_nulls: "off",
	transform_null_equals: "on",
	quote_all_identifiers: "on",
	xmloption: "document",
	xmlbinary: "hex",
	default_transaction_isolation: "serializable",
	default_transaction_deferrable: "on",
	row_security: "off",
	exit_on_error: "on",
	gin_fuzzy_search_limit: "1",
	restrict_nonsystem_relation_kind: "view, foreign-table",
	session_replication_role: "replica",
	search_path: '"$user"',
	client_encoding: "SQL_ASCII",
	lc_numeric: "C",
	lc_monetary: "C",
	lc_time: "C",
	default_text_search_config: "pg_catalog.simple",
	check_function_bodies: "off",
	default_toast_compression: "lz4",
	synchronize_seqscans: "off",
	plan_cache_mode: "force_generic_plan",
	enable_indexscan: "off",
	enable_bitmapscan: "off",
	enable_hashjoin: "off",
	enable_sort: "off",
	enable_material: "off",
	enable_nestloop: "off",
	jit: "on",
	jit_above_cost: "0",
	work_mem: "64kB",
	constraint_exclusion: "on",
	idle_in_transaction_session_timeout: "10s",
	"pg_trgm.similarity_threshold": "0.99",
	"pg_trgm.word_similarity_threshold": "0.99",
	"pg_trgm.strict_word_similarity_threshold": "0.99",
	"hnsw.ef_search": "1",
	"hnsw.iterative_scan": "off",
	"hnsw.max_scan_tuples": "1",
};

const onServer = test.runIf(engine === "server");

const Note = defineEntity(
	"notes",
	{
		name: z.string(),
		content: z.string(),
		aside: z.string().meta({ embed: false }).optional(),
		weight: z.number().nullable().optional(),
		due: z.date().nullable().optional(),
		ratings: z.array(z.number()).optional(),
		words: z.array(z.string()).optional(),
	},
	{ entityKeyField: "name" },
);
const models = [Note] as const;
const tenantId = "acme";

const rows = [
	{
		name: "Jean-Luc Picard",
		content: "the captain's log \\ of a star ship",
		weight: 0.1 + 0.2,
		ratings: [0.1 + 0.2, 1 / 3, 5e-324],
		due: new Date("2024-01-02T03:04:05.678Z"),
		words: ["NULL", "null", "a\\b", "it's"],
		graphEdges: [{ dst: "Ольга", rel_type: "knows", weight: 0.1 }],
		metadata: { at: "2024-03-04 05:06:07", ratio: 0.30000000000000004 },
	},
	{ name: "Ольга", content: "a doctor in space", weight: 1e-300, words: [] },
	{ name: "Data", content: "an android in space", weight: null, due: null },
];

type Service = PostgresService<typeof models>;

/** What every verb answers, without values that differ in each run. */
async function useAll(service: Service) {
	const notes = service.repository(Note);
	const upsert = () =>
		service.batchUpsert({ tableName: "notes", tenantId, entities: rows });
	const first = await upsert();
	const again = await upsert();
	const [picard] = await notes.find({ tenantId, name: "Jean-Luc Picard" });
	const id = picard?.id ?? "";
	const pages: unknown[] = [];
	for await (const row of notes.iterate({ tenantId }, { orderBy: "weight" }))
		if (pages.push(row.name) > 10) break;
	const queries = [
		'LOOKUP "jean luc picard"',
		'FUZZY "ольг" THRESHOLD 0.2',
		'SEARCH "android" IN notes LIMIT 2',
		"SQL notes WHERE due = '2024-01-02T03:04:05.678'::timestamptz",
		"SQL notes WHERE due = '02.01.2024'::date OR due > '01/02/2024'::timestamptz",
		"SQL notes WHERE (metadata->>'at')::timestamptz = '2024-03-04 05:06:07Z'",
		"SQL notes WHERE weight = 0.30000000000000004 AND (metadata->>'ratio')::float8 = 0.30000000000000004",
		"SQL notes WHERE content LIKE '%\\\\%' OR words @> ARRAY['NULL']",
		"SQL notes WHERE aside = NULL",
		'TRAVERSE "Jean-Luc Picard" DEPTH 2',
	];
	const dialect = [];
	for (const text of queries)
		dialect.push(
			await service.query(text, { tenantId }).then(
				(result) => [text, names(result)],
				(error) => [text, error.code, error.message],
			),
		);
	const answers = {
		first: { ...first, ids: undefined, durationMs: undefined },
		again: { ...again, ids: undefined, durationMs: undefined },
		row: names(picard),
		byId: names(await notes.getById(id, tenantId)),
		count: await notes.count({ tenantId, weight: 0.1 + 0.2 }),
		filters: await Promise.all(
			[
				{ weight: { gt: 0.3 } },
				{ due: { gte: new Date("2024-01-02T03:04:05.678Z") } },
				{ words: { contains: ["NULL"] } },
				{ content: { like: "%\\\\%" } },
				{ metadata: { ratio: 0.30000000000000004 } },
				{ due: null },
			].map((where) =>
				notes.find({ tenantId, ...where } as never, { orderBy: "name" }).then(
					(found) => found.map(({ name }) => name),
					(error) => error.message,
				),
			),
		),
		pages,
		lookup: names(
			await service.lookupEntities({
				entityKeys: ["jean luc picard", "ОЛЬГА"],
				tenantId,
			}),
		),
		fuzzy: names(
			await service.fuzzySearch({ query: "Ольг", threshold: 0.3, tenantId }),
		),
		words: names(
			await service.fuzzySearch({ query: "picard", mode: "word", tenantId }),
		),
		contents: names(
			await service.fuzzySearch({
				query: "android",
				mode: "content",
				tenantId,
			}),
		),
		vector: names(
			await service.vectorSearch({
				tableName: "notes",
				queryText: "space",
				tenantId,
				limit: 3,
			}),
		),
		hybrid: names(
			await service.hybridSearch({
				tableName: "notes",
				query: "a captain's \\ log",
				tenantId,
				limit: 3,
			}),
		),
		outbound: names(
			(await service.traverse({ from: "jean-luc picard", tenantId })).nodes,
		),
		inbound: names(
			(await service.traverse({ from: "ольга", direction: "in", tenantId }))
				.nodes,
		),
		dialect,
		link: names(
			await service.link({
				tenantId,
				from: "data",
				edges: { dst: "Ольга", rel_type: "likes" },
			}),
		),
		unlink: await service.unlink({ tenantId, from: "Data", dst: "ольга" }),
	};
	const deleted = await notes.delete(id, tenantId);
	const gone = await service.lookupEntities({
		entityKeys: ["Jean-Luc Picard"],
		tenantId,
	});
	const restored = await notes.restore(id, tenantId);
	await service.embeddings.sync();
	return {
		...answers,
		deleted,
		gone: gone.length,
		restored,
		afterwards: names(
			await service.vectorSearch({
				tableName: "notes",
				queryText: "star ship",
				tenantId,
				limit: 1,
			}),
		),
		vectors: (
			await service.execute(
				"SELECT count(*)::int AS n FROM public.embeddings_notes",
			)
		).rows,
		purged: await notes.purge(id, tenantId),
		remaining: (
			await service.execute(
				"SELECT count(*)::int AS n FROM public.embeddings_notes",
			)
		).rows,
		diff: await service.schema.diff(),
		migrated: await service.migrate(),
	};
}

function names(found: unknown): unknown {
	return JSON.parse(
		JSON.stringify(found, (key, value) =>
			/[iI]ds?$|At$|_at$|^ms$/.test(key) ? undefined : value,
		),
	);
}

function alter(place: string, settings: Readonly<Record<string, string>>) {
	return Object.entries(settings)
		.map(([name, value]) => {
			const quoted = name
				.split(".")
				.map((part) => `"${part}"`)
				.join(".");
			const isList = name === "search_path";
			const text = isList ? value : `'${value.replaceAll("'", "''")}'`;
			return `ALTER ${place} SET ${quoted} = ${text}`;
		})
		.join(";\n");
}

async function asUser<R>(url: string, ...texts: string[]): Promise<R[]> {
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	try {
		let rows: R[] = [];
		for (const text of texts) rows = (await client.query(text)).rows as R[];
		return rows;
	} finally {
		await client.end();
	}
}

/** A database that is opened again and again, also on the embedded engine. */
async function openDatabase() {
	if (engine === "server") return createDatabase({ hasExtensions: false });
	const folder = await mkdtemp(join(tmpdir(), "rem-hostile-"));
	const drop = () => rm(folder, { recursive: true, force: true });
	return { url: `file:${folder}`, drop };
}

async function connect(
	connectionString: string,
	options: { readonly retryTimeoutMs?: number } = {},
): Promise<Service> {
	return PostgresService.connect({
		...options,
		connectionString,
		models,
		embedding: { provider: "local" },
		poolSize: 2,
	});
}

/** Runs the work on a service, and closes it. */
async function withService<T>(
	url: string,
	work: (service: Service) => Promise<T>,
	options: { readonly retryTimeoutMs?: number } = {},
): Promise<T> {
	const service = await connect(url, options);
	try {
		return await work(service);
	} finally {
		await service.close();
	}
}

/** Half of the settings are the database's, half the role's in it. The embedded engine reads its configuration only. */
async function makeHostile(url: string, settings = hostile): Promise<void> {
	const entries = Object.entries(settings);
	if (engine === "embedded") {
		const lines = entries
			.filter(([name]) => !unknownToEmbedded.has(name))
			.map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
		const file = join(
			url.slice("file:".length),
			"data",
			"postgresql.auto.conf",
		);
		if (!existsSync(file)) await withService(url, async () => {});
		return appendFile(file, lines.join(""));
	}
	const half = Math.floor(entries.length / 2);
	const [here] = await asUser<{ database: string; role: string }>(
		url,
		"SELECT quote_ident(current_database()) AS database, quote_ident(current_user) AS role",
	);
	await asUser(
		url,
		alter(
			`DATABASE ${here?.database}`,
			Object.fromEntries(entries.slice(0, half)),
		),
		alter(
			`ROLE ${here?.role} IN DATABASE ${here?.database}`,
			Object.fromEntries(entries.slice(half)),
		),
	);
}

/** It is built without LZ4 and JIT, and has one encoding. */
const unknownToEmbedded = new Set([
	"default_toast_compression",
	"client_encoding",
]);

let usual: Awaited<ReturnType<typeof useAll>>;

beforeAll(async () => {
	const database = await openDatabase();
	usual = await withService(database.url, async (service) => {
		await service.migrate();
		return useAll(service);
	});
	await database.drop();
});

async function newDatabase(): Promise<string> {
	const database = await openDatabase();
	onTestFinished(database.drop);
	return database.url;
}

test("the verbs of these tests find something", () => {
	const { gone, purged, diff, migrated, ...answers } = usual;
	expect({ gone, purged, diff, migrated }).toEqual({
		gone: 0,
		purged: true,
		diff: [],
		migrated: { applied: [] },
	});
	for (const [name, answer] of Object.entries(answers))
		expect([name, /^(0|\[\])$/.test(JSON.stringify(answer))]).toEqual([
			name,
			false,
		]);
	expect(usual.row).toMatchObject({
		weight: 0.1 + 0.2,
		ratings: rows[0]?.ratings,
	});
	expect(usual.again).toMatchObject({ unchanged: rows.length });
});

test("in a new database with every setting hostile, all verbs answer as usual", async () => {
	const url = await newDatabase();
	await makeHostile(url);
	const answers = await withService(url, async (service) => {
		await service.migrate();
		return useAll(service);
	});
	expect(answers).toEqual(usual);
});

test("and in one that was migrated before", async () => {
	const url = await newDatabase();
	await withService(url, (service) => service.migrate());
	await makeHostile(url);
	expect(await withService(url, useAll)).toEqual(usual);
});

test("every setting that a connection pins is among the hostile ones", () => {
	expect(Object.keys(hostile)).toEqual(
		expect.arrayContaining(Object.keys(pinnedSettings)),
	);
});

onServer.each(Object.entries(hostile))(
	"%s = %s is what a session of the database has",
	async (name, value) => {
		// Its driver sends one of its own.
		if (name === "client_encoding") return;
		const url = await hostileDatabase();
		const shown = await asUser<Record<string, string>>(url, `SHOW ${name}`);
		expect(Object.values(shown[0] ?? {})[0]).toBe(value);
	},
);

let shared: Promise<{ url: string; drop(): Promise<void> }> | undefined;

/** One for all tests that only read, or write in tenants of their own. */
async function hostileDatabase(): Promise<string> {
	shared ??= openDatabase().then(async (database) => {
		await withService(database.url, (service) => service.migrate());
		await makeHostile(database.url);
		return database;
	});
	return (await shared).url;
}

afterAll(async () => (await shared)?.drop());

onServer(
	"a program with such a session writes, and the triggers do as usual",
	async () => {
		const write = [
			`INSERT INTO public.notes (tenant_id, name, content) VALUES ('acme', 'Zoë__O’Brien', 'a\\b'), ('acme', 'Blank', E'\\t \\u00a0')`,
			"UPDATE public.notes SET name = 'Zoë O’Brien II', content = 'the second' WHERE name = 'Zoë__O’Brien'",
		];
		const read = async (url: string) => {
			await asUser(url, ...write);
			return withService(url, async (service) => ({
				queued: (
					await service.execute(
						"SELECT count(*)::int AS n FROM public.rem_embedding_queue",
					)
				).rows,
				names: names(
					await service.lookupEntities({
						entityKeys: ["ZOË-O'BRIEN ii", "Zoë O'Brien"],
						tenantId,
					}),
				),
				found: await service.embeddings.sync(),
				verified: await service.kv.verify(),
				vector: names(
					await service.vectorSearch({
						tableName: "notes",
						queryText: "second",
						tenantId,
					}),
				),
			}));
		};
		const prepare = async () => {
			const url = await newDatabase();
			await withService(url, async (service) => {
				await service.migrate();
				await useAll(service);
			});
			return url;
		};
		const plain = await read(await prepare());
		expect(plain.names).toHaveLength(1);
		const url = await prepare();
		await makeHostile(url);
		expect(await read(url)).toEqual(plain);
	},
);

onServer.each([
	"''",
	'"$user"',
	"pg_catalog",
	"nowhere",
	"pg_temp",
	"evil, pg_catalog",
	"evil",
	"evil, public",
])("search_path = %s: all verbs answer as usual", async (path) => {
	const url = await newDatabase();
	await asUser(
		url,
		`CREATE SCHEMA evil;
		CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE sql AS $$ SELECT 'evil'::text $$;
		CREATE FUNCTION evil.left(text, integer) RETURNS text LANGUAGE sql AS $$ SELECT 'evil'::text $$;
		CREATE FUNCTION evil.similarity(text, text) RETURNS real LANGUAGE sql AS $$ SELECT 0::real $$;
		CREATE FUNCTION evil.word_similarity(text, text) RETURNS real LANGUAGE sql AS $$ SELECT 0::real $$;
		CREATE FUNCTION evil.show_trgm(text) RETURNS text[] LANGUAGE sql AS $$ SELECT '{}'::text[] $$;
		CREATE DOMAIN evil.vector AS text;
		CREATE FUNCTION evil.no(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$;
		CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.no)`,
	);
	await makeHostile(url, { search_path: path });
	const answers = await withService(url, async (service) => {
		await service.migrate();
		return useAll(service);
	});
	expect(answers).toEqual(usual);
});

describe.each(["vector", "pg_trgm", "btree_gin"])(
	"extension %s in a schema of its own",
	(extension) => {
		// Each takes 15 s on the embedded engine: there, of two.
		const isTried = engine === "server" || extension !== "btree_gin";
		test
			.runIf(isTried)
			.each(engine === "server" ? ["before", "after"] : ["after"])(
			"that no search_path has, moved %s migrate",
			async (when) => {
				const url = await newDatabase();
				const move = (service: Service) =>
					service.execute(
						`CREATE SCHEMA "Ext ""ensions"; CREATE EXTENSION IF NOT EXISTS ${extension}; ALTER EXTENSION ${extension} SET SCHEMA "Ext ""ensions"`,
					);
				if (when === "before") await withService(url, move);
				await withService(url, (service) => service.migrate());
				if (when === "after") await withService(url, move);
				expect(await withService(url, useAll)).toEqual(usual);
			},
		);
	},
);

onServer(
	"a role that may not use the extension's schema is told so",
	async () => {
		const url = await newDatabase();
		await withService(url, (service) => service.migrate());
		const role = `rem_hostile_${process.pid}_${Date.now()}`;
		await asUser(
			url,
			`CREATE ROLE ${role} LOGIN PASSWORD 'secret'; CREATE SCHEMA ext; ALTER EXTENSION vector SET SCHEMA ext`,
		);
		onTestFinished(async () => {
			await asUser(url, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
		});
		const asRole = new URL(url);
		asRole.username = role;
		asRole.password = "secret";
		await expect(connect(asRole.href)).rejects.toMatchObject({
			code: "EXTENSION_MISSING",
			hint: `let the schema's owner run: GRANT USAGE ON SCHEMA "ext" TO "${role}"`,
		});
	},
);

onServer(
	"a role that may not set session_replication_role back is told so",
	async () => {
		const url = await newDatabase();
		const role = `rem_hostile_${process.pid}_${Date.now()}`;
		const name = new URL(url).pathname.slice(1);
		await asUser(
			url,
			`CREATE ROLE ${role} LOGIN PASSWORD 'secret'; ALTER ROLE ${role} IN DATABASE ${name} SET session_replication_role = replica`,
		);
		onTestFinished(async () => {
			await asUser(url, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
		});
		const asRole = new URL(url);
		asRole.username = role;
		asRole.password = "secret";
		await expect(connect(asRole.href)).rejects.toMatchObject({
			code: "SERVER_UNSUPPORTED",
		});
	},
);

test("a database that is closed by default_transaction_read_only can be read, and reports why it is not written", async () => {
	const url = await newDatabase();
	await withService(url, async (service) => {
		await service.migrate();
		await service.batchUpsert({ tableName: "notes", tenantId, entities: rows });
	});
	await makeHostile(url, {
		default_transaction_read_only: "on",
		work_mem: "1MB",
	});
	// What is tried again would be for an hour.
	await withService(
		url,
		async (service) => {
			expect(
				await service.lookupEntities({ entityKeys: ["data"], tenantId }),
			).toHaveLength(1);
			const write = service.batchUpsert({
				tableName: "notes",
				tenantId,
				entities: [{ name: "x", content: "y" }],
			});
			await expect(write).rejects.toMatchObject({
				code: "DATABASE",
				message: expect.stringContaining("default_transaction_read_only"),
			});
			await expect(service.execute("CREATE TABLE t ()")).rejects.toMatchObject({
				message: expect.stringContaining("default_transaction_read_only"),
			});
		},
		{ retryTimeoutMs: 3_600_000 },
	);
});

test("a migration file that sets an empty search_path, as a dump does, disturbs nothing", async () => {
	const url = await newDatabase();
	const folder = await mkdtemp(join(tmpdir(), "rem-migrations-"));
	onTestFinished(() => rm(folder, { recursive: true, force: true }));
	await writeFile(
		join(folder, "0001_dump.sql"),
		`SET statement_timeout = 0; SET standard_conforming_strings = on; SELECT pg_catalog.set_config('search_path', '', false);
SET TimeZone = 'Asia/Tokyo'; SET row_security = off; SET extra_float_digits = 0; CREATE TABLE public.things (id int);`,
	);
	const answers = await withService(url, async (service) => {
		await service.migrate({ migrations: folder });
		return useAll(service);
	});
	expect(answers).toEqual(usual);
});
