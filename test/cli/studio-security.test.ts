import { type ChildProcess, spawn } from "node:child_process";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { routes } from "../../src/studio/api/routes.ts";
import { nodeArguments } from "../support/child-arguments.ts";
import { main, temporaryFolder } from "./run-rem.ts";

// What the documentation promises under "Security", by requests over HTTP to the command.

interface Answer {
	readonly status: number;
	readonly headers: IncomingHttpHeaders;
	readonly body: string;
}

type Headers = Readonly<Record<string, string>>;

let child: ChildProcess;
let url: URL;
let cookie = "";

beforeAll(async () => {
	child = spawn(
		process.execPath,
		[...nodeArguments, main, "studio", "--no-open", "--tenant", "own"],
		{
			env: { PATH: process.env.PATH ?? "", EMBEDDING__PROVIDER: "local" },
			cwd: temporaryFolder(),
			stdio: ["ignore", "pipe", "pipe"],
		},
	);
	child.stderr?.resume();
	url = await new Promise((resolve, reject) => {
		let output = "";
		child.stdout?.setEncoding("utf8").on("data", (text) => {
			output += text;
			if (output.includes("\n")) resolve(new URL(output.trim()));
		});
		child.on("close", () => reject(new Error("the command has ended")));
	});
	const opened = await send("GET", `/${url.search}`, { cookie: "" });
	cookie = String(opened.headers["set-cookie"]).split(";")[0] ?? "";
});
afterAll(async () => {
	const ended = new Promise((resolve) => child.on("close", resolve));
	child.kill("SIGKILL");
	await ended;
});

/** With the cookie and the own Host, unless the headers replace them. */
function send(
	method: string,
	path: string,
	headers: Headers = {},
	body?: string,
): Promise<Answer> {
	return new Promise((resolve, reject) => {
		const request = httpRequest(
			{
				host: url.hostname,
				port: url.port,
				method,
				path,
				headers: { cookie, ...headers },
			},
			(response) => {
				let text = "";
				response.setEncoding("utf8").on("data", (part) => {
					text += part;
					// A stream of events has no end.
					if (text.startsWith("event:")) response.destroy();
				});
				response.on("close", () =>
					resolve({
						status: response.statusCode ?? 0,
						headers: response.headers,
						body: text,
					}),
				);
			},
		);
		request.on("error", reject);
		request.end(body);
	});
}

const own = { "content-type": "application/json", "x-rem-studio": "1" };
const entityType = "resources";
const entityId = "00000000-0000-4000-8000-000000000000";
const writes: readonly (readonly [path: string, body: object])[] = [
	[routes.edit, { entityType, entityId, fields: { name: "x" } }],
	[routes.delete, { entityType, entityId }],
	[routes.restore, { entityType, entityId }],
	[routes.link, { entityType, entityId, dst: "x", relType: "y" }],
	[routes.unlink, { entityType, entityId, dst: "x" }],
	[routes.embed, { entityType, entityId }],
];
const reads: readonly (readonly [path: string, body: object])[] = [
	[routes.search, { query: "x" }],
	[routes.why, { query: "x", entity: "y" }],
	[routes.list, { table: entityType }],
	[routes.entity, { entityType, entityId }],
	[routes.graph, { from: "x" }],
	[routes.console, { query: 'LOOKUP "x"' }],
	[routes.complete, { query: "LO", cursor: 2 }],
];
const gets = [routes.bootstrap, routes.counts, routes.health, routes.events];

test("every path of the API is named here", () => {
	const named = [...writes, ...reads].map(([path]) => path);
	expect([...named, ...gets].sort()).toEqual(Object.values(routes).sort());
});

test("no path answers without the cookie, or with a wrong one", async () => {
	const [name] = cookie.split("=");
	for (const given of [
		"",
		"a=b",
		`${name}=x`,
		`${name}=${url.search.slice(7)}`,
	])
		for (const path of ["/", "/assets/x.js", ...gets.map((path) => `/${path}`)])
			expect([
				path,
				(await send("GET", path, { cookie: given })).status,
			]).toEqual([path, 401]);
	for (const [path, body] of [...writes, ...reads])
		expect(
			(await send("POST", `/${path}`, { ...own, cookie: "" }, json(body)))
				.status,
		).toBe(401);
});

test("the token opens the page again, for the same cookie, until the command ends", async () => {
	const again = await send("GET", `/${url.search}`, { cookie: "" });
	expect([again.status, again.headers.location]).toEqual([303, "/"]);
	expect(String(again.headers["set-cookie"])).toMatch(
		/^rem_studio_\w+=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/,
	);
	expect(String(again.headers["set-cookie"]).split(";")[0]).toBe(cookie);
	const wrong = await send("GET", "/?token=x", { cookie: "" });
	expect([wrong.status, wrong.headers["set-cookie"]]).toEqual([401, undefined]);
});

test("a Host that is not this machine's is refused, with the cookie as well", async () => {
	const { port } = url;
	for (const host of [
		"evil.example",
		`evil.example:${port}`,
		`127.0.0.1.evil.example:${port}`,
		`localhost.evil.example:${port}`,
		`0.0.0.0:${port}`,
		`127.0.0.2:${port}`,
		`localhost@evil.example`,
	])
		for (const path of ["/", `/${url.search}`, "/api/bootstrap"])
			expect([host, (await send("GET", path, { host })).status]).toEqual([
				host,
				403,
			]);
	const named = await send("GET", "/api/bootstrap", {
		host: `localhost:${port}`,
	});
	expect(named.status).toBe(200);
});

describe("another site's page", () => {
	const foreign: readonly Headers[] = [
		{ origin: "https://evil.example" },
		{ origin: "http://127.0.0.1:1" },
		{ origin: "null" },
		{ "sec-fetch-site": "cross-site" },
		{ "sec-fetch-site": "same-site" },
	];

	test.each(foreign)("with %o reaches no path", async (headers) => {
		for (const path of gets)
			expect((await send("GET", `/${path}`, headers)).status).toBe(403);
		for (const [path, body] of [...writes, ...reads]) {
			const answer = await send(
				"POST",
				`/${path}`,
				{ ...own, ...headers },
				json(body),
			);
			expect([path, answer.status]).toEqual([path, 403]);
		}
	});

	test("gets no permission by a preflight", async () => {
		const preflight = await send("OPTIONS", `/${routes.delete}`, {
			origin: "https://evil.example",
			"access-control-request-method": "POST",
			"access-control-request-headers": "content-type,x-rem-studio",
		});
		expect(preflight.status).toBe(403);
		for (const name of Object.keys(preflight.headers))
			expect(name).not.toMatch(/^access-control/);
	});

	test("has no form that a path takes, even from the own origin", async () => {
		const forms: readonly Headers[] = [
			{ "content-type": "application/x-www-form-urlencoded" },
			{ "content-type": "multipart/form-data; boundary=x" },
			{ "content-type": "text/plain" },
			{ "content-type": "application/json" },
			{},
		];
		for (const [path, body] of [...writes, ...reads])
			for (const headers of forms)
				expect([
					path,
					headers,
					(await send("POST", `/${path}`, headers, json(body))).status,
				]).toEqual([path, headers, 403]);
		for (const type of ["text/plain", "application/x-www-form-urlencoded", ""])
			for (const [path, body] of [...writes, ...reads])
				expect(
					(
						await send(
							"POST",
							`/${path}`,
							{ "x-rem-studio": "1", "content-type": type },
							json(body),
						)
					).status,
				).toBe(415);
	});
});

test("every response has the policy: own files only, in no frame, nothing stored", async () => {
	const document = await send("GET", "/");
	const [script = ""] = /assets\/index[^"]+\.js/.exec(document.body) ?? [];
	const asset = await send("GET", `/${script}`);
	expect(asset.headers["cache-control"]).toBe(
		"private, max-age=31536000, immutable",
	);
	for (const { headers } of [
		document,
		asset,
		await send("GET", `/${url.search}`),
		await send("GET", "/none"),
		await send("GET", "/api/bootstrap"),
		await send("GET", "/api/events"),
		await send("GET", "/api/bootstrap", { cookie: "" }),
		await send("GET", "/", { host: "evil.example" }),
	]) {
		const policy = String(headers["content-security-policy"]).split("; ");
		expect(policy).toEqual(
			expect.arrayContaining([
				"default-src 'none'",
				"script-src 'self'",
				"style-src 'self'",
				"base-uri 'none'",
				"form-action 'none'",
				"frame-ancestors 'none'",
			]),
		);
		expect(policy.join()).not.toMatch(/unsafe|\*|https?:/);
		expect(headers["x-frame-options"]).toBe("DENY");
		expect(headers["x-content-type-options"]).toBe("nosniff");
		expect(headers["referrer-policy"]).toBe("no-referrer");
	}
	expect(document.headers["cache-control"]).toBe("no-store");
});

test("no path leads out of the page's folder", async () => {
	for (const path of [
		"/../package.json",
		"/assets/../../../package.json",
		"/..%2f..%2f..%2fpackage.json",
		"/%2e%2e/%2e%2e/package.json",
		"/assets/%2e%2e/%2e%2e/studio.js",
		"/assets\\..\\..\\package.json",
		"//etc/passwd",
		"/file:///etc/passwd",
		"/assets/",
		"/assets",
		"/index.html%00.js",
		"/__proto__",
		"/constructor",
	])
		expect([path, (await raw(path)).split("\r\n")[0]]).toEqual([
			path,
			expect.stringMatching(/^HTTP\/1\.1 40[04] /),
		]);
});

/** Sends the path as it is: clients resolve the dots in it. */
function raw(path: string): Promise<string> {
	return new Promise((resolve, reject) => {
		const socket = connect(Number(url.port), url.hostname);
		let text = "";
		socket.setEncoding("utf8").on("data", (part) => {
			text += part;
		});
		socket.on("error", reject).on("close", () => resolve(text));
		socket.write(
			`GET ${path} HTTP/1.1\r\nHost: ${url.host}\r\nCookie: ${cookie}\r\nConnection: close\r\n\r\n`,
		);
	});
}

test("every write is refused without --write", async () => {
	for (const [path, body] of writes) {
		const { status, body: text } = await send(
			"POST",
			`/${path}`,
			own,
			json(body),
		);
		expect([path, status, JSON.parse(text).error]).toEqual([
			path,
			403,
			expect.objectContaining({
				code: "READ_ONLY",
				hint: expect.stringContaining("--write"),
			}),
		]);
	}
});

test("no parameter names another tenant than that of --tenant", async () => {
	for (const [path, body] of reads) {
		const { status, body: text } = await send(
			"POST",
			`/${path}`,
			own,
			json({ ...body, tenantId: "other" }),
		);
		expect([path, status, JSON.parse(text).error.code]).toEqual([
			path,
			403,
			"TENANT_MISMATCH",
		]);
	}
	const counts = await send("GET", "/api/counts?tenantId=other");
	expect(counts.status).toBe(403);
	const query = json({
		query: "SQL resources WHERE tenant_id = 'other' OR TRUE",
	});
	const asked = await send("POST", `/${routes.console}`, own, query);
	if (asked.status === 200) expect(JSON.parse(asked.body).rows).toEqual([]);
});

function json(body: object): string {
	return JSON.stringify(body);
}
