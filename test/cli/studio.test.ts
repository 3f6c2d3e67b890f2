import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { nodeArguments } from "../support/child-arguments.ts";
import {
	engines,
	main,
	migratedDatabase,
	rem,
	remProcess,
	temporaryFolder,
} from "./run-rem.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
	for (const end of ends.splice(0)) await end();
});

const environment = {
	PATH: process.env.PATH ?? "",
	EMBEDDING__PROVIDER: "local",
};

interface Running {
	readonly child: ChildProcess;
	readonly url: URL;
	readonly stderr: () => string;
	readonly ended: Promise<number | null>;
}

/** `rem studio` in a process of its own, once it has printed its address. */
async function start(args: readonly string[]): Promise<Running> {
	const child = spawn(
		process.execPath,
		[...nodeArguments, main, "studio", ...args],
		{
			env: environment,
			cwd: temporaryFolder(),
			stdio: ["ignore", "pipe", "pipe"],
		},
	);
	let stdout = "";
	let stderr = "";
	child.stdout.setEncoding("utf8").on("data", (text) => {
		stdout += text;
	});
	child.stderr.setEncoding("utf8").on("data", (text) => {
		stderr += text;
	});
	const ended = new Promise<number | null>((resolve) =>
		child.on("close", resolve),
	);
	ends.push(() => {
		child.kill("SIGKILL");
		return ended;
	});
	await expect
		.poll(() => stdout)
		.toMatch(/^http:\S+\n/)
		.catch(() => expect.fail(stderr));
	return { child, url: new URL(stdout.trim()), stderr: () => stderr, ended };
}

/** Opens the printed address, as a browser does; calls the API with its cookie. */
async function openPage(url: URL) {
	const opened = await fetch(url, { redirect: "manual" });
	expect(opened.status).toBe(303);
	const cookie = (opened.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
	return {
		cookie,
		get: (path: string) =>
			fetch(new URL(path, url.origin), { headers: { cookie } }),
		post: (path: string, body: object) =>
			fetch(new URL(path, url.origin), {
				method: "POST",
				headers: {
					cookie,
					"content-type": "application/json",
					"x-rem-studio": "1",
				},
				body: JSON.stringify(body),
			}),
	};
}

const rows = temporaryFolder({
	"rows.jsonl": `${JSON.stringify({ name: "battery", content: "The battery lasts nine hours." })}\n`,
});

test.each(engines)(
	"rem studio shows the %s database's memory, and ends by a signal",
	async (engine) => {
		const database = await migratedDatabase(engine);
		const scope = ["--url", database, "--tenant", "acme"];
		const loaded = await rem(
			["load", join(rows, "rows.jsonl"), "--table", "resources", ...scope],
			{ env: { EMBEDDING__PROVIDER: "local" } },
		);
		expect(loaded).toMatchObject({ code: 0 });
		const { child, url, ended, stderr } = await start([...scope, "--no-open"]);
		expect(url.hostname).toBe("127.0.0.1");
		expect(url.searchParams.get("token")).toMatch(/^[\w-]{32}$/);
		const page = await openPage(url);
		const document = await page.get("/");
		expect(document.headers.get("content-type")).toContain("text/html");
		const html = await document.text();
		const [, script = ""] = /src="\.\/(assets\/[^"]+\.js)"/.exec(html) ?? [];
		const asset = await page.get(`/${script}`);
		expect(asset.status).toBe(200);
		expect(asset.headers.get("content-type")).toContain("javascript");
		const found = await page.post("/api/search", { query: "battery" });
		expect(await found.json()).toMatchObject({
			items: [{ entityKey: "battery", lists: expect.any(Array) }],
		});
		const written = await page.post("/api/delete", {
			entityType: "resources",
			entityId: "x",
		});
		expect(written.status).toBe(403);
		// A page that looks at the health does not hold the end up.
		const events = await page.get("/api/events");
		expect(events.status).toBe(200);
		child.kill("SIGTERM");
		expect([await ended, stderr()]).toEqual([0, expect.any(String)]);
	},
);

test("--write sets up an embedded database, and writes", async () => {
	const folder = temporaryFolder();
	const { child, url, ended } = await start([
		"--url",
		`file:${join(folder, "db")}`,
		"--write",
		"--no-open",
	]);
	const page = await openPage(url);
	expect(await (await page.get("/api/bootstrap")).json()).toMatchObject({
		writable: true,
	});
	const missing = await page.post("/api/delete", {
		entityType: "resources",
		entityId: "00000000-0000-4000-8000-000000000000",
	});
	expect(missing.status).toBe(404);
	child.kill("SIGINT");
	expect(await ended).toBe(0);
});

test("without --write no database is created", async () => {
	const folder = temporaryFolder();
	const { url, stderr } = await start([
		"--url",
		`file:${join(folder, "none")}`,
		"--no-open",
	]);
	const page = await openPage(url);
	expect((await page.get("/api/counts")).status).toBe(200);
	expect(stderr()).toContain("not created");
	expect(readdirSync(folder)).toEqual([]);
});

test.skipIf(process.platform !== "linux")(
	"the address is opened in the browser of a person at a terminal, unless --no-open",
	async () => {
		const folder = temporaryFolder({
			"xdg-open": '#!/bin/sh\necho "$1" >"$0.opened"\n',
		});
		chmodSync(join(folder, "xdg-open"), 0o755);
		const database = await migratedDatabase("embedded");
		const opened = () =>
			readdirSync(folder).includes("xdg-open.opened")
				? readFileSync(join(folder, "xdg-open.opened"), "utf8").trim()
				: "";
		/** In a terminal; its address once it is printed. */
		const startInTerminal = async (...args: string[]) => {
			const node = [process.execPath, ...nodeArguments];
			const command = [...node, main, "studio", "--url", database];
			const quoted = [...command, ...args].map((word) => `'${word}'`).join(" ");
			const child = spawn("script", ["-qec", quoted, "/dev/null"], {
				env: { ...environment, PATH: `${folder}:${environment.PATH}` },
				cwd: temporaryFolder(),
				stdio: ["pipe", "pipe", "inherit"],
			});
			const ended = new Promise((resolve) => child.on("close", resolve));
			ends.push(() => {
				child.kill("SIGKILL");
				return ended;
			});
			let printed = "";
			child.stdout.setEncoding("utf8").on("data", (text) => {
				printed += text;
			});
			const address = /http:\S+token=[\w-]{32}/;
			await expect.poll(() => printed).toMatch(address);
			return {
				address: address.exec(printed)?.[0],
				// Ctrl+C.
				end: async () => {
					child.stdin.write("\x03");
					await ended;
				},
			};
		};
		const closed = await startInTerminal("--no-open");
		await closed.end();
		expect(opened()).toBe("");
		const shown = await startInTerminal();
		await expect.poll(opened).toBe(shown.address);
		await shown.end();
	},
);

test("a port that is in use is reported", async () => {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	ends.push(() => server.close());
	const { port } = server.address() as AddressInfo;
	const { code, stderr } = await remProcess(
		["studio", "--url", "memory:", "--no-open", "--port", String(port)],
		{ env: environment },
	);
	expect(code).toBe(1);
	expect(stderr).toContain(`cannot listen on port ${port}: EADDRINUSE`);
	expect(stderr).toContain("choose another --port port; 0 takes a free one");
});

test("--host warns, and answers only to names of this machine", async () => {
	const { url, stderr } = await start([
		"--url",
		await migratedDatabase("embedded"),
		"--no-open",
		"--host",
		"0.0.0.0",
	]);
	expect(stderr()).toContain("other machines reach it");
	const page = await openPage(url);
	expect((await page.get("/api/bootstrap")).status).toBe(200);
});
