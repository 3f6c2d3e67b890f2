import { spawnSync } from "node:child_process";
import { inspect } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import {
	defineEntity,
	type Handle,
	PostgresService,
	type RemError,
} from "../../src/index.ts";
import { sql } from "../../src/sql.ts";
import {
	codeOf,
	createDatabase,
	engine,
	useService,
} from "../support/engine.ts";
import { bundleUrl } from "../support/library-bundle.ts";

const optional = {
	ref: z.uuid(),
	whole: z.int(),
	big: z.bigint(),
	real: z.number(),
	yes: z.boolean(),
	at: z.date(),
	data: z.record(z.string(), z.unknown()),
	json: z.json(),
	texts: z.array(z.string()),
	refs: z.array(z.uuid()),
	wholes: z.array(z.int()),
	bigs: z.array(z.bigint()),
	reals: z.array(z.number()),
	flags: z.array(z.boolean()),
	times: z.array(z.date()),
	lists: z.array(z.array(z.string())),
};

const Everything = defineEntity(
	"everything",
	{
		name: z.string(),
		content: z.string(),
		...z.object(optional).partial().shape,
	},
	{ entityKeyField: "name" },
);

const db = useService({
	models: [Everything],
	embedding: { provider: "local", dimensions: 8 },
});

type NewEverything = Parameters<
	(typeof db.service)["batchUpsert"]
>[0]["entities"] extends Iterable<infer R> | AsyncIterable<infer R>
	? R
	: never;

const odd = {
	"": "empty key",
	"a b": "quote \" and backslash \\ and ' and $1",
	"🙂": ["é", "\u0001", "\n", "\ufffd"],
	null: null,
	constructor: { toString: false },
	deep: { numbers: [0, -1.5, 1e300, 5e-324, 0.1], empty: [{}, []] },
};
const uuid = "0123abcd-0000-4000-8000-0000000000ff";
const words = [
	'"',
	"\\",
	",",
	"",
	" ",
	"NULL",
	"null",
	"{}",
	'{"a",b}',
	"é🙂",
	"\n\t",
	"'",
];

const values: { [K in keyof typeof optional]: unknown[] } = {
	ref: [uuid],
	whole: [0, -1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
	big: [0n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)],
	real: [0, 0.1, -1e300, 5e-324, Number.MAX_VALUE, 1e21],
	yes: [true, false],
	at: [
		new Date(0),
		new Date("1999-12-31T23:59:59.999Z"),
		new Date("2024-03-10T02:30:00.001Z"),
		new Date("0001-01-01T00:00:00Z"),
		new Date("-000043-03-15T12:00:00Z"),
		new Date("+012345-06-07T00:00:00Z"),
	],
	data: [odd, {}],
	json: [odd, [], "text", 0, false, [[["a"]], null]],
	texts: [[], words, ["one"]],
	refs: [[], [uuid]],
	wholes: [[], [0, -1, Number.MAX_SAFE_INTEGER]],
	bigs: [],
	reals: [[], [0.1, -1e300, 5e-324, 1e21]],
	flags: [[], [true, false]],
	times: [[], [new Date(0), new Date("0044-03-15T12:00:00.123Z")]],
	lists: [[], [["a", "b"], []]],
};

const examples = Object.entries(values).flatMap(([field, list]) =>
	list.map((value, index) => ({ name: `${field} ${index}`, field, value })),
);

describe("every column type", () => {
	const tenantId = "types";
	const upsert = () =>
		db.service.batchUpsert({
			tableName: "everything",
			entities: examples.map(
				({ name, field, value }) =>
					({ name, content: "x", [field]: value }) as NewEverything,
			),
			tenantId,
		});

	test("is read as it was written, and null where nothing was", async () => {
		await upsert();
		const rows = await db.service.vectorSearch({
			tableName: "everything",
			queryText: "x",
			tenantId,
			limit: 1000,
		});
		const byName = new Map(rows.map((row) => [row.name, row]));
		for (const { name, field, value } of examples) {
			const row = byName.get(name) as Record<string, unknown>;
			expect(row[field], name).toEqual(value);
			const others = Object.keys(optional).filter((other) => other !== field);
			for (const other of others) expect(row[other]).toBeNull();
		}
	});

	test("is the same to the next upsert, which writes nothing", async () => {
		const { unchanged } = await upsert();
		expect(unchanged).toBe(examples.length);
	});

	test("a list of bigints is read as it was written", async () => {
		const bigs = [0n, 2n ** 63n - 1n];
		await db.service.batchUpsert({
			tableName: "everything",
			entities: [{ name: "bigs", content: "x", bigs }],
			tenantId,
		});
		const [row] = await db.service.vectorSearch({
			tableName: "everything",
			queryText: "x",
			tenantId,
			where: { name: "bigs" },
		});
		expect(row?.bigs).toEqual(bigs);
	});

	test("a list of dates after the year 9999 or before the year 0", async () => {
		const times = [
			new Date("+012345-06-07T00:00:00Z"),
			new Date("-000043-03-15T12:00:00Z"),
		];
		await db.service.batchUpsert({
			tableName: "everything",
			entities: [{ name: "far times", content: "x", times }],
			tenantId,
		});
	});

	test("comes out of execute as the type it has", async () => {
		const { rows } = await db.service.execute(
			`SELECT 9007199254740991 AS exact, 9007199254740992 AS big, '{1,9007199254740993,NULL}'::bigint[] AS list,
  TRUE AS yes, '{"a":1}'::jsonb AS json, ARRAY['a',NULL] AS texts, timestamptz '2000-01-01 00:00:00+00' AS at, 1.5::float8 AS real`,
		);
		expect(rows[0]).toEqual({
			exact: 9007199254740991,
			big: 9007199254740992n,
			list: [1, 9007199254740993n, null],
			yes: true,
			json: { a: 1 },
			texts: ["a", null],
			at: new Date("2000-01-01T00:00:00Z"),
			real: 1.5,
		});
	});
});

describe("a timestamp", () => {
	const summer = new Date("2024-03-10T07:30:00.123Z");

	/** Sends dates from one zone of the client, through another of the server. */
	async function throughZones(zone: string, at: Date) {
		inClientZone(zone);
		return db.service.transaction(async (tx) => {
			await tx.script(`SET LOCAL timezone = '${zone}'`);
			const { rows } = await tx.query<{ at: Date; list: Date[] }>(
				sql`SELECT ${at}::timestamptz AS at, ARRAY[${at}]::timestamptz[] AS list`,
			);
			return rows[0];
		});
	}

	test.each(["America/New_York", "Asia/Kathmandu", "UTC"])(
		"is the same instant through TimeZone %s of server and client",
		async (zone) => {
			expect(await throughZones(zone, summer)).toEqual({
				at: summer,
				list: [summer],
			});
		},
	);

	test("is the same instant where the client's zone has an offset of seconds", async () => {
		const at = new Date("1900-01-01T00:00:00Z");
		expect(await throughZones("Europe/Paris", at)).toEqual({ at, list: [at] });
	});

	test("is stored in one zone and read in another", async () => {
		const old = new Date("1900-01-01T00:00:00Z");
		inClientZone("Europe/Paris");
		await db.service.batchUpsert({
			tableName: "everything",
			entities: [{ name: "at", content: "x", at: old, times: [old, summer] }],
			tenantId: "zones",
		});
		inClientZone("Pacific/Auckland");
		const [row] = await db.service.vectorSearch({
			tableName: "everything",
			queryText: "x",
			tenantId: "zones",
		});
		expect(row).toMatchObject({ at: old, times: [old, summer] });
	});

	function inClientZone(zone: string): void {
		const before = process.env.TZ;
		process.env.TZ = zone;
		onTestFinished(() => {
			if (before === undefined) delete process.env.TZ;
			else process.env.TZ = before;
		});
	}
});

test.runIf(engine === "server")(
	"a timestamp is read whatever DateStyle the database has",
	async () => {
		const database = await createDatabase();
		onTestFinished(() => database.drop());
		const connect = () =>
			PostgresService.connect({
				connectionString: database.url,
				models: [Everything],
			});
		const first = await connect();
		await first.execute(
			"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET datestyle TO German', current_database()); END $$",
		);
		await first.close();
		const second = await connect();
		onTestFinished(() => second.close());
		const { rows } = await second.execute(
			"SELECT timestamptz '2000-01-01 00:00:00+00' AS at",
		);
		expect(rows).toEqual([{ at: new Date("2000-01-01T00:00:00Z") }]);
	},
);

describe("a transaction", () => {
	const count = async (handle: Pick<Handle, "query">, name: string) => {
		const { rows } = await handle.query<{ n: number }>(
			sql`SELECT count(*) AS n FROM everything WHERE name = ${name}`,
		);
		return rows[0]?.n;
	};
	const insert = (handle: Handle, name: string) =>
		handle.query(
			sql`INSERT INTO everything (tenant_id, name, content) VALUES ('tx', ${name}, 'x')`,
		);
	const committed = (name: string) =>
		db.service.transaction((tx) => count(tx, name));

	test("commits when its work returns, and returns what it returned", async () => {
		const result = await db.service.transaction(async (tx) => {
			await insert(tx, "committed");
			return "done";
		});
		expect(result).toBe("done");
		expect(await committed("committed")).toBe(1);
	});

	test("rolls back when its work throws, and throws the same", async () => {
		const failure = new Error("no");
		await expect(
			db.service.transaction(async (tx) => {
				await insert(tx, "thrown");
				throw failure;
			}),
		).rejects.toBe(failure);
		expect(await committed("thrown")).toBe(0);
	});

	test("inside another is a savepoint", async () => {
		await db.service.transaction(async (tx) => {
			await insert(tx, "outer");
			await expect(
				tx.transaction(async (inner) => {
					await insert(inner, "inner");
					await inner.query(sql`SELECT 1 / 0`);
				}),
			).rejects.toMatchObject({ code: "DATABASE", sqlState: "22012" });
			await tx.transaction(async (inner) => {
				await insert(inner, "second inner");
				await inner.transaction((innermost) => insert(innermost, "innermost"));
			});
		});
		expect(await committed("outer")).toBe(1);
		expect(await committed("inner")).toBe(0);
		expect(await committed("second inner")).toBe(1);
		expect(await committed("innermost")).toBe(1);
	});

	test("whose statement failed does not pretend to have committed", async () => {
		const code = await codeOf(
			db.service.transaction(async (tx) => {
				await insert(tx, "swallowed");
				await tx.query(sql`SELECT 1 / 0`).catch(() => {});
			}),
		);
		expect(code).toBe("DATABASE");
		expect(await committed("swallowed")).toBe(0);
	});

	test("may be read-only and of another isolation", async () => {
		const options = { isolation: "serializable", readOnly: true } as const;
		await db.service.transaction(async (tx) => {
			const { rows } = await tx.query(
				sql`SELECT current_setting('transaction_isolation') AS isolation, current_setting('transaction_read_only') AS read_only`,
			);
			expect(rows).toEqual([{ isolation: "serializable", read_only: "on" }]);
		}, options);
		await expect(
			db.service.transaction((tx) => insert(tx, "read only"), options),
		).rejects.toMatchObject({ code: "DATABASE", sqlState: "25006" });
	});

	test("runs again after a serialization failure as often as configured", async () => {
		const failing = (failures: number, name: string) => {
			let runs = 0;
			return async (tx: Handle) => {
				await insert(tx, name);
				if (runs++ < failures)
					await tx.script(
						"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$",
					);
				return runs;
			};
		};
		const { service } = db;
		const twice = { retries: 2 };
		expect(await service.transaction(failing(2, "third"), twice)).toBe(3);
		expect(await committed("third")).toBe(1);
		await expect(
			service.transaction(failing(3, "fourth"), twice),
		).rejects.toMatchObject({ sqlState: "40001" });
		expect(await committed("fourth")).toBe(0);
	});
});

describe("after a failure", () => {
	test("of a statement the pool goes on", async () => {
		for (let time = 0; time < 20; time++)
			await expect(
				db.service.execute("SELECT 1 / $1::int", [0]),
			).rejects.toMatchObject({ code: "DATABASE", sqlState: "22012" });
		const { rows } = await db.service.execute("SELECT 1 AS one");
		expect(rows).toEqual([{ one: 1 }]);
	});

	test("of a text with its own BEGIN the pool goes on", async () => {
		onTestFinished(async () => {
			for (let client = 0; client < 8; client++)
				await db.service.execute("ROLLBACK");
		});
		await expect(
			db.service.execute("BEGIN; SELECT 1 / 0; COMMIT"),
		).rejects.toMatchObject({ sqlState: "22012" });
		for (let client = 0; client < 8; client++)
			await db.service.execute("SELECT 1");
	});

	test("many statements at once wait for their turn", async () => {
		const results = await Promise.all(
			Array.from({ length: 50 }, (_, n) =>
				db.service.execute<{ n: number }>("SELECT $1::int AS n", [n]),
			),
		);
		expect(results.map(({ rows }) => rows[0]?.n)).toEqual(
			Array.from({ length: 50 }, (_, n) => n),
		);
	});
});

test("a text of several statements gives the last one's rows", async () => {
	const { rows } = await db.service.execute("SELECT 1 AS a; SELECT 2 AS b");
	expect(rows).toEqual([{ b: 2 }]);
	expect((await db.service.execute("")).rows).toEqual([]);
	expect((await db.service.execute("-- nothing")).rows).toEqual([]);
});

describe("a closed database", () => {
	test("reports it, and closes twice", async () => {
		const database = await createDatabase();
		onTestFinished(() => database.drop());
		const service = await PostgresService.connect({
			connectionString: database.url,
			models: [Everything],
		});
		await service.close();
		await service.close();
		for (const call of [
			() => service.execute("SELECT 1"),
			() => service.transaction(async () => {}),
			() => service.migrate(),
			() => service.lookupEntity({ entityKey: "a" }),
			() => service.fuzzySearch({ query: "a" }),
		])
			expect(await codeOf(call())).toBe("CONNECTION_FAILED");
	});

	test("finishes what was asked of it before it closes", async () => {
		const database = await createDatabase();
		onTestFinished(() => database.drop());
		const service = await PostgresService.connect({
			connectionString: database.url,
			models: [Everything],
			connectTimeoutMs: 1000,
		});
		const asked = service.execute("SELECT 1 AS one");
		const tooLong = new Promise((resolve) =>
			setTimeout(resolve, 60_000).unref(),
		);
		await service.close();
		expect(await Promise.race([asked, tooLong])).toMatchObject({
			rows: [{ one: 1 }],
		});
	});
});

test.skipIf(engine === "embedded")(
	"a pool whose connections are all busy is POOL_TIMEOUT",
	async () => {
		expect(await waitInside(db.url)).toBe("POOL_TIMEOUT");
	},
);

test.skipIf(engine === "server")(
	"the embedded database's one connection being busy is POOL_TIMEOUT",
	async () => {
		expect(await waitInside("memory:")).toBe("POOL_TIMEOUT");
	},
);

/** Asks the pool for a second connection while the only one is in another caller's transaction. */
async function waitInside(connectionString: string): Promise<string> {
	const service = await PostgresService.connect({
		connectionString,
		models: [Everything],
		poolSize: 1,
		connectTimeoutMs: 5000,
	});
	let end = () => {};
	const held = new Promise<void>((resolve) => {
		end = resolve;
	});
	let begun = () => {};
	const isHeld = new Promise<void>((resolve) => {
		begun = resolve;
	});
	const transaction = service.transaction(async () => {
		begun();
		await held;
	});
	await isHeld;
	const code = await codeOf(service.execute("SELECT 1"));
	end();
	await transaction;
	await service.close();
	return code;
}

describe("no error shows the content of a row", () => {
	const canary = "c4n4ry";
	const failing: [string, string, string[]][] = [
		[
			"a key that is taken",
			"INSERT INTO everything (tenant_id, name, content) VALUES ('canary', $1, 'x')",
			[`${canary} name`],
		],
		[
			"an id that is taken",
			"INSERT INTO everything (id, tenant_id, name, content) SELECT id, 'b', $1, 'x' FROM everything WHERE name = $2",
			[canary, `${canary} name`],
		],
		[
			"NOT NULL",
			"INSERT INTO everything (tenant_id, name, content) VALUES ('canary', $1, NULL)",
			[canary],
		],
		[
			"a check",
			"INSERT INTO everything (tenant_id, name, content) VALUES ('canary', $1, 'x')",
			[canary.repeat(50)],
		],
		[
			"a text that is too long",
			"INSERT INTO everything (tenant_id, name, content) VALUES ($1, 'n', 'x')",
			[canary.repeat(50)],
		],
		["an invalid uuid", "SELECT $1::uuid", [canary]],
		["an invalid number", "SELECT $1::bigint", [canary]],
		["an invalid date", "SELECT $1::timestamptz", [canary]],
		["invalid JSON", "SELECT $1::jsonb", [`{"${canary}`]],
		["an invalid list", "SELECT $1::text[]", [`{${canary}`]],
		["an invalid vector", "SELECT $1::vector", [canary]],
		["an invalid pattern", "SELECT 'a' ~ $1", [`${canary}(`]],
		[
			"a division by zero in a query over rows",
			"SELECT 1 / (length(name) - length(name)) FROM everything WHERE name = $1",
			[`${canary} name`],
		],
		[
			"a cast of rows",
			"SELECT name::bigint FROM everything WHERE name = $1",
			[`${canary} name`],
		],
	];

	test("whatever the database answers", async () => {
		await db.service.batchUpsert({
			tableName: "everything",
			entities: [{ name: `${canary} name`, content: canary }],
			tenantId: "canary",
		});
		for (const [what, text, parameters] of failing) {
			const error = await errorOf(db.service.execute(text, parameters));
			expect(error.code, what).toBe("DATABASE");
			expect(error.sqlState, what).toMatch(/^[0-9A-Z]{5}$/);
			expectWithout(error, canary, what);
		}
	});

	test("nor does a function that raises an exception of its own", async () => {
		const error = await errorOf(
			db.service.execute(
				`DO $$ BEGIN RAISE EXCEPTION '${canary}' USING DETAIL = '${canary}', HINT = '${canary}'; END $$`,
			),
		);
		expect(error.sqlState).toBe("P0001");
		expectWithout(error, canary, "exception");
	});

	test("nor does a batch upsert that the database refuses", async () => {
		await db.service.execute(
			"CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused: %', NEW; END $$; CREATE TRIGGER refuse BEFORE INSERT ON everything FOR EACH ROW WHEN (NEW.tenant_id = 'refused') EXECUTE FUNCTION refuse()",
		);
		const error = await errorOf(
			db.service.batchUpsert({
				tableName: "everything",
				entities: [
					{ name: canary, content: canary, data: { [canary]: canary } },
				],
				tenantId: "refused",
			}),
		);
		expect(error.code).toBe("DATABASE");
		expectWithout(error, canary, "trigger");
	});

	function expectWithout(error: RemError, text: string, what: string): void {
		const shown = [
			inspect(error, { depth: 10, showHidden: true }),
			JSON.stringify(error),
			error.stack,
		].join("\n");
		expect(shown.includes(text), `${what}: ${shown}`).toBe(false);
	}
});

async function errorOf(promise: Promise<unknown>): Promise<RemError> {
	return promise.then(
		() => expect.unreachable("it did not fail"),
		(error: RemError) => error,
	);
}

describe.runIf(engine === "server")("a server that cannot be reached", () => {
	const server = () => new URL(process.env.REM_TEST_DATABASE_URL as string);
	const failure = async (url: URL) =>
		errorOf(
			PostgresService.connect({
				connectionString: url.href,
				connectTimeoutMs: 2000,
			}),
		);
	const secret = "s3cr3t-pa55";

	test("because of its password", async () => {
		const url = server();
		url.password = secret;
		const error = await failure(url);
		expect(error).toMatchObject({
			code: "CONNECTION_FAILED",
			sqlState: "28P01",
		});
		expect(error.hint).toContain("password");
		expect(inspect(error, { depth: 10 })).not.toContain(secret);
	});

	test("because of its database", async () => {
		const url = server();
		url.pathname = "/rem_no_such_database";
		const error = await failure(url);
		expect(error).toMatchObject({
			code: "CONNECTION_FAILED",
			sqlState: "3D000",
		});
		expect(error.hint).toContain("createdb");
		expect(inspect(error, { depth: 10 })).not.toContain(server().password);
	});

	test.each([
		["because nothing listens at the port", "127.0.0.1:1"],
		["because there is no such host", "no-such-host.invalid:5432"],
	])("%s", async (_, host) => {
		const url = server();
		url.host = host;
		url.password = secret;
		const error = await failure(url);
		expect(error.code).toBe("CONNECTION_FAILED");
		expect(error.message).toContain(host);
		expect(inspect(error, { depth: 10 })).not.toContain(secret);
	});

	test("because the address is malformed", async () => {
		for (const address of [
			`postgres://u:${secret}@h:port/d`,
			`postgres://u:${secret}%@h/d`,
			`postgres://u:${secret}@[::1/d`,
		]) {
			const error = await errorOf(
				PostgresService.connect({ connectionString: address }),
			);
			expect(["CONNECTION_FAILED", "CONFIG_INVALID"]).toContain(error.code);
			expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(
				secret,
			);
		}
	});

	test("does not prevent the process from exiting", async () => {
		const script = `
import { PostgresService } from "${await bundleUrl("src/index.ts")}";
const { code } = await PostgresService.connect({ connectionString: "postgres://u:p@127.0.0.1:1/d" }).catch((e) => e);
process.stdout.write(code);`;
		const { stdout, status } = spawnSync(
			process.execPath,
			["--input-type=module", "-e", script],
			{ encoding: "utf8", timeout: 240_000 },
		);
		expect({ stdout, status }).toEqual({
			stdout: "CONNECTION_FAILED",
			status: 0,
		});
	});
});
