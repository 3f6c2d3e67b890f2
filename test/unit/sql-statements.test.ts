import { describe, expect, test } from "vitest";
import { z } from "zod";
import { coreEntities, defineEntity, registerType } from "../../src/index.ts";
import { splitStatements } from "../../src/migrate/split-statements.ts";
import { baseFiles } from "../../src/schema/base.ts";
import { statementsOf } from "../../src/util/sql-statements.ts";

const hostile = defineEntity(
	"hostile",
	z.object({
		name: z.string().default("it's; 'x' \\ $do$; -- no comment /*"),
	}),
	{ entityKeyField: "name" },
);

describe("the statements of a text of ours are those that PostgreSQL's grammar finds", () => {
	test.each(baseFiles({ schema: 'odd"; schema', kvPersistence: "unlogged" }))(
		"in $name",
		async ({ name, text }) => {
			await expectTheSame(name, text);
		},
	);

	test.each([...Object.values(coreEntities), hostile])(
		"in the DDL of $tableName",
		async (entity) => {
			await expectTheSame(
				entity.tableName,
				Object.values(registerType(entity, {}).sql).join("\n"),
			);
		},
	);

	test("in functions with a body of SQL, comments and quoted semicolons", async () => {
		await expectTheSame(
			"text",
			`-- a; b
CREATE FUNCTION f() RETURNS INTEGER BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;
/* ; */ SELECT ';', $a$;$a$, ";" FROM t; SELECT E'\\\\'';';
SELECT 1`,
		);
	});
});

async function expectTheSame(name: string, text: string): Promise<void> {
	const expected = await splitStatements(name, text);
	expect(statementsOf(text)).toEqual(expected.map((one) => one.text));
}
