import {
	afterAll,
	beforeAll,
	beforeEach,
	describe,
	expect,
	test,
} from "vitest";
import { CitusNodes } from "../../src/db/citus-nodes.ts";
import type { Database, Handle } from "../../src/db/database.ts";
import { openServer } from "../../src/db/server.ts";
import { sql } from "../../src/sql.ts";
import { codeOf, createDatabase, engine } from "../support/engine.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";

// Two databases stand for a coordinator and a node: each names itself in a table,
// and the first has tables like those in which Citus records its placement.
// test/proofs/citus does the same on a cluster.

const logger = { debug() {}, info() {}, warn() {}, error() {} };
const open = (connectionString: string) =>
	openServer(
		{ connectionString },
		{
			poolSize: 2,
			connectTimeoutMs: 1000,
			retryTimeoutMs: 0,
			queryTimeoutMs: 60_000,
			tls: {},
			logger,
		},
	);

describe.skipIf(engine === "embedded")("calls to the node of a schema", () => {
	let databases: { url: string; drop(): Promise<void> }[];
	let proxy: TcpProxy;
	let coordinator: Database;
	let node: Database;
	let nodes: CitusNodes;
	const opened: { node: string; connections: number }[] = [];

	beforeAll(async () => {
		databases = [await createDatabase(), await createDatabase()];
		const [first, second] = databases.map(({ url }) => url) as [string, string];
		coordinator = await open(first);
		await coordinator.script(`
CREATE TABLE answers (who TEXT); INSERT INTO answers VALUES ('coordinator');
CREATE SCHEMA b0; CREATE TABLE b0.kv_store (); CREATE SCHEMA b1; CREATE TABLE b1.kv_store ();
CREATE TABLE pg_dist_shard (shardid BIGINT, logicalrelid REGCLASS);
INSERT INTO pg_dist_shard VALUES (1, 'b0.kv_store'), (2, 'b1.kv_store');
CREATE TABLE pg_dist_placement (shardid BIGINT, groupid INTEGER);
CREATE TABLE pg_dist_node (groupid INTEGER, nodename TEXT, nodeport INTEGER, noderole TEXT, isactive BOOLEAN, hasmetadata BOOLEAN, metadatasynced BOOLEAN);
INSERT INTO pg_dist_node SELECT n, CASE n WHEN 0 THEN 'coordinator' ELSE 'node' || n END, 5432, 'primary', TRUE, TRUE, TRUE FROM generate_series(0, 3) AS n;
`);
		const direct = await open(second);
		await direct.script(
			"CREATE TABLE answers (who TEXT); INSERT INTO answers VALUES ('node')",
		);
		await direct.close();
	});

	beforeEach(async () => {
		await nodes?.close();
		await proxy?.stop();
		await coordinator.script(
			"DELETE FROM pg_dist_placement; INSERT INTO pg_dist_placement VALUES (1, 1), (2, 0); DELETE FROM answers WHERE who = 'written'",
		);
		const url = databases[1]?.url ?? "";
		proxy = await TcpProxy.start(Number(new URL(url).port));
		node = await open(proxy.through(url));
		opened.length = 0;
		nodes = new CitusNodes(coordinator, {
			maxConnections: 5,
			logger,
			open: (name, connections) => {
				opened.push({ node: name, connections });
				return name === "node1:5432" ? node : undefined;
			},
		});
	});

	afterAll(async () => {
		await nodes?.close();
		await proxy?.stop();
		await coordinator?.close();
		for (const { drop } of databases ?? []) await drop();
	});

	const whoAnswers = async (handle: Handle) => {
		const { rows } = await handle.query<{ who: string }>(
			sql`SELECT who FROM answers ORDER BY who LIMIT 1`,
			{ idempotent: true },
		);
		return rows[0]?.who;
	};
	/** The handle of a schema once its placement was read. */
	const placed = async () => {
		const handle = nodes.of("b0");
		await expect.poll(() => whoAnswers(handle)).toBe("node");
		return handle;
	};

	test("the first is answered by the coordinator, the next by the node of the schema", async () => {
		expect(await whoAnswers(nodes.of("b0"))).toBe("coordinator");
		const handle = await placed();
		expect(await handle.transaction(whoAnswers)).toBe("node");
		expect(opened).toEqual([{ node: "node1:5432", connections: 5 }]);
	});

	test("schemas of the coordinator and unknown ones, scripts, and writes that must not be sent twice go to the coordinator", async () => {
		const handle = await placed();
		for (const schema of ["b1", "b2"])
			expect(await whoAnswers(nodes.of(schema))).toBe("coordinator");
		const [result] = await handle.script("SELECT who FROM answers");
		expect(result?.rows).toEqual([{ who: "coordinator" }]);
		const { rows } = await handle.query(sql`SELECT who FROM answers`);
		expect(rows).toEqual([{ who: "coordinator" }]);
	});

	test("while a node is away the coordinator answers, and what may have been applied is not repeated", async () => {
		const handle = await placed();
		let runs = 0;
		const lost = (options: { retries?: number }) =>
			handle.transaction(async (tx) => {
				runs++;
				if (runs === 1) await proxy.stop();
				await tx.query(sql`INSERT INTO answers VALUES ('written')`);
				return whoAnswers(tx);
			}, options);
		expect(await codeOf(lost({}))).toBe("CONNECTION_FAILED");
		expect(runs).toBe(1);
		expect(await whoAnswers(handle)).toBe("coordinator");
		const written = await coordinator.query(
			sql`SELECT FROM answers WHERE who = 'written'`,
		);
		expect(written.rowCount).toBe(0);
	});

	test("a transaction that may run again is run again by the coordinator", async () => {
		const handle = await placed();
		let runs = 0;
		const who = await handle.transaction(
			async (tx) => {
				runs++;
				if (runs === 1) await proxy.stop();
				await tx.query(sql`INSERT INTO answers VALUES ('written')`);
				return whoAnswers(tx);
			},
			{ retries: 1 },
		);
		expect({ who, runs }).toEqual({ who: "coordinator", runs: 2 });
	});

	test("one that has not begun is begun by the coordinator, and a failure of the work is not repeated", async () => {
		const handle = await placed();
		const fail = () =>
			handle.transaction((tx) => tx.query(sql`SELECT 1 / 0`), { retries: 5 });
		expect(await codeOf(fail())).toBe("DATABASE");
		expect(await whoAnswers(handle)).toBe("node");
		await proxy.stop();
		// The pool may have a connection that is closed by now.
		expect(await whoAnswers(handle)).toBe("coordinator");
		expect(await handle.transaction(whoAnswers)).toBe("coordinator");
	});

	test("a schema that has moved is looked for again", async () => {
		const handle = await placed();
		await coordinator.query(
			sql`UPDATE pg_dist_placement SET groupid = 0 WHERE shardid = 1`,
		);
		nodes.forget();
		await expect.poll(() => whoAnswers(handle)).toBe("coordinator");
	});

	test("a node whose metadata is old, or that is not active, is left out", async () => {
		const handle = await placed();
		for (const column of ["metadatasynced", "isactive", "hasmetadata"]) {
			await coordinator.script(
				`UPDATE pg_dist_node SET ${column} = FALSE WHERE groupid = 1`,
			);
			nodes.forget();
			await expect.poll(() => whoAnswers(handle)).toBe("coordinator");
			await coordinator.script(
				`UPDATE pg_dist_node SET ${column} = TRUE WHERE groupid = 1`,
			);
			nodes.forget();
			await expect.poll(() => whoAnswers(handle)).toBe("node");
		}
	});

	test("pools of several nodes share the connections", async () => {
		await coordinator.script(
			"UPDATE pg_dist_placement SET groupid = 2 WHERE shardid = 2",
		);
		await whoAnswers(nodes.of("b0"));
		await expect
			.poll(() => opened)
			.toEqual([
				{ node: "node1:5432", connections: 2 },
				{ node: "node2:5432", connections: 2 },
			]);
	});

	test("closing waits, and what comes later is the coordinator's", async () => {
		const handle = await placed();
		await nodes.close();
		expect(await whoAnswers(handle)).toBe("coordinator");
	});
});
