import { expect, test } from "vitest";
import { sql } from "../../src/sql.ts";
import { codeOf, engine, useService } from "../support/engine.ts";

const db = useService();
const onServer = test.runIf(engine === "server");
const backend = sql`SELECT pg_backend_pid() AS pid`;

test("a session's statements and transactions run one after the other", async () => {
	const session = await db.service.core.db.openSession();
	const [first, , second] = await Promise.all([
		session.query<{ pid: number }>(backend),
		session.transaction((tx) => tx.script("SELECT 1")),
		session.query<{ pid: number }>(backend),
	]);
	expect(first.rows).toEqual(second.rows);
	expect(await codeOf(session.query(sql`SELECT * FROM nowhere`))).toBe(
		"SCHEMA_DRIFT",
	);
	expect((await session.query(sql`SELECT 1 AS one`)).rows).toEqual([
		{ one: 1 },
	]);
	await session.close();
	await session.close();
});

onServer("a session keeps its connection, and hears NOTIFY", async () => {
	const session = await db.service.core.db.openSession();
	const { rows } = await session.query<{ pid: number }>(backend);
	expect(session.processId).toBe(rows[0]?.pid);
	const heard = new Promise<string>((resolve) => {
		void session
			.listen("Odd channel", resolve)
			.then(() => db.service.execute(`NOTIFY "Odd channel", 'hello'`));
	});
	expect(await heard).toBe("hello");
	await session.close();
	expect(await codeOf(session.query(backend))).toBe("CONNECTION_FAILED");
});

onServer("a session says once that its connection was lost", async () => {
	const errors: unknown[] = [];
	const session = await db.service.core.db.openSession({
		onLost: (error) => errors.push(error),
	});
	await db.service.execute("SELECT pg_terminate_backend($1)", [
		session.processId as number,
	]);
	await expect.poll(() => errors.length).toBe(1);
	expect(await codeOf(session.query(backend))).toBe("CONNECTION_FAILED");
	await session.close();
	expect(errors).toHaveLength(1);
});
