import pino from "pino";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { codeOf, engine, useService } from "../support/engine.ts";
import { FakeProvider } from "../support/fake-provider.ts";
import { useTelemetry } from "../support/telemetry.ts";

// Rows, keys, tenants, users and queries that all contain one word: nothing that
// the library logs or measures may.
const marker = "zorglub";

const Secret = defineEntity(
	"secrets",
	{
		name: z.string(),
		content: z.string(),
		code: z.string().optional(),
		amount: z.number().int().optional(),
	},
	{ entityKeyField: "name" },
);
const models = [Secret] as const;
const provider = new FakeProvider("fake", "m1", 8);
const lines: string[] = [];
// A real logger, at its lowest level.
const logger = pino({ level: "trace" }, { write: (line) => lines.push(line) });
const telemetry = useTelemetry();
const options = {
	models,
	embedding: provider,
	logger,
	backgroundIndex: { enabled: false, retryMs: 10 },
};
const db = useService(options);

const tenantId = `tenant ${marker}`;
const userId = `user ${marker}`;
const entity = (number: number) => ({
	name: `${marker} ${number}`,
	content: `the content says ${marker} ${number}`,
	metadata: { [marker]: marker },
	tags: [marker],
	graphEdges: [
		{ dst: `${marker} 1`, rel_type: marker, weight: 1, properties: {} },
	],
});
const entities = [1, 2, 3].map(entity);
const ofTenant = { tenantId, userId };

type Service = PostgresService<typeof models>;

/** Every read and write, as it should go. */
async function callAll(service: Service): Promise<void> {
	await service.batchUpsert({ tableName: "secrets", entities, ...ofTenant });
	await service.lookupEntity({ entityKey: `${marker} 1`, ...ofTenant });
	await service.fuzzySearch({ query: marker, ...ofTenant });
	const search = { tableName: "secrets", where: { name: marker } } as const;
	await service.vectorSearch({ ...search, queryText: marker, ...ofTenant });
	await service.hybridSearch({ ...search, query: marker, ...ofTenant });
	await service.recall({ query: marker, ...ofTenant });
	await service.traverse({ from: `${marker} 2`, ...ofTenant });
	await service.query(`SEARCH "${marker}" IN secrets`, ofTenant);
	const secrets = service.repository(Secret);
	const [row] = await secrets.find({ name: { like: `${marker}%` }, tenantId });
	await secrets.delete(row?.id as string, tenantId);
	await secrets.restore(row?.id as string, tenantId);
	await service.execute("SELECT $1::text", [marker]);
}

/** The same with everything wrong that a caller can get wrong. */
async function failAll(service: Service): Promise<void> {
	const codes = await Promise.all([
		codeOf(service.batchUpsert({ tableName: marker as never, entities: [] })),
		codeOf(
			service.batchUpsert({
				tableName: "secrets",
				entities: [{ ...entity(4), amount: marker as never }],
				...ofTenant,
			}),
		),
		codeOf(
			service
				.scope({ tenantId })
				.lookupEntity({ entityKey: marker, tenantId: `${marker}2` }),
		),
		codeOf(service.lookupEntity({ entityKey: marker.repeat(60), ...ofTenant })),
		codeOf(service.query(`SEARCH "${marker}`, ofTenant)),
		codeOf(service.query(`SEARCH "${marker}" IN ${marker}`, ofTenant)),
		codeOf(service.execute(`SELECT '${marker}'::int`)),
		codeOf(service.execute("SELECT $1::int", [marker])),
		codeOf(service.execute(`SELECT ${marker}`)),
		codeOf(
			service.execute(
				`INSERT INTO secrets SELECT * FROM secrets WHERE name LIKE '${marker}%'`,
			),
		),
		codeOf(
			service.vectorSearch({
				tableName: "secrets",
				queryText: marker,
				where: { [marker]: marker } as never,
				...ofTenant,
			}),
		),
		codeOf(
			service.transaction(async () => {
				throw new TypeError(marker);
			}),
		),
	]);
	expect(codes).not.toContain("no error");
}

/** Every line with the word in it. */
async function told(): Promise<string[]> {
	const spans = telemetry
		.spans()
		.map(({ name, attributes, status, events, links }) =>
			JSON.stringify({ name, attributes, status, events, links }),
		);
	const points = (await telemetry.points()).map((point) =>
		JSON.stringify(point),
	);
	const said = [...lines, ...spans, ...points];
	return said.filter((line) => line.toLowerCase().includes(marker));
}

describe("no line, span or metric repeats what is in the rows", () => {
	test("of calls that succeed and calls that fail", async () => {
		await callAll(db.service);
		await failAll(db.service);
		expect(telemetry.spans().length).toBeGreaterThan(20);
		expect(await told()).toEqual([]);
	});

	test("of a provider that repeats the texts in its refusal", async () => {
		const { service } = db;
		const { name, content } = entity(5);
		provider.refuse(() => true);
		await codeOf(
			service.batchUpsert({
				tableName: "secrets",
				entities: [{ name, content }],
				...ofTenant,
			}),
		);
		provider.refuse((text) => text.includes(marker));
		await service.batchUpsert({
			tableName: "secrets",
			entities: [{ name, content }],
			generateEmbeddings: false,
			...ofTenant,
		});
		service.embeddings.start();
		await expect
			.poll(() => lines.join("\n"))
			.toContain(`texts of \\"secrets\\" were dead-lettered`);
		provider.fail();
		await service.execute("UPDATE secrets SET content = content || '!'");
		await expect.poll(() => lines.join("\n")).toContain("embedding worker: ");
		await service.embeddings.stop();
		provider.reset();
		expect(await told()).toEqual([]);
	});

	test("of a cache that was emptied, and put back", async () => {
		const { service } = db;
		await service.execute("TRUNCATE kv_store");
		const { name, ...rest } = { name: `${marker} 2`, ...ofTenant };
		expect(
			await service.lookupEntity({ entityKey: name, ...rest }),
		).toBeDefined();
		await service.fuzzySearch({ query: marker, ...ofTenant });
		await service.kv.ensureReady();
		expect(lines.join("\n")).toContain("kv_store was emptied");
		expect(await told()).toEqual([]);
	});

	test("of a trigger that speaks, and a conflict that is run again", async () => {
		const { service } = db;
		await service.execute(`
CREATE SEQUENCE tries;
CREATE FUNCTION speak() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('tries') < 3 THEN
    RAISE EXCEPTION 'row %', new.name USING ERRCODE = '40001', DETAIL = new.name, HINT = new.content;
  END IF;
  IF new.code = 'loud' THEN RAISE EXCEPTION 'row %', new.name USING DETAIL = new.content; END IF;
  RETURN new;
END $$;
CREATE TRIGGER speak BEFORE INSERT OR UPDATE ON secrets FOR EACH ROW EXECUTE FUNCTION speak();`);
		const upsert = (number: number, code: string) =>
			service.batchUpsert({
				tableName: "secrets",
				entities: [{ ...entity(number), code }],
				...ofTenant,
			});
		await upsert(6, "quiet");
		expect(await codeOf(upsert(7, "loud"))).toBe("DATABASE");
		await service.execute("DROP TRIGGER speak ON secrets");
		expect(lines.join("\n")).toContain("retried after DATABASE 40001");
		expect(await told()).toEqual([]);
	});

	test("of an index that cannot be built over the rows", async () => {
		const { service } = db;
		await service.execute("DROP INDEX IF EXISTS idx_unique_secret");
		await service.execute(`
UPDATE secrets SET metadata = jsonb_build_object('${marker}', repeat('${marker}', 10));
CREATE FUNCTION refuse(jsonb) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'row %', $1; END $$`);
		await service.indexer.queueIndex({
			tableName: "secrets",
			indexType: "hnsw",
		});
		await service.execute(
			"ALTER TABLE embeddings_secrets RENAME COLUMN embedding TO elsewhere",
		);
		await codeOf(service.indexer.drain());
		await service.execute(
			"ALTER TABLE embeddings_secrets RENAME COLUMN elsewhere TO embedding",
		);
		expect(lines.join("\n")).toMatch(/"level":(40|50).*hnsw/);
		expect(await told()).toEqual([]);
	});
});

describe.runIf(engine === "server")("nor on a server", () => {
	test("of connections that are killed at work", async () => {
		const { service } = db;
		for (let round = 0; round < 3; round++) {
			const work = [callAll(service), failAll(service)].map((all) =>
				all.catch(() => {}),
			);
			await service
				.execute(
					"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
				)
				.catch(() => {});
			await Promise.all(work);
		}
		expect(lines.join("\n")).toMatch(/idle connection|run again/);
		expect(await told()).toEqual([]);
	});

	test("of a server that takes no writes", async () => {
		const { service } = db;
		const url = new URL(db.url);
		url.searchParams.set("options", "-c default_transaction_read_only=on");
		const readOnly = await PostgresService.connect({
			...options,
			connectionString: url.href,
			retryTimeoutMs: 300,
		});
		expect(
			await codeOf(
				readOnly.batchUpsert({ tableName: "secrets", entities, tenantId }),
			),
		).toBe("DATABASE");
		await codeOf(
			readOnly.execute(`INSERT INTO secrets (name) VALUES ('${marker}')`),
		);
		await readOnly.close();
		expect(await told()).toEqual([]);
		await service.kv.settle();
	});
});
