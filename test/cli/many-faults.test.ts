import { beforeAll, describe, expect, test } from "vitest";
import { PostgresService } from "../../src/index.ts";
import { emptyDatabase, fewEngines, rem, temporaryFolder } from "./run-rem.ts";

/** What somebody did to a database, and what every report is to name. Add the next report here. */
const faults: readonly {
	readonly sql: string;
	readonly table: string;
	readonly names: readonly string[];
}[] = [
	{
		sql: "ALTER TABLE resources DROP COLUMN category",
		table: "resources",
		names: ['"category"', '"idx_resources__category"'],
	},
	{
		sql: "ALTER TABLE files DROP COLUMN mime_type CASCADE",
		table: "files",
		names: ['"mime_type"'],
	},
	// Of two tables: PostgreSQL's own message names neither.
	{
		sql: "ALTER TABLE moments DROP COLUMN deleted_at CASCADE",
		table: "moments",
		names: ['"deleted_at"', '"kv_source_moments"', '"uq_moments"'],
	},
	{
		sql: "ALTER TABLE users DROP COLUMN deleted_at CASCADE",
		table: "users",
		names: ['"deleted_at"', '"kv_source_users"', '"uq_users"'],
	},
	// Rows have no value for them: not added without a decision.
	{
		sql: "ALTER TABLE messages DROP COLUMN tenant_id CASCADE",
		table: "messages",
		names: ['"tenant_id"'],
	},
	{
		sql: "ALTER TABLE shared_sessions DROP COLUMN tenant_id CASCADE",
		table: "shared_sessions",
		names: ['"tenant_id"'],
	},
	{
		sql: "ALTER TABLE embeddings_files DROP COLUMN embedding",
		table: "embeddings_files",
		names: ['"embedding"'],
	},
	{
		sql: "ALTER TABLE rem_embedding_queue DROP COLUMN reason",
		table: "rem_embedding_queue",
		names: ['"reason"'],
	},
	{
		sql: "DROP VIEW kv_source_schemas",
		table: "schemas",
		names: ['"kv_source_schemas"'],
	},
	{
		sql: "DROP TRIGGER trg_schemas_kv_store_insert ON schemas",
		table: "schemas",
		names: ['"trg_schemas_kv_store_insert"'],
	},
	{
		sql: "DROP TRIGGER trg_schemas_kv_store_delete ON schemas",
		table: "schemas",
		names: ['"trg_schemas_kv_store_delete"'],
	},
	{
		sql: "DROP VIEW kv_source_ontologies; DROP TRIGGER trg_ontologies_kv_store_update ON ontologies",
		table: "ontologies",
		names: ['"kv_source_ontologies"', '"trg_ontologies_kv_store_update"'],
	},
	{
		sql: "ALTER TABLE sessions DISABLE TRIGGER trg_sessions_kv_store_insert",
		table: "sessions",
		names: ['"trg_sessions_kv_store_insert"'],
	},
	{
		sql: "DROP TRIGGER trg_sessions_embeddings_insert ON sessions",
		table: "sessions",
		names: ['"trg_sessions_embeddings_insert"'],
	},
	{
		sql: "DROP INDEX idx_sessions__id, idx_sessions__created_at",
		table: "sessions",
		names: ['"idx_sessions__id"', '"idx_sessions__created_at"'],
	},
	{
		sql: `UPDATE pg_index SET indisvalid = false
WHERE indexrelid IN ('idx_files__id'::regclass, 'idx_schemas__id'::regclass)`,
		table: "files",
		names: ['"idx_files__id"'],
	},
	{
		sql: "DROP TABLE embeddings_image_resources",
		table: "embeddings_image_resources",
		names: ["table is missing"],
	},
	{
		sql: "DROP TABLE embeddings_ontology_configs, ontology_configs CASCADE",
		table: "ontology_configs",
		names: ["table is missing"],
	},
	{
		sql: "DROP TABLE feedbacks",
		table: "feedbacks",
		names: ["table is missing"],
	},
];

const rows = `- table: messages
  rows: [{ content: "one", session_id: "s" }]
- table: shared_sessions
  rows: [{ session_id: "s", owner_user_id: "a", shared_with_user_id: "b" }]
- table: users
  rows: [{ name: "Ada", summary: "Writes programs" }]
`;

describe.each(fewEngines)("of many faults in the %s database", (engine) => {
	let url: string;
	const results = new Map<string, ReturnType<typeof rem>>();
	/** The result of a command, none of which changes the database. */
	const run = (command: string) => {
		const result =
			results.get(command) ??
			rem([...command.split(" "), "--url", url], {
				cwd: temporaryFolder(),
				env: { EMBEDDING__PROVIDER: "local" },
			});
		results.set(command, result);
		return result;
	};

	beforeAll(async () => {
		url = await emptyDatabase(engine);
		const cwd = temporaryFolder({ "rows.yaml": rows });
		const loaded = await rem(["load", "rows.yaml", "--url", url], {
			cwd,
			env: { EMBEDDING__PROVIDER: "local" },
		});
		expect(loaded).toMatchObject({ code: 0 });
		const service = await PostgresService.connect({ connectionString: url });
		for (const { sql } of faults) await service.execute(sql);
		await service.close();
	});

	test.each([
		{ command: "doctor", code: 1, line: /^(?:warning|failed) +schema +(.*)/ },
		{
			command: "schema diff",
			code: 3,
			line: /^-- ((?!safe|dangerous)\w+: .*)/,
		},
		{ command: "schema diff", code: 3, line: /^-- dangerous \([^)]*\): (.*)/ },
		{ command: "migrate --dry-run", code: 3, line: /^would \w+ (\w+: .*)/ },
	])(
		"rem $command names each, once: $line",
		async ({ command, code, line }) => {
			const result = await run(command);
			expect(result.code).toBe(code);
			const found = result.stdout
				.split("\n")
				.flatMap((text) => line.exec(text)?.[1] ?? []);
			expect(found).not.toEqual([]);
			expect(duplicates(found)).toEqual([]);
			const tables = new Set(faults.map(({ table }) => table));
			expect(
				found.filter((text) => !tables.has(text.split(":")[0] ?? "")),
			).toEqual([]);
			if (line.source.includes("dangerous")) return;
			for (const { table, names } of faults)
				for (const name of names)
					expect(
						found.some(
							(text) => text.startsWith(`${table}: `) && text.includes(name),
						),
						`${table}: ${name}`,
					).toBe(true);
		},
	);

	test.each(["doctor", "migrate --dry-run", "index status"])(
		"no two lines of rem %s are the same",
		async (command) => {
			const { stdout } = await run(command);
			expect(duplicates(stdout.split("\n"))).toEqual([]);
		},
	);

	test("rem doctor names the table of whatever else it cannot look at", async () => {
		const { stdout } = await run("doctor --json");
		const { checks } = JSON.parse(stdout);
		const found = checks
			.filter(({ name }: { name: string }) => name !== "schema")
			.map((check: { found: string }) => check.found);
		for (const text of found)
			if (/does not exist/.test(text))
				expect(text).toMatch(/^[a-z_, ]+: column|"public\.\w+"/);
	});

	test("rem index status lists what it can, and names what is missing", async () => {
		const { code, stdout } = await run("index status");
		expect(code).toBe(0);
		expect(stdout).toContain("embeddings_image_resources");
		expect(stdout).toMatch(/^uq_|^gin_|^hnsw_/m);
	});
});

function duplicates(lines: readonly string[]): string[] {
	return lines.filter((line, at) => lines.indexOf(line) !== at);
}
