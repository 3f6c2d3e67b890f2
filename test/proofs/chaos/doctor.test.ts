import pg from "pg";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { findPostgres, startServer } from "../../../scripts/postgres-server.ts";
import { defineEntity, PostgresService } from "../../../src/index.ts";

const Note = defineEntity(
	"notes",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);

const installation = await findPostgres();
let server: Awaited<ReturnType<typeof startServer>>;

// What the doctor warns of is the server's own here.
beforeAll(async () => {
	server = await startServer({
		settings: {
			shared_buffers: "2MB",
			autovacuum: "off",
			max_prepared_transactions: "2",
			max_connections: "20",
		},
	});
	const service = await connect(server.url, 2);
	await service.migrate();
	await service.close();
});
afterAll(() => server?.remove());

async function connect(url: string, poolSize = 4) {
	return PostgresService.connect({
		connectionString: url,
		models: [Note],
		poolSize,
		embedding: { provider: "local", dimensions: 1536 },
		backgroundIndex: { memoryMb: 16, minRows: 100_000 },
	});
}

async function doctor(url: string) {
	const service = await connect(url);
	onTestFinished(() => service.close());
	return service.doctor();
}

test("the doctor finds settings of the server that do not fit", async () => {
	const service = await connect(server.url);
	onTestFinished(() => service.close());
	const entities = Array.from({ length: 3000 }, (_, n) => ({
		name: `note ${n}`,
		content: `text ${n} of ${n * n}`,
	}));
	await service.batchUpsert({ tableName: "notes", entities });
	await service.createIndexConcurrently({
		tableName: "notes",
		indexType: "hnsw",
	});
	await service.execute(
		"BEGIN; CREATE TABLE held (); PREPARE TRANSACTION 'in doubt'",
	);
	const others = Array.from(
		{ length: 14 },
		() => new pg.Client({ connectionString: server.url }),
	);
	await Promise.all(others.map((client) => client.connect()));
	const { checks } = await service.doctor();
	await Promise.all(others.map((client) => client.end()));
	await service.execute("ROLLBACK PREPARED 'in doubt'");
	const warned = checks.filter(({ state }) => state === "warning");
	expect(warned).toMatchObject([
		{ name: "pool", remedy: expect.stringContaining("raise max_connections") },
		{ name: "tenancy" },
		{ name: "kv store", found: expect.stringContaining("in doubt") },
		{ name: "autovacuum", found: "switched off for the whole server" },
		{ name: "memory", found: expect.stringContaining("shared_buffers 2 MB") },
		{
			name: "memory",
			remedy: expect.stringContaining("BACKGROUND_INDEX__MEMORY_MB"),
		},
	]);
});

// Docker's containers have no way to each other here.
test.skipIf("kind" in installation && installation.kind === "docker")(
	"the doctor finds a pooler, and a standby",
	async () => {
		const pooler = await server.startPooler();
		onTestFinished(() => pooler.stop());
		const pooled = await doctor(pooler.url);
		expect(pooled.checks).toContainEqual({
			name: "pooler",
			state: "warning",
			found: "there is one between this process and the server",
			remedy: expect.stringContaining("POSTGRES__DIRECT_HOST"),
		});
		const standby = await server.copy({ asStandby: true });
		onTestFinished(() => standby.remove());
		const { checks } = await doctor(standby.url);
		for (const name of ["standby", "schema", "kv store"])
			expect(checks).toContainEqual({
				name,
				state: "warning",
				found: expect.stringContaining(
					name === "standby" ? "writes fail" : "standby",
				),
				remedy: expect.any(String),
			});
	},
);
