import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type RemError } from "../../src/index.ts";
import { engine, useService } from "../support/engine.ts";
import { setUpRowSecurity } from "../support/row-security.ts";

// What one tenant's own SQL can do through the role of applications. Tables,
// columns and functions come from the catalogue: a new one is tried as well.

const Note = defineEntity(
	"notes",
	{ title: z.string(), text: z.string() },
	{ entityKeyField: "title" },
);
const Task = defineEntity(
	"tasks",
	{ name: z.string(), text: z.string() },
	{ entityKeyField: "name" },
);
const Country = defineEntity(
	"countries",
	{ name: z.string(), text: z.string() },
	{ entityKeyField: "name", tenantScoped: false },
);
const models = [Note, Task, Country] as const;

const db = useService({
	models,
	embedding: { provider: "local", dimensions: 8 },
	backgroundIndex: { enabled: false },
});

const own = "tenant-a";
const foreign = "tenant-b";
/** Shared by all tenants, and any of them may write it. */
const shared = [
	"countries",
	"embeddings_countries",
	"kv_source_countries",
	"rem_words_countries",
];

type Json = Readonly<Record<string, unknown>>;
interface Relation {
	readonly name: string;
	readonly columns: readonly string[];
	/** Those that the role may give a new row. */
	readonly insertable: readonly string[];
}

let relations: readonly Relation[] = [];
let foreignIds: readonly string[] = [];
let before: ReadonlyMap<string, readonly Json[]>;

beforeAll(async () => {
	const { service } = db;
	await setUpRowSecurity({ service: service as never }, models);
	const edges = [{ dst: "elsewhere", rel_type: "knows", weight: 1 }];
	for (const tenantId of [own, foreign])
		for (const tableName of ["notes", "tasks"] as const) {
			const entity = (key: string, text: string) => ({
				title: `${tenantId} ${key}`,
				name: `${tenantId} ${key}`,
				text,
				graphEdges: edges,
				metadata: { of: tenantId },
			});
			const { title: _, ...task } = entity("1", `secret of ${tenantId}`);
			const { name: __, ...note } = entity("1", `secret of ${tenantId}`);
			const one = tableName === "notes" ? note : task;
			await service.batchUpsert({
				tableName,
				entities: [one] as never,
				tenantId,
			});
			// These wait in the queue.
			await service.execute(
				`INSERT INTO ${tableName} (tenant_id, ${tableName === "notes" ? "title" : "name"}, text) VALUES ($1, $2, $3)`,
				[tenantId, `${tenantId} 2`, `waiting secret of ${tenantId}`],
			);
		}
	await service.batchUpsert({
		tableName: "countries",
		entities: [{ name: "Portugal", text: "a country" }],
	});
	await service.indexer.queueIndex({ tableName: "notes", indexType: "gin" });
	relations = await readRelations();
	before = await snapshot((text, values) => service.execute(text, values));
	foreignIds = ["notes", "tasks"].flatMap((name) =>
		(before.get(name) ?? [])
			.filter((row) => row.tenant_id === foreign)
			.map((row) => String(row.id)),
	);
});

type Run = (
	text: string,
	values?: readonly string[],
) => Promise<{ rows: Json[]; rowCount: number }>;

async function readRelations(): Promise<Relation[]> {
	const { rows } = await db.service.execute<Relation & Json>(`
SELECT c.relname::text AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns,
  coalesce(array_agg(a.attname::text ORDER BY a.attnum)
    FILTER (WHERE has_column_privilege('rem_app', c.oid, a.attnum, 'INSERT')), '{}') AS insertable
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind NOT IN ('i', 'I', 't', 'c', 'S')
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
GROUP BY c.relname ORDER BY c.relname`);
	return rows;
}

/** Every row of every relation. */
async function snapshot(run: Run): Promise<Map<string, Json[]>> {
	const all = new Map<string, Json[]>();
	for (const { name } of relations) {
		const { rows } = await run(
			`SELECT to_jsonb(t) AS row FROM ${name} AS t ORDER BY to_jsonb(t)::text`,
		);
		all.set(
			name,
			rows.map(({ row }) => row as Json),
		);
	}
	return all;
}

/** What the tenant must not change: everything but its own rows and the shared entities. */
function untouchable(all: ReadonlyMap<string, readonly Json[]>) {
	const ownIds = new Set(
		["notes", "tasks"].flatMap((name) =>
			(all.get(name) ?? [])
				.filter((row) => row.tenant_id === own)
				.map((row) => String(row.id)),
		),
	);
	const isOwn = (row: Json) =>
		row.entity_type === "countries" ||
		(row.entity_id === undefined
			? row.tenant_id === own
			: ownIds.has(String(row.entity_id)));
	return Object.fromEntries(
		[...all]
			.filter(([name]) => !shared.includes(name))
			.map(([name, rows]) => [name, rows.filter((row) => !isOwn(row))]),
	);
}

const undo = new Error("undo");

/** Runs one statement as the application and the tenant; what it could read, and what all tables are afterwards. */
async function attempt(text: string, values: readonly string[] = []) {
	let outcome: { sqlState?: string; rows: Json[] } = { rows: [] };
	let after: Map<string, Json[]> | undefined;
	await db.service
		.transaction(async (tx) => {
			const run: Run = (text, values = []) =>
				tx.query({ text, values: [...values] }) as never;
			await run("SET LOCAL ROLE rem_app");
			await run("SELECT set_config('rem.tenant_id', $1, true)", [own]);
			const { rows, rowCount } = await run(text, values);
			outcome = { rows };
			if (rowCount > 0 || !/^\s*(SELECT|WITH)/.test(text)) {
				await run("RESET ROLE");
				after = await snapshot(run);
			}
			throw undo;
		})
		.catch((error: unknown) => {
			if (error === undo) return;
			const { sqlState } = error as RemError;
			if (sqlState === undefined) throw error;
			outcome = { sqlState, rows: [] };
		});
	return { ...outcome, after };
}

async function expectHarmless(text: string, values: readonly string[] = []) {
	const { after, sqlState } = await attempt(text, values);
	if (after !== undefined)
		expect(untouchable(after), text).toEqual(untouchable(before));
	return sqlState;
}

test("every relation is known, those of the housekeeping among them", () => {
	expect(relations.map(({ name }) => name)).toEqual(
		expect.arrayContaining([
			"embeddings_notes",
			"kv_source_notes",
			"kv_state",
			"kv_store",
			"notes",
			"rem_embedding_models",
			"rem_embedding_queue",
			"rem_index_builds",
			"rem_migrations",
		]),
	);
	for (const name of [
		"rem_embedding_models",
		"rem_embedding_queue",
		"rem_index_builds",
		"rem_migrations",
	])
		expect(before.get(name)?.length, name).toBeGreaterThan(0);
	expect(foreignIds).toHaveLength(4);
});

test("nothing of another tenant can be read", async () => {
	for (const { name, columns } of relations)
		for (const what of ["to_jsonb(t)", ...columns]) {
			const { rows } = await attempt(`SELECT ${what} AS row FROM ${name} AS t`);
			const text = JSON.stringify(rows);
			for (const secret of [foreign, ...foreignIds])
				expect(text, `${what} of ${name}`).not.toContain(secret);
		}
});

test("nothing of another tenant, and nothing that all depend on, can be updated", async () => {
	for (const { name, columns } of relations)
		for (const column of columns) {
			await expectHarmless(`UPDATE ${name} SET ${column} = ${column}`);
			for (const row of sampleRows(name))
				await expectHarmless(
					`UPDATE ${name} SET ${column} = (jsonb_populate_record(NULL::${name}, $1::jsonb)).${column}`,
					[JSON.stringify(row)],
				);
		}
});

test("nothing of another tenant, and nothing that all depend on, can be deleted", async () => {
	for (const { name } of relations) {
		await expectHarmless(`DELETE FROM ${name}`);
		expect(await expectHarmless(`TRUNCATE ${name} CASCADE`), name).toBe(
			name.startsWith("kv_source_") ? "42809" : "42501",
		);
	}
});

test("no sequence can be read or set", async () => {
	const { rows } = await db.service.execute<{ name: string }>(
		"SELECT relname::text AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'",
	);
	expect(rows.length).toBeGreaterThan(0);
	for (const { name } of rows)
		for (const statement of [
			`SELECT last_value FROM ${name}`,
			`SELECT nextval('${name}')`,
			`SELECT setval('${name}', 1)`,
		])
			expect(await expectHarmless(statement), statement).toBe("42501");
});

test("no row can be inserted for another tenant, or for its entities", async () => {
	let refused = 0;
	for (const { name, columns, insertable } of relations) {
		const changes: Json[] = [
			{},
			{ tenant_id: own },
			{ id: randomUUID() },
			{ id: randomUUID(), tenant_id: own, title: "x", name: "x" },
			{ provider: "another" },
			{ provider: "another", tenant_id: own },
			{ provider: "another", tenant_id: own, entity_id: randomUUID() },
		];
		for (const row of sampleRows(name))
			for (const change of changes)
				for (const list of [columns, insertable]) {
					if (list.length === 0) continue;
					const known = Object.entries(change).filter(([key]) =>
						columns.includes(key),
					);
					const json = { ...row, ...Object.fromEntries(known) };
					const sqlState = await expectHarmless(
						`INSERT INTO ${name} (${list.join(", ")}) SELECT ${list.join(", ")} FROM jsonb_populate_record(NULL::${name}, $1::jsonb)`,
						[JSON.stringify(json)],
					);
					if (sqlState === "42501") refused++;
				}
	}
	expect(refused).toBeGreaterThan(50);
});

/** Rows that the tenant must not reach: two of each relation are enough. */
function sampleRows(name: string): readonly Json[] {
	const rows = untouchable(before)[name] ?? [];
	const ofForeign = rows.filter((row) => JSON.stringify(row).includes(foreign));
	return (ofForeign.length > 0 ? ofForeign : rows).slice(0, 2);
}

test.each([
	["a vector", "embeddings_notes"],
	["a text in the queue", "rem_embedding_queue"],
])(
	"%s for another tenant's entity is refused, and that tenant's upserts go on",
	async (_, name) => {
		const { service } = db;
		const [id] = foreignIds;
		const isVector = name === "embeddings_notes";
		const text = isVector
			? "INSERT INTO embeddings_notes (entity_id, tenant_id, field_name, provider, model, dimensions, content_hash, embedding) VALUES ($1, $2, 'text', 'local', 'x', 1, '', '[1]')"
			: "INSERT INTO rem_embedding_queue (entity_type, entity_id, field_name, provider, model, dimensions) VALUES ('notes', $1, 'text', 'local', $2, 1)";
		const { sqlState } = await attempt(text, [id as string, own]);
		expect(sqlState).toBe("42501");
		const entities = [{ title: `${foreign} 1`, text: `secret of ${foreign}` }];
		await service.transaction(async (transaction) => {
			await transaction.query({ text: "SET LOCAL ROLE rem_app", values: [] });
			await transaction.query({
				text: "SELECT set_config('rem.tenant_id', $1, true)",
				values: [foreign],
			});
			const result = await service.batchUpsert({
				tableName: "notes",
				entities,
				tenantId: foreign,
				transaction,
			});
			expect(result).toMatchObject({ updated: 1 });
		});
	},
);

describe("functions", () => {
	interface Function extends Json {
		readonly name: string;
		readonly isTrigger: boolean;
		readonly isDefiner: boolean;
		readonly mayExecute: boolean;
	}
	const read = async () => {
		const { rows } = await db.service.execute<Function>(`
SELECT p.proname::text AS name, p.prorettype = 'trigger'::regtype AS "isTrigger", p.prosecdef AS "isDefiner",
  has_function_privilege('rem_app', p.oid, 'EXECUTE') AS "mayExecute"
FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e') ORDER BY 1`);
		return rows;
	};

	test("that run as the owner are those that ask for the transaction's tenant", async () => {
		const callable = (await read()).filter(
			({ isDefiner, mayExecute }) => isDefiner && mayExecute,
		);
		expect(callable.map(({ name }) => name)).toEqual([
			// Gathers statistics, and returns nothing.
			"rem_first_statistics",
			"rem_holding_notes",
			"rem_holding_tasks",
			"rem_similar_entries",
		]);
	});

	test("of triggers cannot be attached to a table of the tenant's own", async () => {
		const triggers = (await read()).filter(({ isTrigger }) => isTrigger);
		expect(triggers.length).toBeGreaterThan(4);
		for (const { name } of triggers) {
			const { sqlState, after } = await attempt(
				`DO $do$ BEGIN
  CREATE TEMPORARY TABLE mine (LIKE notes);
  CREATE TRIGGER mine AFTER TRUNCATE ON mine FOR EACH STATEMENT EXECUTE FUNCTION ${name}();
  TRUNCATE mine;
END $do$`,
			);
			expect([sqlState, after], name).toEqual(["42501", undefined]);
		}
	});
});

test.runIf(engine === "server")(
	"rights on what all tenants depend on are revoked when the schema is generated again",
	async () => {
		await db.service.execute(
			"GRANT ALL ON rem_embedding_models, rem_index_builds, rem_migrations, kv_state TO rem_app",
		);
		await setUpRowSecurity(db as never, models);
		for (const name of [
			"rem_embedding_models",
			"rem_index_builds",
			"rem_migrations",
			"kv_state",
		])
			expect((await attempt(`DELETE FROM ${name}`)).sqlState, name).toBe(
				"42501",
			);
	},
);
