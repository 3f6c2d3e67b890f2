import { expect, test } from "vitest";
import { coreEntities, registerType } from "../../src/index.ts";
import { baseFiles } from "../../src/schema/base.ts";
import { statementsOf } from "../../src/util/sql-statements.ts";
import { brokenRules } from "../support/statement-rules.ts";

const trigger = (body: string) =>
	`CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $fn$ BEGIN ${body} END $fn$`;

test.each([
	["one statement a text", "INSERT INTO t (a) VALUES (1); SELECT 1 FROM t"],
	[
		"no function in DO UPDATE SET or its WHERE",
		"INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = now()",
	],
	[
		"no function in DO UPDATE SET or its WHERE",
		"INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = current_user",
	],
	[
		"no parameter in DO UPDATE SET or its WHERE",
		"INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1 WHERE $1",
	],
	[
		"no subquery in DO UPDATE SET or its WHERE",
		"WITH i AS (SELECT 1 AS a) INSERT INTO t (a) SELECT a FROM i ON CONFLICT (a) DO UPDATE SET b = (SELECT x.a FROM x)",
	],
	[
		"no volatile function in UPDATE or DELETE",
		"UPDATE t SET a = clock_timestamp()",
	],
	[
		"no volatile function in UPDATE or DELETE",
		"WITH d AS (DELETE FROM t WHERE a < random() RETURNING a) SELECT a FROM d",
	],
	[
		"no catalogue in UPDATE or DELETE",
		"UPDATE t SET a = 1 WHERE EXISTS (SELECT FROM pg_class)",
	],
	[
		"INSERT … SELECT reads a materialized CTE or a function",
		"INSERT INTO t (a) SELECT 1",
	],
	[
		"INSERT … SELECT reads a materialized CTE or a function",
		"INSERT INTO t (a) SELECT u.a FROM u",
	],
	[
		"one change a statement where a trigger is enabled",
		"ALTER TABLE t ENABLE ALWAYS TRIGGER a, ENABLE ALWAYS TRIGGER b",
	],
	[
		"no CREATE TABLE in DO",
		"DO $do$ BEGIN CREATE UNLOGGED TABLE t (a int); END $do$",
	],
	[
		"no transition table beside a table",
		trigger("DELETE FROM t WHERE a IN (SELECT a FROM old_rows); RETURN NULL;"),
	],
	[
		"no NOTIFY in triggers",
		trigger("PERFORM pg_notify('a', ''); RETURN NULL;"),
	],
	[
		"no catalogue beside a table in a trigger",
		trigger(
			"PERFORM FROM t JOIN pg_attribute AS a ON a.attname = t.a; RETURN NULL;",
		),
	],
	["no parameter in TABLESAMPLE", "SELECT a FROM t TABLESAMPLE SYSTEM ($1)"],
])("%s: found in %s", (rule, text) => {
	expect(brokenRules(text)).toContain(rule);
});

test("the DDL of the base and of the core entities breaks none", () => {
	const texts = [
		...baseFiles({ schema: "public", kvPersistence: "unlogged" }).map(
			({ text }) => text,
		),
		...coreEntities.flatMap((entity) =>
			Object.values(registerType(entity, {}).sql),
		),
	];
	const broken = texts
		.flatMap(statementsOf)
		.map((text) => ({ text, rules: brokenRules(text) }))
		.filter(({ rules }) => rules.length > 0);
	expect(broken).toEqual([]);
});
