import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync } from "node:fs";
import {
	cp,
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	rename,
	rm,
	symlink,
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

// A second opening of a folder must be refused, whichever process,
// thread, container or copy of the package it is; and no other may be.
import { nodeArguments } from "../support/child-arguments.ts";
import { codeOf, engine } from "../support/engine.ts";
import { bundleUrl } from "../support/library-bundle.ts";

const onEmbedded = describe.runIf(engine === "embedded");

const hasFlock =
	process.platform === "linux" &&
	(existsSync("/usr/bin/flock") || existsSync("/bin/flock"));
const canUnshare =
	spawnSync("unshare", ["--pid", "--fork", "--mount-proc", "true"]).status ===
	0;

let folders: string;
/** For child processes. */
let library: string;
let lockModule: string;

beforeAll(async () => {
	library = await bundleUrl("src/index.ts");
	lockModule = await bundleUrl("src/db/embedded-lock.ts");
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
			(await lockByFile(lockFile(what), at(what)))?.release();
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
		expect(await codeOf(lock("own"))).toBe("EMBEDDED_LOCKED");
	});

	test("the file of an owner that cannot be checked is refused, with a remedy", async () => {
		const elsewhere = { ...thisOwner("x", "file"), pidNamespace: "pid:[1]" };
		if (stateOf(elsewhere) !== "unknown") return; // no namespaces here
		await leave("elsewhere", elsewhere);
		await expect(lock("elsewhere")).rejects.toMatchObject({
			code: "EMBEDDED_LOCKED",
			message: expect.stringContaining("may still run"),
			hint: expect.stringContaining("remove the lock file"),
		});
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
		(await lock("claimed"))?.release();
		expect(await readdir(at("claimed"))).toEqual([]);
	});

	test("a copy of an open folder opens, a folder that is renamed does not", async () => {
		await leave("file-open", null);
		const held = await lock("file-open");
		expect(await codeOf(lock("file-open"))).toBe("EMBEDDED_LOCKED");
		const copied = spawnSync("cp", ["-r", at("file-open"), at("file-copy")]);
		if (copied.status === 0) (await lock("file-copy"))?.release();
		await rename(at("file-open"), at("file-renamed"));
		expect(await codeOf(lock("file-renamed"))).toBe("EMBEDDED_LOCKED");
		held?.release();
		await rm(join(at("file-renamed"), "lock"));
	});

	test("a lock file that is removed or replaced leaves the folder to its owner", async () => {
		await leave("file-unlinked", null);
		const held = await lock("file-unlinked");
		await rm(lockFile("file-unlinked"));
		await leave("file-unlinked", null);
		expect(await codeOf(lock("file-unlinked"))).toBe("EMBEDDED_LOCKED");
		expect(await codeOf(lockFolder(lockFile("file-unlinked"), "x"))).toBe(
			"EMBEDDED_LOCKED",
		);
		held?.release();
		(await lock("file-unlinked"))?.release();
	});

	test("a path too long for a socket is locked, too", async () => {
		const name = join("n".repeat(90), "m".repeat(90));
		await leave(name, null);
		const held = await lock(name);
		expect(JSON.parse(await readFile(lockFile(name), "utf8"))).toMatchObject({
			hasSocket: true,
		});
		expect(await codeOf(lock(name))).toBe("EMBEDDED_LOCKED");
		held?.release();
		expect(await readdir(at(name))).toEqual([]);
	});

	test("an owner killed with SIGKILL is followed by the next", async () => {
		const first = startHolder("killed", []);
		expect(await first.line).toBe("taken");
		expect(await codeOf(lock("killed"))).toBe("EMBEDDED_LOCKED");
		await killed(first.child);
		(await lock("killed"))?.release();
		expect(await readdir(at("killed"))).toEqual([]);
	});

	test.runIf(canUnshare)(
		"containers exclude each other, and one that starts again with its pid opens",
		async () => {
			const within = [...containerOf, "--net"];
			const first = startHolder("containers", within);
			expect(await first.line).toBe("taken");
			const second = startHolder("containers", within);
			expect(await second.line).toMatch(/^EMBEDDED_LOCKED .*already open in/);
			expect(await codeOf(lock("containers"))).toBe("EMBEDDED_LOCKED");
			await killed(first.child);
			const third = startHolder("containers", within);
			expect(await third.line).toBe("taken");
			await killed(third.child);
			(await lock("containers"))?.release();
		},
	);

	/** A process that takes the lock of a folder by its file, and stays. */
	function startHolder(name: string, within: readonly string[]) {
		mkdirSync(at(name), { recursive: true });
		const script = `
import { openSync } from "node:fs";
import { lockByFile } from "${lockModule}";
openSync(process.argv[1], "a");
try {
	await lockByFile(process.argv[1], "db");
	console.log("taken");
	setInterval(() => {}, 1000);
} catch (error) {
	console.log(error.code + " " + error.message);
}`;
		return spawned(script, lockFile(name), within);
	}
});

onEmbedded("a folder that cannot be", () => {
	const lock = (name: string) => lockFolder(lockFile(name), at(name));

	test.each([
		["a folder", (path: string) => mkdir(path)],
		["a symbolic link", (path: string) => symlink("nowhere/at/all", path)],
		[
			"no regular file",
			async (path: string) => spawnSync("mkfifo", [path]).status,
		],
	])(
		"locked, its lock file being %s, is reported at once",
		async (what, make) => {
			await mkdir(at(what));
			await make(lockFile(what));
			await expect(lock(what)).rejects.toMatchObject({
				code: "CONNECTION_FAILED",
				message: expect.stringContaining(`lock is ${what}`),
			});
		},
	);

	test
		.runIf(process.platform === "linux")
		.each(["/proc/x", "/proc/x/y", "/sys/x/y"])(
		"created, %s, is reported at once",
		async (folder) => {
			const opened = PostgresService.connect({
				connectionString: `file:${folder}`,
			});
			await expect(opened).rejects.toMatchObject({
				code: "CONNECTION_FAILED",
				message: expect.stringContaining(folder),
			});
		},
	);
});

test("flock distinguishes a lock of another open file from its own", async () => {
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
import { PostgresService } from "${library}";
try {
	await PostgresService.connect({ connectionString: "file:" + process.argv[1] });
	console.log("open as " + process.pid);
	${stays ? "setInterval(() => {}, 1000)" : "process.exit()"};
} catch (error) {
	console.log(error.code + " " + error.message);
}`;
	return spawned(script, at(name), within);
}

function spawned(
	script: string,
	path: string,
	within: readonly string[],
): { child: ChildProcess; line: Promise<string> } {
	const [command = process.execPath, ...args] = [
		...within,
		process.execPath,
		...nodeArguments,
		"--input-type=module",
		"-e",
		script,
		path,
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

async function killed(child: ChildProcess): Promise<void> {
	// Its output is closed by the last process that has it.
	const closed = once(child, "close");
	kill(child);
	await closed;
}

function kill(child: ChildProcess): void {
	child.kill("SIGKILL");
}
