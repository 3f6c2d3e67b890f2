import { describe, expect, test } from "vitest";
import { lintFile } from "../../src/migrate/lint/lint.ts";
import { toMigrationFile } from "../../src/migrate/migration-file.ts";

const rulesOf = async (text: string) =>
	(await lintFile(toMigrationFile("1_a.sql", text))).map(({ rule }) => rule);

const noTransaction = "-- rem: no-transaction\n";

/** A rule, a file that breaks it, and one that does the same without harm. */
const cases: readonly [rule: string, bad: string, good: string][] = [
	[
		"index-without-concurrently",
		"CREATE INDEX i ON t (a)",
		`${noTransaction}CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)`,
	],
	[
		"index-without-concurrently",
		"DROP INDEX i",
		`${noTransaction}DROP INDEX CONCURRENTLY i`,
	],
	[
		"index-without-concurrently",
		"REINDEX INDEX i",
		`${noTransaction}REINDEX INDEX CONCURRENTLY i`,
	],
	[
		"not-in-transaction",
		"CREATE INDEX CONCURRENTLY i ON t (a)",
		`${noTransaction}CREATE INDEX CONCURRENTLY i ON t (a)`,
	],
	[
		"not-null-without-default",
		"ALTER TABLE t ADD COLUMN a int NOT NULL",
		"ALTER TABLE t ADD COLUMN a int NOT NULL DEFAULT 0",
	],
	[
		"table-rewrite",
		"ALTER TABLE t ADD COLUMN a uuid DEFAULT gen_random_uuid()",
		"ALTER TABLE t ADD COLUMN a timestamptz DEFAULT now()",
	],
	[
		"table-rewrite",
		"ALTER TABLE t ADD COLUMN b int GENERATED ALWAYS AS (a + 1) STORED",
		"ALTER TABLE t ADD COLUMN b int GENERATED ALWAYS AS (a + 1) VIRTUAL",
	],
	["table-rewrite", "ALTER TABLE t SET UNLOGGED", "CREATE UNLOGGED TABLE t ()"],
	["table-rewrite", "VACUUM FULL t", `${noTransaction}VACUUM t`],
	[
		"set-not-null",
		"ALTER TABLE t ALTER COLUMN a SET NOT NULL",
		"ALTER TABLE t ADD CONSTRAINT c NOT NULL a NOT VALID",
	],
	[
		"type-change",
		"ALTER TABLE t ALTER COLUMN a TYPE bigint",
		"ALTER TABLE t ADD COLUMN a_new bigint",
	],
	[
		"constraint-without-not-valid",
		"ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)",
		"ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID",
	],
	[
		"constraint-without-not-valid",
		"ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES u (id)",
		"ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES u (id) NOT VALID",
	],
	[
		"constraint-builds-index",
		"ALTER TABLE t ADD CONSTRAINT c UNIQUE (a)",
		"ALTER TABLE t ADD CONSTRAINT c UNIQUE USING INDEX i",
	],
	[
		"drop-column",
		"ALTER TABLE t DROP COLUMN a",
		"ALTER TABLE t ALTER a DROP DEFAULT",
	],
	["drop-table", "DROP TABLE t", "DROP VIEW v"],
	["truncate", "TRUNCATE t CASCADE", "DELETE FROM t WHERE a = 1"],
	[
		"rename",
		"ALTER TABLE t RENAME COLUMN a TO b",
		"ALTER TABLE t ADD COLUMN b int",
	],
	["rename", "ALTER TABLE t RENAME TO u", "ALTER INDEX i RENAME TO j"],
	[
		"changes-every-row",
		"UPDATE t SET a = 1",
		"UPDATE t SET a = 1 WHERE id < 1000 AND a IS NULL",
	],
	["changes-every-row", "DELETE FROM t", "DELETE FROM t WHERE id < 1000"],
	[
		"definer-without-search-path",
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT 1'",
	],
	[
		"drops-ours",
		"DROP TRIGGER trg_documents_kv_store_insert ON documents",
		"DROP TRIGGER audit ON documents",
	],
	[
		"drops-ours",
		"DROP FUNCTION public.fn_documents_kv_store_upsert()",
		"DROP FUNCTION public.mine()",
	],
	["drops-ours", "DROP TABLE kv_store", "DROP VIEW v"],
	[
		"drops-ours",
		"ALTER TABLE documents DISABLE TRIGGER ALL",
		"ALTER TABLE documents DISABLE TRIGGER audit",
	],
	[
		"row-security-off",
		"ALTER TABLE t DISABLE ROW LEVEL SECURITY",
		"ALTER TABLE t ENABLE ROW LEVEL SECURITY",
	],
	[
		"timestamp-without-time-zone",
		"ALTER TABLE t ADD COLUMN a timestamp",
		"ALTER TABLE t ADD COLUMN a timestamptz",
	],
];

describe("the lint of migrations", () => {
	test.each(cases)("%s: %s", async (rule, bad, good) => {
		expect(await rulesOf(bad)).toContain(rule);
		expect(await rulesOf(good)).toEqual([]);
	});

	test("says nothing of tables that the file makes itself", async () => {
		expect(
			await rulesOf(
				"CREATE TABLE t (a int); CREATE INDEX i ON t (a); ALTER TABLE t ADD COLUMN b int NOT NULL; UPDATE t SET a = 1",
			),
		).toEqual([]);
	});

	test("names file, line and the better way, and is silenced by rule", async () => {
		const text = "SELECT 1;\n\nDROP TABLE t;";
		expect(await lintFile(toMigrationFile("1_a.sql", text))).toEqual([
			{
				file: "1_a.sql",
				line: 3,
				rule: "drop-table",
				message: expect.stringContaining('"t"'),
				hint: expect.any(String),
			},
		]);
		expect(await rulesOf(`-- rem: ignore drop-table, rename\n${text}`)).toEqual(
			[],
		);
	});
});
