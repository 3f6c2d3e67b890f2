import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	afterAll,
	beforeAll,
	describe,
	expect,
	onTestFinished,
	test,
	vi,
} from "vitest";
import { readSnapshot, unpackSnapshot } from "../../src/db/boot-image.ts";
import { PostgresService, Resource } from "../../src/index.ts";
import { nodeArguments } from "../support/child-arguments.ts";
import { codeOf, engine } from "../support/engine.ts";
import { bundleUrl } from "../support/library-bundle.ts";

const onEmbedded = describe.runIf(engine === "embedded");

let folders: string;

beforeAll(async () => {
	folders = await mkdtemp(join(tmpdir(), "rem-embedded-"));
});

afterAll(() => rm(folders, { recursive: true, force: true }));

function open(name: string) {
	return PostgresService.connect({
		connectionString: `file:${join(folders, name)}`,
		models: [Resource],
		embedding: { provider: "local", dimensions: 8 },
	});
}

const lockFile = (name: string) => join(folders, name, "lock");

const lookup = { entityKey: "first", tenantId: "t" };
const fuzzy = { query: "frist", tenantId: "t", threshold: 0.2 };

onEmbedded("the embedded database in a folder", () => {
	test("is refused to a second open of this process, free after close", async () => {
		const service = await open("twice");
		const error = await open("twice").catch((e) => e);
		expect(error.code).toBe("EMBEDDED_LOCKED");
		expect(error.message).toContain("this process");
		expect(error.message).toContain(join(folders, "twice"));
		await service.close();
		expect(existsSync(lockFile("twice"))).toBe(false);
		await (await open("twice")).close();
	});

	test("has the files that PGlite brings: time zones and dictionaries", async () => {
		const service = await open("files");
		const { rows } = await service.execute(
			"SELECT timestamp '2026-07-01 12:00' AT TIME ZONE 'Europe/Berlin' = timestamptz '2026-07-01 10:00Z' AS zone, (SELECT count(*) > 400 FROM pg_timezone_names) AS zones, to_tsvector('english', 'running')::text AS words",
		);
		expect(rows).toEqual([{ zone: true, zones: true, words: "'run':1" }]);
		await service.close();
	});

	test("begins as the image of a server that was shut down", async () => {
		const unpacked = join(folders, "image");
		await unpackSnapshot(unpacked, await readSnapshot());
		const control = await readFile(join(unpacked, "global/pg_control"));
		const shutDown = 1; // DBState in pg_control.h
		// Behind the identifier, the two versions and their padding.
		expect(control.readUInt32LE(16)).toBe(shutDown);
	});

	test("reserves half of the memory that PostgreSQL would, also when it is opened again", async () => {
		for (let time = 0; time < 2; time++) {
			const service = await open("buffers");
			const { rows } = await service.execute("SHOW shared_buffers");
			expect(rows).toEqual([{ shared_buffers: "64MB" }]);
			await service.close();
		}
	});

	test("reserves less in a process that expects few calls", async () => {
		vi.resetModules();
		onTestFinished(() => {
			vi.resetModules();
		});
		const { expectFewCalls } = await import("../../src/db/engine-program.ts");
		const { PostgresService } = await import("../../src/index.ts");
		expectFewCalls();
		const service = await PostgresService.connect({
			connectionString: `file:${join(folders, "few")}`,
		});
		const { rows } = await service.execute("SHOW shared_buffers");
		expect(rows).toEqual([{ shared_buffers: "16MB" }]);
		await service.close();
	});

	test("has what was committed when it is opened again", async () => {
		const first = await open("again");
		await first.migrate();
		await first.batchUpsert({
			tableName: "resources",
			entities: [{ name: "first", content: "the first text" }],
			tenantId: "t",
		});
		await first.close();
		const second = await open("again");
		onTestFinished(() => second.close());
		expect((await second.migrate()).applied).toEqual([]);
		expect(await second.lookupEntity(lookup)).toMatchObject({
			entityKey: "first",
		});
		const hits = await second.vectorSearch({
			tableName: "resources",
			queryText: "first text",
			tenantId: "t",
		});
		expect(hits.map(({ name }) => name)).toEqual(["first"]);
	});

	test("that cannot be made or read is CONNECTION_FAILED, and leaves no lock", async () => {
		await mkdir(join(folders, "broken", "data"), { recursive: true });
		await writeFile(join(folders, "broken", "data", "PG_VERSION"), "9");
		expect(await codeOf(open("broken"))).toBe("CONNECTION_FAILED");
		expect(existsSync(lockFile("broken"))).toBe(false);
	});

	test("whose path is a file is CONNECTION_FAILED", async () => {
		await writeFile(join(folders, "file"), "");
		expect(await codeOf(open("file"))).toBe("CONNECTION_FAILED");
	});
});

onEmbedded("the folder of a process that is killed", () => {
	let child: ChildProcess;

	beforeAll(async () => {
		child = await openInChild(join(folders, "killed"));
	});

	afterAll(() => {
		child?.kill("SIGKILL");
	});

	test("is refused while it lives, naming its pid", async () => {
		const error = await open("killed").catch((e) => e);
		expect(error.code).toBe("EMBEDDED_LOCKED");
		expect(error.message).toContain(`process ${child.pid}`);
	});

	test("has every committed row, found by LOOKUP and FUZZY at once", async () => {
		const exited = once(child, "exit");
		child.kill("SIGKILL");
		await exited;
		const service = await open("killed");
		onTestFinished(() => service.close());
		const [byKey, nearly] = await Promise.all([
			service.lookupEntities({
				entityKeys: ["first", "row 299", "never"],
				tenantId: "t",
			}),
			service.fuzzySearch(fuzzy),
		]);
		expect(byKey.map(({ entityKey }) => entityKey)).toEqual([
			"first",
			"row 299",
		]);
		expect(nearly.map(({ entityKey }) => entityKey)).toEqual(["first"]);
		await service.kv.rebuild();
		expect(await service.kv.status()).toMatchObject({ ready: true });
		const { rows } = await service.execute(
			"SELECT count(*) AS rows, (SELECT count(*) FROM kv_store) AS entries FROM resources",
		);
		expect(rows).toEqual([{ rows: 301, entries: 301 }]);
		expect(await service.lookupEntity(lookup)).toMatchObject({
			entityKey: "first",
		});
	});
});

/** Opens the folder in a process of its own, writes 301 rows and waits. */
async function openInChild(folder: string): Promise<ChildProcess> {
	const script = `
import { PostgresService, Resource } from "${await bundleUrl("src/index.ts")}";
const service = await PostgresService.connect({
	connectionString: "file:" + process.argv[1],
	models: [Resource],
	embedding: { provider: "local", dimensions: 8 },
});
await service.migrate();
const names = ["first", ...Array.from({ length: 300 }, (_, i) => "row " + i)];
await service.batchUpsert({
	tableName: "resources",
	entities: names.map((name) => ({ name, content: name })),
	tenantId: "t",
});
process.stdout.write("written");
setInterval(() => {}, 1000);`;
	const child = spawn(
		process.execPath,
		[...nodeArguments, "--input-type=module", "-e", script, folder],
		{ stdio: ["ignore", "pipe", "inherit"] },
	);
	await once(child.stdout, "data");
	return child;
}
