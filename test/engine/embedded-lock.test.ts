import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import {
	cp,
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	rm,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { createJiti } from "jiti";
import {
	afterAll,
	beforeAll,
	describe,
	expect,
	onTestFinished,
	test,
} from "vitest";
import { lockByFile, lockFolder } from "../../src/db/embedded-lock.ts";
import { flock } from "../../src/db/flock.ts";
import { stateOf, thisOwner } from "../../src/db/folder-owner.ts";
import { PostgresService, Resource } from "../../src/index.ts";
import { codeOf, engine } from "../support/engine.ts";

// Whoever opens a folder that is open must be refused, whichever process,
// thread, container or copy of the package it is; and nobody else may be.

const onEmbedded = describe.runIf(engine === "embedded");

const hasFlock =
	process.platform === "linux" &&
	(existsSync("/usr/bin/flock") || existsSync("/bin/flock"));
const canUnshare =
	spawnSync("unshare", ["--pid", "--fork", "--mount-proc", "true"]).status ===
	0;

let folders: string;

beforeAll(async () => {
	folders = await mkdtemp(join(tmpdir(), "rem-lock-"));
});

afterAll(() => rm(folders, { recursive: true, force: true }));

const at = (name: string) => join(folders, name);
const lockFile = (name: string) => join(folders, name, "lock");

function open(name: string, Service = PostgresService) {
	return Service.connect({
		connectionString: `file:${at(name)}`,
		models: [Resource],
		embedding: { provider: "local", dimensions: 8 },
	});
}

onEmbedded("a folder that is open is refused", () => {
	let service: PostgresService<readonly [typeof Resource]>;

	beforeAll(async () => {
		service = await open("open");
		await service.migrate();
	});

	afterAll(() => service.close());

	test("to a second open in this process", async () => {
		const error = await open("open").catch((e) => e);
		expect(error.code).toBe("EMBEDDED_LOCKED");
		expect(error.message).toContain("this process");
	});

	test("to a second copy of the package in this process", async () => {
		const jiti = createJiti(import.meta.url, { moduleCache: false });
		const copy = await jiti.import<{ lockFolder: typeof lockFolder }>(
			"../../src/db/embedded-lock.ts",
		);
		expect(copy.lockFolder).not.toBe(lockFolder);
		const error = await copy
			.lockFolder(lockFile("open"), at("open"))
			.catch((e) => e);
		expect(error.code).toBe("EMBEDDED_LOCKED");
		expect(error.message).toContain("this process");
	});

	test("to a thread of this process, naming the process", async () => {
		const { thread, ask } = await startThread("open");
		expect(await ask("lock")).toBe("EMBEDDED_LOCKED");
		await thread.terminate();
	});

	test("to another process, naming the pid", async () => {
		const { output } = await openInChild("open", []);
		expect(output).toContain("EMBEDDED_LOCKED");
		expect(output).toContain(`process ${process.pid}`);
	});

	test.runIf(hasFlock && canUnshare)(
		"to a process of another container",
		async () => {
			const { output } = await openInChild("open", containerOf);
			expect(output).toContain("EMBEDDED_LOCKED");
			expect(output).toContain(`process ${process.pid} of another container`);
		},
	);

	test("but its copy opens", async () => {
		await service.batchUpsert({
			tableName: "resources",
			entities: [{ name: "copied" }],
		});
		await service.execute("CHECKPOINT");
		await cp(at("open"), at("copy"), { recursive: true });
		if (!hasFlock) await rm(lockFile("copy"));
		const copy = await open("copy");
		onTestFinished(() => copy.close());
		expect(await copy.repository(Resource).count()).toBe(1);
	});
});

describe.runIf(engine === "embedded" && hasFlock && canUnshare)(
	"two containers on one volume",
	() => {
		test("exclude each other though they have the same pid, and a restart after SIGKILL opens", async () => {
			const first = startChild("volume", containerOf);
			onTestFinished(() => {
				kill(first.child);
			});
			expect(await first.line).toMatch(/^open as \d+$/);
			const second = await openInChild("volume", containerOf);
			expect(second.output).toContain("EMBEDDED_LOCKED");
			expect(second.output).toContain("of another container");
			const exited = once(first.child, "exit");
			kill(first.child);
			await exited;
			const third = await openInChild("volume", containerOf);
			expect(third.output).toBe(await first.line);
		});
	},
);

onEmbedded("the lock of a folder", () => {
	const lock = (name: string) => lockFolder(lockFile(name), at(name));

	async function leave(name: string, content: string): Promise<void> {
		await mkdir(at(name), { recursive: true });
		await writeFile(lockFile(name), content);
	}

	const { pid: deadPid } = spawnSync("true");
	const leftovers: Readonly<Record<string, string>> = {
		"an empty file": "",
		garbage: "{",
		"binary garbage": "\0\xff\xfe",
		null: "null",
		"a number": "12",
		"a list": "[]",
		"an object without a pid": "{}",
		"a pid that is a text": '{"pid":"1","token":"x"}',
		"a pid below 1": '{"pid":-1,"token":"x"}',
		"no token": '{"pid":1}',
		"a dead process": JSON.stringify({
			pid: deadPid,
			started: null,
			token: "x",
		}),
		"an earlier process with this pid": JSON.stringify({
			pid: process.pid,
			started: "boot:1",
			token: "x",
		}),
		"another boot": JSON.stringify({
			...thisOwner("x", "file"),
			started: "boot:1",
		}),
	};

	test.each(Object.keys(leftovers))(
		"left behind with %s is taken, with and without flock",
		async (what) => {
			await leave(what, leftovers[what] ?? "");
			(await lock(what)).release();
			expect(await readdir(at(what))).toEqual([]);
			await leave(what, leftovers[what] ?? "");
			lockByFile(lockFile(what), what)?.release();
			expect(await readdir(at(what))).toEqual([]);
		},
	);

	test("of an older version's living process is left alone", async () => {
		const owner = { pid: process.ppid, started: null, token: "x" };
		await leave("older", JSON.stringify(owner));
		const error = await lock("older").catch((e) => e);
		expect(error.code).toBe("EMBEDDED_LOCKED");
		expect(error.message).toContain(`process ${process.ppid}`);
		expect(JSON.parse(await readFile(lockFile("older"), "utf8"))).toEqual(
			owner,
		);
	});

	test.runIf(hasFlock)(
		"that is removed or replaced leaves the folder to its owner",
		async () => {
			const first = await open("unlinked");
			await rm(lockFile("unlinked"));
			expect(await codeOf(open("unlinked"))).toBe("EMBEDDED_LOCKED");
			await leave("unlinked", "restored from a backup");
			expect(await codeOf(open("unlinked"))).toBe("EMBEDDED_LOCKED");
			await first.close();
			await (await open("unlinked")).close();
		},
	);

	test.runIf(hasFlock)("of a thread that was terminated is free", async () => {
		const { thread, ask } = await startThread("terminated");
		expect(await ask("lock")).toBe("taken");
		expect(await codeOf(lock("terminated"))).toBe("EMBEDDED_LOCKED");
		await thread.terminate();
		(await lock("terminated")).release();
	});

	test("is not removed by an owner whose file was replaced", async () => {
		const { release } = await lock("replaced");
		await rm(lockFile("replaced"));
		await leave("replaced", "of another");
		release();
		expect(await readFile(lockFile("replaced"), "utf8")).toBe("of another");
	});

	test("goes to exactly one of many that ask at once, however often it changes hands", async () => {
		const threads = await Promise.all(
			Array.from({ length: 3 }, () => startThread("race")),
		);
		for (let round = 0; round < 15; round++) {
			const locks = await Promise.allSettled(
				Array.from({ length: 6 }, () => lock("race")),
			);
			const here = locks.filter(({ status }) => status === "fulfilled");
			const there = await Promise.all(threads.map(({ ask }) => ask("lock")));
			const taken = there.filter((answer) => answer === "taken");
			expect(here.length + taken.length).toBe(1);
			for (const one of locks)
				if (one.status === "fulfilled") one.value.release();
			await Promise.all(threads.map(({ ask }) => ask("release")));
		}
		await Promise.all(threads.map(({ thread }) => thread.terminate()));
		expect(await readdir(at("race"))).toEqual([]);
	});
});

onEmbedded("without flock", () => {
	const lock = (name: string) => lockByFile(lockFile(name), at(name));

	async function leave(name: string, owner: unknown): Promise<void> {
		await mkdir(at(name), { recursive: true });
		await writeFile(lockFile(name), JSON.stringify(owner));
	}

	test("the file of this process, whichever copy or thread wrote it, is refused", async () => {
		await leave("own", thisOwner("x", "file"));
		expect(() => lock("own")).toThrow(
			expect.objectContaining({ code: "EMBEDDED_LOCKED" }),
		);
	});

	test("the file of an owner that cannot be looked at is refused, saying what to do", async () => {
		const elsewhere = { ...thisOwner("x", "file"), pidNamespace: "pid:[1]" };
		if (stateOf(elsewhere) !== "unknown") return; // no namespaces here
		await leave("elsewhere", elsewhere);
		expect(() => lock("elsewhere")).toThrow(
			expect.objectContaining({
				code: "EMBEDDED_LOCKED",
				message: expect.stringContaining("may still run"),
				hint: expect.stringContaining("remove the lock file"),
			}),
		);
		expect(await codeOf(lockFolder(lockFile("elsewhere"), "x"))).toBe(
			"EMBEDDED_LOCKED",
		);
	});

	test("a claim whose owner died on the way is continued", async () => {
		await leave("claimed", { pid: 2 ** 30, started: "boot:1", token: "a" });
		await writeFile(
			`${lockFile("claimed")}.after-a`,
			JSON.stringify({ pid: 2 ** 30, started: "boot:1", token: "b" }),
		);
		lock("claimed")?.release();
		expect(await readdir(at("claimed"))).toEqual([]);
	});
});

test("flock tells a lock of another open file from its own", async () => {
	if (!hasFlock) return;
	const { openSync, closeSync } = await import("node:fs");
	const [one, other] = [openSync(at("f"), "a+"), openSync(at("f"), "a+")];
	expect(await flock(one)).toBe("taken");
	expect(await flock(one)).toBe("taken");
	expect(await flock(other)).toBe("busy");
	closeSync(one);
	expect(await flock(other)).toBe("taken");
	closeSync(other);
	expect(await flock(99_999)).toBe("unavailable");
});

async function startThread(name: string) {
	await mkdir(at(name), { recursive: true });
	const thread = new Worker(
		new URL("../support/lock-thread.mjs", import.meta.url),
		{ workerData: { path: lockFile(name) }, execArgv: [] },
	);
	await once(thread, "message");
	const ask = async (what: string): Promise<string> => {
		const answer = once(thread, "message");
		thread.postMessage(what);
		return (await answer)[0];
	};
	return { thread, ask };
}

/** A pid namespace of its own, in which every process has the same small pid. */
const containerOf = [
	"unshare",
	"--pid",
	"--fork",
	"--kill-child",
	"--mount-proc",
];

function startChild(
	name: string,
	within: readonly string[],
	stays = true,
): { child: ChildProcess; line: Promise<string> } {
	const script = `
import { createJiti } from "jiti";
const { PostgresService } = await createJiti(import.meta.url).import("./src/index.ts");
try {
	await PostgresService.connect({ connectionString: "file:" + process.argv[1] });
	console.log("open as " + process.pid);
	${stays ? "setInterval(() => {}, 1000)" : "process.exit()"};
} catch (error) {
	console.log(error.code + " " + error.message);
}`;
	const [command = process.execPath, ...args] = [
		...within,
		process.execPath,
		"--input-type=module",
		"-e",
		script,
		at(name),
	];
	const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
	const line = once(child.stdout, "data").then(([text]) => String(text).trim());
	return { child, line };
}

async function openInChild(
	name: string,
	within: readonly string[],
): Promise<{ output: string }> {
	const { child, line } = startChild(name, within, false);
	const closed = once(child, "close");
	const output = await line;
	await closed;
	return { output };
}

function kill(child: ChildProcess): void {
	child.kill("SIGKILL");
}
