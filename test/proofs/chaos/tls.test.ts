import { AsyncResource } from "node:async_hooks";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectTo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { connect as connectTls, TLSSocket } from "node:tls";
import pg from "pg";
import {
	afterAll,
	beforeAll,
	describe,
	expect,
	onTestFinished,
	test,
	vi,
} from "vitest";
import { startServer } from "../../../scripts/postgres-server.ts";
import { type ConnectOptions, PostgresService } from "../../../src/index.ts";
import { Authority, encrypt } from "../../support/certificates.ts";
import { codeOf } from "../../support/engine.ts";

let server: Awaited<ReturnType<typeof startServer>>;
let plain: Awaited<ReturnType<typeof startServer>>;
let ours: Authority;
let other: Authority;

beforeAll(async () => {
	ours = new Authority("ours");
	other = new Authority("another");
	[server, plain] = await Promise.all([startServer(), startServer()]);
	await encrypt(server, ours.sign("DNS:localhost"));
});
afterAll(async () => {
	await Promise.all([server?.remove(), plain?.remove()]);
	ours?.remove();
	other?.remove();
});

/** 127.0.0.1 is no name of the certificate, localhost is. */
function address(
	parameters: Record<string, string>,
	{ host = "localhost", url = server.url } = {},
): string {
	const result = new URL(url);
	result.hostname = host;
	for (const [name, value] of Object.entries(parameters))
		result.searchParams.set(name, value);
	return result.href;
}

async function connect(connectionString: string, options: ConnectOptions = {}) {
	const service = await PostgresService.connect({
		embedding: { provider: "local" },
		connectTimeoutMs: 5000,
		...options,
		connectionString,
	});
	onTestFinished(() => service.close());
	return service;
}

async function isEncrypted(parameters: Record<string, string>) {
	const service = await PostgresService.connect({
		embedding: { provider: "local" },
		connectionString: address(parameters),
	}).catch(() => undefined);
	const shown = await service?.execute<{ ssl: boolean }>(
		"SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
	);
	await service?.close();
	return shown?.rows[0]?.ssl;
}

async function failure(connectionString: string) {
	const error = await connect(connectionString).then(
		() => undefined,
		(error: unknown) => error as Error & { code: string; hint: string },
	);
	expect(error?.message).not.toContain("undefined");
	return { code: error?.code, message: error?.message, hint: error?.hint };
}

test.each([
	["disable", false],
	["require", true],
	["verify-ca", true],
	["verify-full", true],
] as const)(
	"sslmode=%s with the authority at hand connects",
	async (sslmode, encrypted) => {
		const parameters = { sslmode, sslrootcert: ours.certificate };
		expect(await isEncrypted(parameters)).toBe(encrypted);
	},
);

test("without a word there is no TLS; an authority alone means verify-full", async () => {
	expect(await isEncrypted({})).toBe(false);
	expect(await isEncrypted({ sslrootcert: ours.certificate })).toBe(true);
	const { hint } = await failure(
		address({ sslrootcert: ours.certificate }, { host: "127.0.0.1" }),
	);
	expect(hint).toContain("name");
});

test("require encrypts and checks nothing, as libpq's does; with an authority it checks that", async () => {
	expect(await isEncrypted({ sslmode: "require" })).toBe(true);
	const wrong = { sslmode: "require", sslrootcert: other.certificate };
	expect(await failure(address(wrong))).toMatchObject({
		code: "CONNECTION_FAILED",
		hint: expect.stringContaining("POSTGRES__SSLROOTCERT"),
	});
});

test.each(["verify-ca", "verify-full"])(
	"%s refuses a server of another authority, and names the remedy",
	async (sslmode) => {
		const parameters = { sslmode, sslrootcert: other.certificate };
		expect(await failure(address(parameters))).toMatchObject({
			code: "CONNECTION_FAILED",
			hint: expect.stringContaining("POSTGRES__SSLROOTCERT"),
		});
	},
);

test("verify-full without an authority goes by Node's, which do not know ours", async () => {
	for (const parameters of [
		{ sslmode: "verify-full" },
		{ sslmode: "verify-full", sslrootcert: "system" },
		{ sslrootcert: "system" },
	])
		expect(await failure(address(parameters))).toMatchObject({
			code: "CONNECTION_FAILED",
			hint: expect.stringContaining("POSTGRES__SSLROOTCERT"),
		});
});

test("verify-full refuses another name, verify-ca does not look at it", async () => {
	const sslrootcert = ours.certificate;
	const host = "127.0.0.1";
	expect(
		await failure(address({ sslmode: "verify-full", sslrootcert }, { host })),
	).toMatchObject({
		code: "CONNECTION_FAILED",
		message: expect.stringContaining("127.0.0.1 is not in"),
		hint: expect.stringContaining("a name that is in the server's certificate"),
	});
	await connect(address({ sslmode: "verify-ca", sslrootcert }, { host }));
});

test("a server without TLS is told as such", async () => {
	for (const sslmode of ["require", "verify-full"])
		expect(
			await failure(address({ sslmode }, { url: plain.url })),
		).toMatchObject({
			code: "CONNECTION_FAILED",
			hint: expect.stringContaining("the server has no TLS"),
		});
});

test.each([
	[{ sslmode: "prefer" }, "without TLS"],
	[{ sslmode: "allow" }, "without TLS"],
	[{ sslmode: "no-verify" }, "require"],
	[{ sslmode: "verify-ca" }, "POSTGRES__SSLROOTCERT"],
	[{ sslmode: "require", sslrootcert: "system" }, "verify-full"],
	[{ sslmode: "verify-full", sslrootcert: "/nowhere/ca.crt" }, "path"],
	[{ sslmode: "verify-full", sslrootcert: "package.json" }, "PEM"],
])("%j is CONFIG_INVALID", async (parameters, remedy) => {
	expect(await failure(address(parameters))).toMatchObject({
		code: "CONFIG_INVALID",
		hint: expect.stringContaining(remedy),
	});
});

test("the settings hold for every host, and the connection string goes before them", async () => {
	vi.stubEnv("POSTGRES__SSLMODE", "verify-full");
	vi.stubEnv("POSTGRES__SSLROOTCERT", ours.certificate);
	onTestFinished(() => {
		vi.unstubAllEnvs();
	});
	const service = await connect(address({}));
	const session = await service.core.db.openSession();
	onTestFinished(() => session.close());
	const text = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
	expect((await service.execute(text)).rows).toEqual([{ ssl: true }]);
	expect((await session.query({ text, values: [] })).rows).toEqual([
		{ ssl: true },
	]);
	expect(await isEncrypted({ sslmode: "disable" })).toBe(false);
	const { hint } = await failure(address({}, { host: "127.0.0.1" }));
	expect(hint).toContain("a name that is in the server's certificate");
});

test("the reading host is checked like the others", async () => {
	const told: string[] = [];
	const note = (_: unknown, message: string) => told.push(message);
	const parameters = {
		sslmode: "verify-full",
		sslrootcert: ours.certificate,
	};
	for (const [host, expected] of [
		["localhost", ""],
		["127.0.0.1", "127.0.0.1 is not in"],
	] as const) {
		const service = await connect(address(parameters), {
			readHost: `${host}:${server.port}`,
			logger: { debug() {}, info: note, warn: note, error: note },
		});
		await service.core.replica.query({ text: "SELECT 1", values: [] });
		expect(told.join()).toContain(expected);
		expect(told).toHaveLength(expected === "" ? 0 : 1);
	}
});

test("an authority's file is read for each connection: a renewed one needs no restart", async () => {
	const file = join(ours.certificate, "..", "renewed.crt");
	copyFileSync(ours.certificate, file);
	const service = await connect(
		address({ sslmode: "verify-full", sslrootcert: file }),
		{ poolSize: 2, retryTimeoutMs: 0 },
	);
	// Another call, while the transaction has the first connection.
	const askBeside = AsyncResource.bind(() => service.execute("SELECT 1"));
	await service.transaction(async () => {
		copyFileSync(other.certificate, file);
		expect(await codeOf(askBeside())).toBe("CONNECTION_FAILED");
		copyFileSync(ours.certificate, file);
		await askBeside();
		rmSync(file);
	});
	await service.transaction(() => askBeside());
});

test("the request to cancel a statement is encrypted as its connection is", async () => {
	const service = await connect(
		address({ sslmode: "verify-full", sslrootcert: ours.certificate }),
		{ queryTimeoutMs: 300, poolSize: 2 },
	);
	await service.migrate();
	const findBeside = AsyncResource.bind(() =>
		service
			.repository(service.registry.get("resources").entity as never)
			.find(),
	);
	await service.transaction(async (tx) => {
		await tx.script("LOCK TABLE resources IN ACCESS EXCLUSIVE MODE");
		const started = performance.now();
		await expect(findBeside()).rejects.toMatchObject({ code: "QUERY_TIMEOUT" });
		expect(performance.now() - started).toBeLessThan(5000);
	});
});

describe("channel_binding=require", () => {
	const bound = { channel_binding: "require", sslmode: "require" };

	test("is honoured over TLS, with SCRAM, by every connection", async () => {
		const service = await connect(address(bound));
		const session = await service.core.db.openSession();
		onTestFinished(() => session.close());
		const shown = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
		expect((await service.execute(shown)).rows).toEqual([{ ssl: true }]);
		expect((await session.query({ text: shown, values: [] })).rows).toEqual([
			{ ssl: true },
		]);
		await connect(address({ ...bound, channel_binding: "prefer" }));
	});

	test("without TLS is refused before anything is sent", async () => {
		for (const sslmode of ["disable", undefined])
			expect(
				await failure(
					address({
						channel_binding: "require",
						...(sslmode === undefined ? {} : { sslmode }),
					}),
				),
			).toMatchObject({
				code: "CONFIG_INVALID",
				message: expect.stringContaining("channel_binding=require"),
				hint: expect.stringContaining("sslmode=require"),
			});
	});

	test("takes the mode of TLS from the environment", async () => {
		vi.stubEnv("POSTGRES__SSLMODE", "require");
		onTestFinished(() => {
			vi.unstubAllEnvs();
		});
		await connect(address({ channel_binding: "require" }));
	});

	/** How the server asks for the password of its role. */
	test.each([
		["trust", "scram-sha-256"],
		["password", "scram-sha-256"],
		["md5", "md5"],
	])(
		"is not satisfied by a server that asks for %s",
		async (method, encryption) => {
			const name = `asked_by_${method}`;
			await asAdmin(
				`SET password_encryption = '${encryption}'; CREATE ROLE ${name} LOGIN PASSWORD 'secret of ${name}'`,
			);
			await withFirstRule(`hostssl all ${name} all ${method}`, async () => {
				const url = new URL(address(bound));
				url.username = name;
				url.password = `secret of ${name}`;
				const { message, ...rest } = await failure(url.href);
				expect(rest).toMatchObject({
					code: "CONNECTION_FAILED",
					hint: expect.stringContaining("scram-sha-256"),
				});
				expect(message).toContain("channel binding");
				expect(`${message} ${rest.hint}`).not.toContain("secret");
			});
		},
	);

	test("a proxy with a certificate of its own between them is found out", async () => {
		const certified = ours.sign("DNS:localhost");
		const proxy = await startTlsProxy(certified, server.port);
		onTestFinished(() => proxy.close());
		const through = (parameters: Record<string, string>) => {
			const url = new URL(address(parameters));
			url.port = String(proxy.port);
			return url.href;
		};
		await connect(through({ sslmode: "require" }));
		expect((await failure(through(bound))).code).toBe("CONNECTION_FAILED");
	});
});

async function asAdmin(text: string): Promise<unknown[]> {
	const client = new pg.Client({ connectionString: server.url });
	await client.connect();
	try {
		const { rows } = await client.query(text);
		return rows;
	} finally {
		await client.end();
	}
}

/** While the work runs, the server's pg_hba.conf begins with this line. */
async function withFirstRule(
	rule: string,
	work: () => Promise<void>,
): Promise<void> {
	const file = join(server.dataFolder, "pg_hba.conf");
	const rules = readFileSync(file, "utf8");
	try {
		writeFileSync(file, `${rule}\n${rules}`);
		await reload();
		await work();
	} finally {
		writeFileSync(file, rules);
		await reload();
	}
}

/** Returns when new connections go by the configuration as it is now. */
async function reload(): Promise<void> {
	const loaded = "SELECT pg_conf_load_time()::text AS time";
	const [before] = await asAdmin(loaded);
	await asAdmin("SELECT pg_reload_conf()");
	await expect.poll(() => asAdmin(loaded)).not.toEqual([before]);
}

/** Speaks TLS with either side, as who reads along would. */
async function startTlsProxy(
	{ certificate, key }: { certificate: string; key: string },
	target: number,
) {
	const secured = {
		cert: readFileSync(certificate),
		key: readFileSync(key),
		isServer: true,
	};
	const sockets = new Set<Socket>();
	const relay = (...pair: readonly [Socket, Socket]) => {
		for (const [at, from] of pair.entries()) {
			const to = pair[1 - at] as Socket;
			sockets.add(from);
			from.pipe(to);
			from.on("error", () => to.destroy());
			from.on("close", () => to.destroy());
		}
	};
	const proxy = createServer((client) => {
		client.on("error", () => {}); // the other side is told by its end
		// The client asks for TLS, and is told that there is some.
		client.once("data", (request) => {
			const behind = connectTo(target, "127.0.0.1");
			behind.on("error", () => client.destroy());
			behind.write(request);
			behind.once("data", () => {
				// Not earlier: what the client sends then, nobody would read.
				client.write("S");
				relay(
					new TLSSocket(client, secured),
					connectTls({ socket: behind, rejectUnauthorized: false }),
				);
			});
		});
	});
	await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
	const { port } = proxy.address() as { port: number };
	return {
		port,
		close: () => {
			for (const socket of sockets) socket.destroy();
			proxy.close();
		},
	};
}
