import { expect, test } from "vitest";
import type { Handle } from "../../src/index.ts";
import { codeOf, engine, useService } from "../support/engine.ts";

const db = useService();

/** Prepared on the connection, as LOOKUP is. */
async function readNamed(name: string, text: string, tx: Handle) {
	const { rows } = await tx.query({ text, values: [] }, { name });
	return rows;
}

test("a statement with a name reads the same each time it is sent", async () => {
	const text = `SELECT 1 AS one, NULL::text AS nothing, '{"a": 12345678901234567890}'::jsonb AS json,
  ARRAY['x', NULL] AS list, TIMESTAMPTZ '2020-01-01Z' AS at, 9007199254740993 AS big, 'last' AS one
FROM generate_series(1, 2)`;
	await db.service.transaction(async (tx) => {
		const first = await readNamed("all_types", text, tx);
		expect(first).toHaveLength(2);
		for (let time = 0; time < 2; time++)
			expect(await readNamed("all_types", text, tx)).toEqual(first);
	});
});

test("a statement with a name that returns nothing has no rows each time", async () => {
	await db.service.transaction(async (tx) => {
		await tx.script("CREATE TEMPORARY TABLE counted (n integer)");
		for (let time = 0; time < 3; time++)
			expect(
				await readNamed("count", "INSERT INTO counted VALUES (1)", tx),
			).toEqual([]);
		expect(
			await readNamed("none", "SELECT n FROM counted WHERE n > 1", tx),
		).toEqual([]);
		expect(await readNamed("all", "SELECT n FROM counted", tx)).toHaveLength(3);
	});
});

test.runIf(engine === "server")(
	"a statement with a name has the new columns once its table was changed",
	async () => {
		const read = () =>
			db.service.transaction((tx) =>
				readNamed("wide", "SELECT * FROM wide", tx),
			);
		await db.service.execute("CREATE TABLE wide (a integer, b text)");
		await db.service.execute("INSERT INTO wide VALUES (1, 'one')");
		for (let time = 0; time < 3; time++)
			expect(await read()).toEqual([{ a: 1, b: "one" }]);
		await db.service.execute(
			"ALTER TABLE wide ADD c integer DEFAULT 3; ALTER TABLE wide ALTER a TYPE text",
		);
		// The connection that had it prepared is replaced.
		expect(await codeOf(read())).toBe("DATABASE");
		for (let time = 0; time < 3; time++)
			expect(await read()).toEqual([{ a: "1", b: "one", c: 3 }]);
	},
);
