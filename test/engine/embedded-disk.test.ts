import { execFileSync } from "node:child_process";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	statfsSync,
	writeFileSync,
} from "node:fs";
import { cp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	afterAll,
	afterEach,
	beforeAll,
	describe,
	expect,
	onTestFinished,
	test,
} from "vitest";
import { PostgresService, Resource } from "../../src/index.ts";
import { engine } from "../support/engine.ts";

// What the disk does to an embedded database: it is full, read-only, of another
// version, or its folder is gone. Every call ends, and names it.

const onEmbedded = describe.runIf(engine === "embedded");

let folders: string;
beforeAll(() => {
	folders = mkdtempSync(join(tmpdir(), "rem-disk-"));
});
afterAll(() => rm(folders, { recursive: true, force: true }));

async function open(folder: string) {
	return PostgresService.connect({
		connectionString: `file:${folder}`,
		models: [Resource],
		embedding: { provider: "local", dimensions: 8 },
	});
}

type Opened = Awaited<ReturnType<typeof open>>;

/** Every kind of call, and what each fails with. */
async function failuresOf(service: Opened) {
	const calls = [
		service.execute("SELECT 1"),
		service.repository(Resource).count(),
		service.repository(Resource).upsert({ name: "x", content: "y" }),
		service.lookupEntity({ entityKey: "x" }),
		service.transaction(async (tx) => tx.script("SELECT 1")),
		service.migrate(),
	];
	const ended = await Promise.allSettled(calls);
	return ended.map((one) => (one.status === "rejected" ? one.reason : one));
}

const canMount = engine === "embedded" && mountsTmpfs();

function mountsTmpfs(): boolean {
	const probe = mkdtempSync(join(tmpdir(), "rem-mount-"));
	try {
		mount(probe, "size=1m");
		execFileSync("umount", [probe], { stdio: "ignore" });
		return true;
	} catch {
		return false; // not root, or in a sandbox: a full disk cannot be made
	} finally {
		rmSync(probe, { recursive: true, force: true });
	}
}

function mount(at: string, options: string): void {
	execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", at], {
		stdio: "ignore",
	});
}

describe.runIf(canMount)(
	"on a disk that is full (needs root to mount one)",
	() => {
		let disk: string;
		const at = (name: string) => join(disk, name);

		function makeDisk(megabytes: number): void {
			disk = mkdtempSync(join(folders, "disk-"));
			mount(disk, `size=${megabytes}m`);
		}

		function fill(leaveBytes = 0): void {
			const { bavail, bsize } = statfsSync(disk);
			writeFileSync(at("ballast"), Buffer.alloc(bavail * bsize - leaveBytes));
		}

		afterEach(() => {
			execFileSync("umount", ["-l", disk], { stdio: "ignore" });
		});

		test("while the write-ahead log is written, every call and close() end, and committed rows are there afterwards", async () => {
			makeDisk(45);
			const service = await open(at("db"));
			await service.execute("CREATE TABLE t (a text)");
			let committed = 0;
			let failure: { code?: string; sqlState?: string; message?: string } = {};
			while (failure.code === undefined)
				await service
					.execute(
						"INSERT INTO t SELECT repeat(md5(g::text), 30) FROM generate_series(1, 500) g",
					)
					.then(() => {
						committed += 500;
					})
					.catch((error) => {
						failure = error;
					});
			expect(failure).toMatchObject({ code: "DATABASE", sqlState: "53100" });
			expect(failure.message).toContain("disk is full");
			for (const error of await failuresOf(service)) {
				expect(error).toMatchObject({
					name: "RemError",
					code: "CONNECTION_FAILED",
				});
				expect(error.message).toContain("disk is full");
				expect(error.hint).toContain("free space");
			}
			await service.close();
			execFileSync("mount", ["-o", "remount,size=120m", disk]);
			const again = await open(at("db"));
			const { rows } = await again.execute("SELECT count(*) AS rows FROM t");
			expect(rows).toEqual([{ rows: committed }]);
			await again.close();
		});

		test("while a table grows, the statement fails and the database goes on", async () => {
			makeDisk(60);
			const service = await open(at("db"));
			await service.execute("CREATE TABLE t (a text)");
			fill(200_000);
			const error = await service
				.execute(
					"INSERT INTO t SELECT repeat(md5(g::text), 30) FROM generate_series(1, 500) g",
				)
				.catch((e) => e);
			expect(error).toMatchObject({ code: "DATABASE", sqlState: "53100" });
			expect((await service.execute("SELECT 1 AS one")).rows).toEqual([
				{ one: 1 },
			]);
			await service.close();
		});

		test.each([0, 10 ** 7])(
			"to begin with (%d bytes left), a new database is refused and leaves nothing behind",
			async (left) => {
				makeDisk(50);
				fill(left);
				const error = await open(at("db")).catch((e) => e);
				expect(error.code).toBe("CONNECTION_FAILED");
				expect(error.message).toContain("no space is left");
				rmSync(at("ballast"));
				expect(existsSync(at("db/data.new"))).toBe(false);
				await (await open(at("db"))).close();
			},
		);

		test("a folder on a read-only file system is named as such", async () => {
			makeDisk(60);
			await (await open(at("db"))).close();
			execFileSync("mount", ["-o", "remount,ro", disk]);
			const error = await open(at("db")).catch((e) => e);
			expect(error.code).toBe("CONNECTION_FAILED");
			expect(error.message).toContain("read-only");
		});
	},
);

onEmbedded("a folder", () => {
	let made: string;

	beforeAll(async () => {
		made = join(folders, "made");
		const service = await open(made);
		await service.migrate();
		await service.close();
	});

	async function copyOf(name: string): Promise<string> {
		const copy = join(folders, name);
		await cp(made, copy, { recursive: true });
		return copy;
	}

	const losses: Readonly<Record<string, (folder: string) => Promise<unknown>>> =
		{
			deleted: (folder) => rm(folder, { recursive: true }),
			"deleted and made anew": async (folder) => {
				await rm(folder, { recursive: true });
				await cp(made, folder, { recursive: true });
			},
			moved: (folder) => rename(folder, `${folder}-elsewhere`),
		};

	test.each(Object.keys(losses))(
		"that is %s while it is open is noticed by every call",
		async (what) => {
			const folder = await copyOf(what.replaceAll(" ", "-"));
			const service = await open(folder);
			await losses[what]?.(folder);
			for (const error of await failuresOf(service)) {
				expect(error).toMatchObject({
					name: "RemError",
					code: "CONNECTION_FAILED",
				});
				expect(error.message).toContain("while it was open");
			}
			await service.close();
		},
	);

	test("of another PostgreSQL version is named as such", async () => {
		const folder = await copyOf("old");
		writeFileSync(join(folder, "data/PG_VERSION"), "17\n");
		const error = await open(folder).catch((e) => e);
		expect(error.code).toBe("CONNECTION_FAILED");
		expect(error.message).toContain("PostgreSQL 17, expected 18");
	});

	test("that is new excludes itself from repositories; one with other files does not", async () => {
		expect(readFileSync(join(made, ".gitignore"), "utf8")).toBe("*\n");
		const project = join(folders, "project");
		mkdirSync(project);
		writeFileSync(join(project, "README.md"), "");
		const service = await open(project);
		onTestFinished(() => service.close());
		expect(existsSync(join(project, ".gitignore"))).toBe(false);
	});
});
