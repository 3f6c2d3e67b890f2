import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { describe, expect, onTestFinished, test } from "vitest";
import { PostgresService } from "../../src/index.ts";
import { nodeArguments } from "../support/child-arguments.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import {
	emptyDatabase,
	engines,
	main,
	migratedDatabase,
	rem,
} from "./run-rem.ts";

// What a worker does on an idle machine in a second.
const soon = { interval: 50 };

interface Worker {
	readonly child: ChildProcess;
	/** The status of a path, and the reason that stands in the answer. */
	ask(path: string): Promise<{ status: number; reason?: string }>;
	/** What it has printed on stderr so far. */
	said(): string;
	/** Sends SIGTERM; its exit code. */
	stop(): Promise<number | null>;
}

async function startWorker(
	url: string,
	env: Readonly<Record<string, string>> = {},
): Promise<Worker> {
	const child = spawn(
		process.execPath,
		[...nodeArguments, main, "worker", "--url", url, "--health-port", "0"],
		{
			cwd: tmpdir(),
			env: { PATH: process.env.PATH, EMBEDDING__PROVIDER: "local", ...env },
			stdio: ["ignore", "inherit", "pipe"],
		},
	);
	onTestFinished(() => void child.kill("SIGKILL"));
	let said = "";
	child.stderr?.setEncoding("utf8").on("data", (text) => {
		said += text;
	});
	const port = () => said.match(/\/readyz on port (\d+)/)?.[1];
	await expect.poll(port, soon).toBeDefined();
	return {
		child,
		said: () => said,
		async ask(path) {
			const response = await fetch(`http://127.0.0.1:${port()}${path}`);
			const { reason } = (await response.json()) as { reason?: string };
			return { status: response.status, ...(reason && { reason }) };
		},
		async stop() {
			const exited = once(child, "exit");
			child.kill("SIGTERM");
			const [code] = await exited;
			return code;
		},
	};
}

async function migratedService(engine: string) {
	const url = await migratedDatabase(engine);
	const service = await PostgresService.connect({
		connectionString: url,
		embedding: { provider: "local" },
		backgroundIndex: { enabled: false },
	});
	onTestFinished(() => service.close());
	return { url, service };
}

describe.skipIf(!engines.includes("server"))("on a server", () => {
	test("two workers embed, build indexes and fill the cache, and stop on request", async () => {
		const { url, service } = await migratedService("server");
		const workers = [await startWorker(url), await startWorker(url)];
		for (const worker of workers)
			await expect
				.poll(() => worker.ask("/readyz"), soon)
				.toEqual({ status: 200 });

		await service.batchUpsert({
			tableName: "resources",
			entities: [{ name: "doc", content: "written without a vector" }],
			generateEmbeddings: false,
		});
		const search = () =>
			service.vectorSearch({
				tableName: "resources",
				queryText: "without a vector",
			});
		await expect.poll(async () => (await search()).length, soon).toBe(1);

		await service.indexer.queueIndex({
			tableName: "resources",
			indexType: "hnsw",
		});
		const builds = async () =>
			(await service.indexer.status()).indexes
				.filter(
					({ tableName, indexType }) =>
						tableName === "embeddings_resources" && indexType === "hnsw",
				)
				.map(({ state }) => state);
		await expect.poll(builds, soon).toContain("valid");

		await service.execute("TRUNCATE kv_store");
		await expect
			.poll(async () => (await service.kv.status()).ready, soon)
			.toBe(true);
		expect((await service.kv.status()).entries).toMatchObject({ resources: 1 });

		for (const worker of workers) {
			expect(await worker.stop()).toBe(0);
			expect(worker.said()).toContain("stopped\n");
		}
	});

	test("a worker waits for its database, and lives when it goes away again", async () => {
		const { url } = await migratedService("server");
		const proxy = await TcpProxy.start(Number(new URL(url).port || 5432));
		onTestFinished(() => proxy.stop());
		proxy.goAway();
		const worker = await startWorker(proxy.through(url), {
			POSTGRES__RETRY_TIMEOUT_MS: "500",
		});
		expect(await worker.ask("/livez")).toEqual({ status: 200 });
		expect(await worker.ask("/readyz")).toEqual({
			status: 503,
			reason: "NOT_CONNECTED",
		});
		proxy.comeBack();
		const ready = () => worker.ask("/readyz");
		await expect.poll(ready, soon).toEqual({ status: 200 });
		proxy.goAway();
		await expect.poll(ready, soon).toMatchObject({ status: 503 });
		expect(await worker.ask("/livez")).toEqual({ status: 200 });
		proxy.comeBack();
		await expect.poll(ready, soon).toEqual({ status: 200 });
		proxy.goAway();
		expect(await worker.stop()).toBe(0);
	});

	test("a fallback that answers is ready; a database that is not set up is not", async () => {
		const { url, service } = await migratedService("server");
		const empty = await startWorker(await emptyDatabase("server"));
		await expect
			.poll(() => empty.ask("/readyz"), soon)
			.toEqual({ status: 503, reason: "SCHEMA_DRIFT" });
		// No marker, and no process that could set it: the tables answer.
		await service.execute("DELETE FROM kv_state");
		await service.execute(
			"ALTER TABLE kv_state ADD CONSTRAINT no_more CHECK (false) NOT VALID",
		);
		const worker = await startWorker(url);
		await expect
			.poll(() => worker.ask("/readyz"), soon)
			.toEqual({ status: 200 });
		expect((await service.kv.status()).ready).toBe(false);
		expect(await worker.stop()).toBe(0);
	});

	test("an error that waiting does not resolve ends it at once", async () => {
		const url = new URL(await emptyDatabase("server"));
		url.pathname = "/no_such_database";
		const { code, stderr } = await rem(["worker", "--url", url.href]);
		expect(code).toBe(1);
		expect(stderr).toContain("[CONNECTION_FAILED]");
	});
});

test("a worker of the embedded database answers probes and stops on request", async () => {
	const { url, service } = await migratedService("embedded");
	await service.close();
	const worker = await startWorker(url);
	await expect.poll(() => worker.ask("/readyz"), soon).toEqual({ status: 200 });
	expect(await worker.ask("/elsewhere")).toEqual({ status: 404 });
	expect(await worker.stop()).toBe(0);
});

test("a port that is taken, or is none, is an error", async () => {
	const other = createServer().listen(0);
	await once(other, "listening");
	onTestFinished(() => void other.close());
	const { port } = other.address() as AddressInfo;
	const taken = await rem(["worker", "--health-port", String(port)]);
	expect(taken.code).toBe(1);
	expect(taken.stderr).toContain("[CONFIG_INVALID]");
	expect(taken.stderr).toContain(String(port));
	const none = await rem(["worker", "--health-port", "70000"]);
	expect(none.code).toBe(2);
});
