import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { type Handle, PostgresService } from "../../src/index.ts";
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

const describePortal = Buffer.from([0x44, 0, 0, 0, 6, 0x50, 0]);
const backendKeyData = Buffer.from([0x4b, 0, 0, 0, 12]);

/** What stands before the server: counts what the client asks it to describe, and may name another process, as a pooler does. */
async function standBefore(url: string, { isPooler }: { isPooler: boolean }) {
	const seen = { described: 0 };
	const { hostname, port } = new URL(url);
	const sockets = new Set<Socket>();
	const proxy = createServer((client) => {
		const server = connect(Number(port), hostname);
		client.on("data", (bytes) => {
			if (bytes.includes(describePortal)) seen.described++;
			server.write(bytes);
		});
		server.on("data", (bytes) => {
			const at = isPooler ? bytes.indexOf(backendKeyData) : -1;
			if (at >= 0) bytes.writeInt32BE(7, at + backendKeyData.length);
			client.write(bytes);
		});
		for (const [one, other] of [
			[client, server],
			[server, client],
		] as const) {
			sockets.add(one);
			one.on("error", () => {});
			one.on("close", () => other.destroy());
		}
	}).listen(0, "127.0.0.1");
	await once(proxy, "listening");
	onTestFinished(() => {
		for (const socket of sockets) socket.destroy();
		proxy.close();
	});
	const address = new URL(url);
	address.hostname = "127.0.0.1";
	address.port = String((proxy.address() as AddressInfo).port);
	const service = await PostgresService.connect({
		connectionString: address.href,
		embedding: { provider: "local", dimensions: 16 },
		backgroundIndex: { enabled: false },
		poolSize: 1,
	});
	onTestFinished(() => service.close());
	return { service, seen };
}

test.runIf(engine === "server").each([
	{
		isPooler: false,
		where: "of the server itself are asked for once",
		asked: 1,
	},
	{
		isPooler: true,
		where: "behind a pooler are asked for each time",
		asked: 3,
	},
])(
	"the columns of a prepared statement $where",
	async ({ isPooler, asked }) => {
		const { service, seen } = await standBefore(db.url, { isPooler });
		await service.transaction(async (tx) => {
			seen.described = 0;
			for (let time = 0; time < 3; time++)
				expect(await readNamed("one", "SELECT 1 AS one", tx)).toEqual([
					{ one: 1 },
				]);
			expect(seen.described).toBe(asked);
		});
	},
);
