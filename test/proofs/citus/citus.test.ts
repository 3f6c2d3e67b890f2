import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService, RemError } from "../../../src/index.ts";
import { rowsVerbSamples } from "../../support/rows-verb-samples.ts";
import { sampleCalls } from "../../support/sample-calls.ts";
import { sampleDimensions, verbSamples } from "../../support/verb-samples.ts";

// A real Citus cluster: REM_TEST_CITUS_URL is the address of a superuser at its
// coordinator, whose password is that of the workers as well. The database has
// the settings of deploy/citus/README.md. The suite uses schemas of its own, and
// crashes a worker: nothing else should be on the cluster.

const url = process.env.REM_TEST_CITUS_URL;

test.skipIf(url !== undefined)(
	"NO CITUS CLUSTER IS TESTED: set REM_TEST_CITUS_URL",
	() => {
		console.warn(
			"\n*** the Citus suite was skipped: REM_TEST_CITUS_URL is not set\n",
		);
	},
);

const Note = defineEntity(
	"notes",
	{
		name: z.string(),
		content: z.string().optional(),
		sessionId: z.string().optional(),
	},
	{ entityKeyField: "name" },
);
const tableName = "notes";
const tenantId = "default";

interface Node {
	readonly host: string;
	readonly port: number;
}

describe.skipIf(url === undefined)("on a Citus cluster", () => {
	const schema = `rem_test_${process.pid}_${Date.now()}`;
	const connectionString = url ?? "";
	let service: Service;
	/** The same, sending calls about one schema to its node. */
	let direct: Service;
	let admin: pg.Client;
	const open = (citusNodes?: string) =>
		PostgresService.connect({
			connectionString,
			schema,
			models: [Note],
			embedding: { provider: "local", dimensions: sampleDimensions },
			poolSize: 8,
			retryTimeoutMs: 60_000,
			...(citusNodes === undefined ? {} : { citusNodes }),
		});

	beforeAll(async () => {
		admin = new pg.Client({ connectionString });
		await admin.connect();
		service = await open();
		await service.migrate();
		direct = await open("direct");
	});

	afterAll(async () => {
		await service?.close();
		await direct?.close();
		await admin.end();
		// The connections of the other one to a crashed worker are of no more use.
		const other = await connected(connectionString);
		await other.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`);
		await other.end();
	});

	const workers = async (): Promise<Node[]> => {
		const { rows } = await admin.query<Node>(
			"SELECT nodename AS host, nodeport AS port FROM pg_dist_node WHERE shouldhaveshards AND noderole = 'primary' ORDER BY nodeid",
		);
		return rows;
	};

	/** Where the schema's tables are. */
	const place = async (): Promise<Node> => {
		const { rows } = await admin.query<Node>(
			"SELECT DISTINCT nodename AS host, nodeport AS port FROM citus_shards WHERE table_name::text LIKE $1",
			[`${schema}.%`],
		);
		expect(rows).toHaveLength(1);
		return rows[0] as Node;
	};

	const onNode = ({ host, port }: Node): string => {
		const address = new URL(connectionString);
		address.hostname = host;
		address.port = String(port);
		return address.href;
	};

	const runOn = async (node: Node, statements: readonly string[]) => {
		const client = await connected(onNode(node));
		try {
			for (const statement of statements) await client.query(statement);
		} finally {
			await client.end();
		}
	};

	/** Connections of this library to the database on a node; those of the coordinator have another name. */
	const connectionsTo = async (node: Node): Promise<number> => {
		const client = await connected(onNode(node));
		try {
			const { rows } = await client.query<{ connections: number }>(
				"SELECT count(*)::integer AS connections FROM pg_stat_activity WHERE application_name = 'remdb' AND datname = current_database()",
			);
			return rows[0]?.connections ?? 0;
		} finally {
			await client.end();
		}
	};

	/** The worker recovers as after a crash: unlogged tables are empty then. */
	const crash = async (node: Node): Promise<void> => {
		const client = await connected(onNode(node));
		await client
			.query("COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID'")
			.catch(() => {
				// The server ends the connection.
			});
	};

	const isReady = async () => (await service.kv.status()).ready;
	/** A rebuild that a crash ended is started again by the next read. */
	const isRebuilt = async () => {
		await service.lookupEntity({ entityKey: "queued", tenantId });
		return isReady();
	};

	test("is detected at connect", () => {
		expect(service.capabilities).toMatchObject({ citus: true, listen: false });
	});

	test("a second migration has nothing to do, and the schema is on one worker", async () => {
		expect((await service.migrate()).applied).toEqual([]);
		expect(await workers()).toContainEqual(await place());
	});

	const sample = {
		tableName,
		tenantId,
		id: "00000000-0000-4000-8000-000000000000",
	};
	test.each([...Object.keys(verbSamples(sample))])("%s", async (name) => {
		const calls = sampleCalls(() => service, verbSamples(sample));
		await calls[name]?.();
	});

	test.each(Object.keys(rowsVerbSamples(sample)))(
		"%s of a repository",
		async (name) => {
			const calls = sampleCalls(
				() => service.repository(Note),
				rowsVerbSamples(sample),
			);
			await calls[name]?.();
		},
	);

	test("calls about one schema are sent to its node, where that is configured", async () => {
		const node = await place();
		expect(await connectionsTo(node)).toBe(0);
		const entityKey = "sent directly";
		const use = async () => {
			await direct.batchUpsert({
				tableName,
				tenantId,
				entities: [{ name: entityKey }],
			});
			const found = await direct.lookupEntity({ entityKey, tenantId });
			expect(found?.entityKey).toBe(entityKey);
			return connectionsTo(node);
		};
		await expect.poll(use).toBeGreaterThan(0);
		expect(await service.lookupEntity({ entityKey, tenantId })).toBeDefined();
	});

	test.each([...Object.keys(verbSamples(sample))])(
		"%s, sent to the node",
		async (name) => {
			const calls = sampleCalls(() => direct, verbSamples(sample));
			await calls[name]?.();
		},
	);

	test("tenants of several nodes are written together, and read after a move", async () => {
		const spread = await PostgresService.connect({
			connectionString,
			schema: `${schema}_s`,
			buckets: 4,
			models: [Note],
			embedding: { provider: "local", dimensions: sampleDimensions },
			citusNodes: "direct",
		});
		try {
			await spread.migrate();
			const tenants = Array.from({ length: 12 }, (_, at) => `tenant ${at}`);
			const write = (text: string) =>
				spread.batchUpsert({
					tableName,
					entities: tenants.map((tenantId) => ({
						name: `of ${tenantId}`,
						content: text,
						tenantId,
					})),
				});
			await write("first");
			const stop = new Error("stop");
			await spread
				.transaction(async (transaction) => {
					for (const tenantId of tenants)
						await spread.batchUpsert({
							tableName,
							tenantId,
							entities: [{ name: `of ${tenantId}`, content: "rolled back" }],
							transaction,
						});
					throw stop;
				})
				.catch((error: unknown) => {
					if (error !== stop) throw error;
				});
			const contents = () =>
				Promise.all(
					tenants.map(async (tenantId) => {
						const found = await spread.lookupEntity({
							entityKey: `of ${tenantId}`,
							tenantId,
						});
						return found?.contentSummary;
					}),
				);
			const each = (text: string) => tenants.map(() => text);
			expect(await contents()).toEqual(each("first"));
			const [{ node } = { node: null }, ...others] =
				await spread.buckets.status();
			const to = others.find((other) => other.node !== node)?.node ?? "";
			await spread.buckets.move({ bucket: 0, to });
			expect(await contents()).toEqual(each("first"));
			for (const tenantId of tenants)
				await spread.batchUpsert({
					tableName,
					tenantId,
					entities: [{ name: `of ${tenantId}`, content: "second" }],
				});
			expect(await contents()).toEqual(each("second"));
			await write("third");
			expect(await contents()).toEqual(each("third"));
		} finally {
			await spread.close();
			for (const bucket of ["", "_b00", "_b01", "_b02", "_b03"])
				await admin.query(
					`DROP SCHEMA IF EXISTS "${schema}_s${bucket}" CASCADE`,
				);
		}
	});

	test("rows of which some supply a field change that field alone", async () => {
		await service.batchUpsert({
			tableName,
			tenantId,
			entities: [{ name: "a", content: "kept" }, { name: "b" }],
		});
		await service.batchUpsert({
			tableName,
			tenantId,
			entities: [{ name: "a" }, { name: "b", content: "new" }],
		});
		const rows = await service
			.repository(Note)
			.find({ tenantId, name: { in: ["a", "b"] } }, { orderBy: "name" });
		expect(rows.map(({ content }) => content)).toEqual(["kept", "new"]);
	});

	test("a batch in a transaction is rolled back with it", async () => {
		const stop = new Error("stop");
		await service
			.transaction(async (tx) => {
				await service.batchUpsert({
					tableName,
					tenantId,
					entities: [{ name: "rolled back" }],
					transaction: tx,
				});
				throw stop;
			})
			.catch((error: unknown) => {
				if (error !== stop) throw error;
			});
		const entityKey = "rolled back";
		expect(await service.lookupEntity({ entityKey, tenantId })).toBeUndefined();
	});

	test("the worker embeds what is queued, and sync what no trigger saw", async () => {
		await service.embeddings.start();
		await service.batchUpsert({
			tableName,
			tenantId,
			entities: [{ name: "queued", content: "to be embedded" }],
			generateEmbeddings: false,
		});
		const queued = async () =>
			(await service.embeddings.status()).fields.map(({ queued }) => queued);
		await expect.poll(queued).toEqual([0]);
		await service.embeddings.stop();
		await admin.query(`DELETE FROM "${schema}".embeddings_notes`);
		const { embedded } = await service.embeddings.sync();
		expect(embedded).toBeGreaterThan(0);
	});

	test("a TRUNCATE of the cache is noticed: answers come from the tables, until it is rebuilt", async () => {
		await expect.poll(isReady).toBe(true);
		await admin.query(`TRUNCATE "${schema}".kv_store`);
		expect(await isReady()).toBe(false);
		expect(
			await service.lookupEntity({ entityKey: "queued", tenantId }),
		).toBeDefined();
		await service.kv.ensureReady();
		expect(await isReady()).toBe(true);
		expect((await service.kv.verify()).differing).toBe(0);
	});

	test("doctor finds nothing that has failed", async () => {
		const { checks } = await service.doctor();
		expect(checks.filter(({ state }) => state === "failed")).toEqual([]);
	});

	test("doctor names what an interrupted move has left on the nodes, and its remedy removes it", async () => {
		const [source, target] = await workers();
		if (source === undefined || target === undefined)
			throw new Error("the cluster has fewer than two workers");
		// As Citus creates them for a move: the source publishes, the target subscribes.
		const name = (kind: string) =>
			`citus_shard_move_${kind}_2_10_${process.pid}`;
		await runOn(source, [
			"SET citus.enable_ddl_propagation TO off",
			`CREATE PUBLICATION ${name("publication")}`,
			`SELECT pg_create_logical_replication_slot('${name("slot")}', 'pgoutput')`,
		]);
		await runOn(target, [
			"SET citus.enable_ddl_propagation TO off",
			`CREATE SUBSCRIPTION ${name("subscription")} CONNECTION 'host=127.0.0.1 port=1' PUBLICATION ${name("publication")} WITH (connect = false, slot_name = '${name("slot")}')`,
		]);
		const moves = async () =>
			(await service.doctor()).checks.filter(
				(check) => check.name === "interrupted moves",
			);
		const found = await moves();
		expect(found.map((check) => [check.state, check.found])).toEqual([
			[
				"warning",
				`${source.host}:${source.port} has replication slot ${name("slot")}, publication ${name("publication")} of a move that was interrupted`,
			],
			[
				"warning",
				`${target.host}:${target.port} has subscription ${name("subscription")} of a move that was interrupted`,
			],
		]);
		for (const [at, node] of [source, target].entries()) {
			const remedy = found[at]?.remedy ?? "";
			const place = `on ${node.host}:${node.port}: `;
			await runOn(node, [
				"SET citus.enable_ddl_propagation TO off",
				...remedy.slice(remedy.indexOf(place) + place.length).split("; "),
			]);
		}
		expect(await moves()).toMatchObject([{ state: "ok", found: "none" }]);
	});

	const ways = [
		["through the coordinator", () => service],
		["to the node", () => direct],
	] as const;

	test.each(ways)(
		"a move of the schema under load %s loses nothing, and no answer is wrong",
		async (way, used) => {
			await expect.poll(isReady).toBe(true);
			const from = await place();
			const to = (await workers()).find(({ port }) => port !== from.port);
			const load = startLoad(used(), `moved ${way}`);
			try {
				await sleep(2000);
				await admin.query(
					"SELECT citus_schema_move($1::regnamespace, $2, $3, 'block_writes')",
					[schema, to?.host, to?.port],
				);
				await sleep(2000);
			} finally {
				await load.stop();
			}
			const { figures } = load;
			console.log("move", way, figures);
			expect(await place()).toEqual(to);
			expect(figures).toMatchObject({ wrong: 0, failedReads: 0 });
			expect(await missing(service, load.acknowledged)).toEqual([]);
			await expect.poll(isReady).toBe(true);
			expect((await service.kv.verify()).differing).toBe(0);
		},
	);

	test.each(ways)(
		"crashes of the worker under load %s lose nothing, no answer is wrong, and reads wait",
		async (way, used) => {
			// While the worker recovers, the coordinator cannot say.
			const node = await place();
			const load = startLoad(used(), `crashed ${way}`);
			try {
				for (let round = 0; round < 3; round++) {
					// Under load again: a recovery can take longer than the pause.
					await (await connected(onNode(node))).end();
					await sleep(4000);
					await crash(node);
				}
				await sleep(5000);
			} finally {
				await load.stop();
			}
			const { figures } = load;
			console.log("crash", way, figures);
			expect(figures).toMatchObject({ wrong: 0, failedReads: 0 });
			// Whether a write was applied can be unknown; every other failure is a defect.
			const codes = [...figures.errors].map((error) => error.split(" ")[0]);
			expect(["CONNECTION_FAILED", "OUTCOME_UNKNOWN"]).toEqual(
				expect.arrayContaining(codes),
			);
			expect(await missing(service, load.acknowledged)).toEqual([]);
			await expect.poll(isRebuilt).toBe(true);
			expect((await service.kv.verify()).differing).toBe(0);
		},
	);
});

/** A connection of its own, once the server takes one. */
async function connected(connectionString: string): Promise<pg.Client> {
	const lastTry = performance.now() + 60_000;
	for (;;) {
		const client = new pg.Client({ connectionString });
		client.on("error", () => {
			// The statement that was sent reports it.
		});
		try {
			await client.connect();
			return client;
		} catch (error) {
			// It recovers, or crashes.
			if (performance.now() > lastTry) throw error;
			await sleep(100);
		}
	}
}

type Service = PostgresService<readonly [typeof Note]>;

/** Two writers and two readers, until they are stopped. */
function startLoad(service: Service, prefix: string) {
	const acknowledged: string[] = [];
	const figures = {
		written: 0,
		failedWrites: 0,
		read: 0,
		failedReads: 0,
		wrong: 0,
		slowestReadMs: 0,
		/** How often the cache was seen empty. */
		rebuilds: 0,
		errors: new Set<string>(),
	};
	let isStopped = false;
	const write = async (writer: number) => {
		for (let batch = 0; !isStopped; batch++) {
			const entities = Array.from({ length: 5 }, (_, at) => ({
				name: `${prefix} ${writer} ${batch} ${at}`,
				content: `text ${batch} ${at}`,
			}));
			try {
				await service.batchUpsert({ tableName, tenantId, entities });
				acknowledged.push(...entities.map(({ name }) => name));
				figures.written += entities.length;
			} catch (error) {
				figures.failedWrites++;
				figures.errors.add(describeError(error));
			}
		}
	};
	const read = async () => {
		while (!isStopped) {
			const entityKey =
				acknowledged[Math.floor(Math.random() * acknowledged.length)];
			if (entityKey === undefined) {
				await sleep(20);
				continue;
			}
			const started = performance.now();
			try {
				const found = await service.lookupEntity({ entityKey, tenantId });
				figures.read++;
				if (found === undefined) figures.wrong++;
			} catch (error) {
				figures.failedReads++;
				figures.errors.add(describeError(error));
			}
			figures.slowestReadMs = Math.max(
				figures.slowestReadMs,
				Math.round(performance.now() - started),
			);
		}
	};
	const watch = async () => {
		let wasReady = true;
		while (!isStopped) {
			const { ready } = await service.kv
				.status()
				.catch(() => ({ ready: false }));
			if (wasReady && !ready) figures.rebuilds++;
			wasReady = ready;
			await sleep(100);
		}
	};
	const running = [write(1), write(2), read(), read(), watch()];
	return {
		acknowledged,
		figures,
		stop: async () => {
			isStopped = true;
			await Promise.all(running);
		},
	};
}

function describeError(error: unknown): string {
	return error instanceof RemError
		? `${error.code} ${error.sqlState ?? ""} ${error.message}`
		: String(error);
}

/** Acknowledged rows that are not there. */
async function missing(
	service: Service,
	acknowledged: readonly string[],
): Promise<string[]> {
	const there = new Set<string>();
	for await (const { name } of service.repository(Note).iterate({ tenantId }))
		there.add(name);
	return acknowledged.filter((name) => !there.has(name));
}
