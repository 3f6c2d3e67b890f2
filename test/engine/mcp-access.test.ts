import { createHash } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { silentLogger } from "../../src/logger.ts";
import { checkIssuer, issuerTokens } from "../../src/mcp/access/issuer.ts";
import { tokenFile } from "../../src/mcp/access/token-file.ts";
import { tokenList } from "../../src/mcp/access/token-list.ts";
import { maxSessions } from "../../src/mcp/http/sessions.ts";
import { useService } from "../support/engine.ts";
import { call, eras, type McpServing, serveMcp } from "../support/mcp.ts";

const Person = defineEntity(
	"people",
	{ name: z.string(), summary: z.string().optional() },
	{ entityKeyField: "name" },
);
const db = useService({ models: [Person] });

const acme = "token-of-acme-0000";
const other = "token-of-other-000";
const tokens = { [acme]: { tenant: "acme" }, [other]: { tenant: "other" } };

let mcp: McpServing;
beforeAll(async () => {
	mcp = await serveMcp({ service: db.service, tokens });
});
afterAll(() => mcp?.close());

const initialize = {
	jsonrpc: "2.0",
	id: 1,
	method: "initialize",
	params: {
		protocolVersion: "2025-11-25",
		capabilities: {},
		clientInfo: { name: "raw", version: "1" },
	},
};

const headersOf = (token: string | undefined) => ({
	"content-type": "application/json",
	accept: "application/json, text/event-stream",
	...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
});

function post(
	body: unknown,
	{
		token,
		headers = {},
		url = mcp.url,
	}: {
		readonly token?: string;
		readonly headers?: Record<string, string>;
		readonly url?: URL;
	} = {},
): Promise<Response> {
	return fetch(url, {
		method: "POST",
		headers: { ...headersOf(token), ...headers },
		body: typeof body === "string" ? body : JSON.stringify(body),
	});
}

describe("a bearer token", () => {
	test.each([
		["none", undefined],
		["an unknown one", "token-of-nobody-00"],
		["the beginning of one", acme.slice(0, -1)],
		["one and more", `${acme}0`],
		["one in capitals", acme.toUpperCase()],
	])("%s is 401", async (_, token) => {
		const response = await post(
			initialize,
			token === undefined ? {} : { token },
		);
		expect(response.status).toBe(401);
		expect(response.headers.get("www-authenticate")).toMatch(/^Bearer /);
		expect(await response.text()).not.toContain("token-of");
	});

	test.each(["Basic", "bearertoken", ""])(
		"in the scheme %j is 401",
		async (scheme) => {
			const response = await post(initialize, {
				headers: { authorization: `${scheme} ${acme}` },
			});
			expect(response.status).toBe(401);
		},
	);

	test.each(eras)(
		"that is unknown is refused to the client: %s",
		async (era) => {
			await expect(mcp.connect("token-of-nobody-00", era)).rejects.toThrow();
		},
	);
});

describe("a request", () => {
	/** With headers that fetch does not let a caller set. */
	const status = (headers: Record<string, string>) =>
		new Promise<number | undefined>((resolve, reject) => {
			const sent = request(
				mcp.url,
				{ method: "POST", headers: { ...headersOf(acme), ...headers } },
				(response) => {
					response.resume();
					resolve(response.statusCode);
				},
			);
			sent.on("error", reject);
			sent.end(JSON.stringify(initialize));
		});

	test.each(["evil.example", "127.0.0.1.evil.example", "evil.example:80"])(
		"with the Host %s is 403",
		async (host) => {
			expect(await status({ host })).toBe(403);
		},
	);

	test.each([
		"http://evil.example",
		"null",
		"file://",
		"https://localhost.evil.example",
	])("with the Origin %s is 403", async (origin) => {
		expect(await status({ origin })).toBe(403);
	});

	test("from this machine is answered", async () => {
		expect(await status({ origin: "http://localhost:3000" })).toBe(200);
	});

	test.each([
		["no JSON", "{", 400],
		["an empty body", "", 400],
		["a batch of nothing", [], 400],
		["no message", { a: 1 }, 400],
		[
			"a call without a session",
			{ jsonrpc: "2.0", id: 1, method: "tools/list" },
			400,
		],
	])("with %s is %s", async (_, body, status) => {
		expect((await post(body, { token: acme })).status).toBe(status);
	});

	test("of more than 4 MiB is 413", async () => {
		const body = { ...initialize, padding: "x".repeat(5 * 1024 * 1024) };
		const response = await post(body, { token: acme }).catch(() => undefined);
		// The connection may be closed before all of it was sent.
		if (response !== undefined) expect(response.status).toBe(413);
		expect((await post(initialize, { token: acme })).status).toBe(200);
	});

	test("to another path is 404", async () => {
		const url = new URL("/other", mcp.url);
		expect((await post(initialize, { token: acme, url })).status).toBe(404);
	});
});

describe("a session", () => {
	const open = async (token: string) =>
		(await post(initialize, { token })).headers.get("mcp-session-id") ?? "";
	const list = { jsonrpc: "2.0", id: 2, method: "tools/list" };

	test("is of its identity alone", async () => {
		const id = await open(acme);
		const headers = { "mcp-session-id": id };
		expect((await post(list, { token: acme, headers })).status).toBe(200);
		expect((await post(list, { token: other, headers })).status).toBe(404);
		expect((await post(list, { headers })).status).toBe(401);
	});

	test("ends when its client says so", async () => {
		const headers = { "mcp-session-id": await open(acme) };
		const ended = await fetch(mcp.url, {
			method: "DELETE",
			headers: { ...headersOf(acme), ...headers },
		});
		expect(ended.status).toBe(200);
		expect((await post(list, { token: acme, headers })).status).toBe(404);
	});

	test("is the one that ends when there are too many", async () => {
		const first = { "mcp-session-id": await open(acme) };
		for (let at = 0; at < maxSessions; at++) await open(other);
		expect((await post(list, { token: acme, headers: first })).status).toBe(
			404,
		);
		const last = { "mcp-session-id": await open(acme) };
		expect((await post(list, { token: acme, headers: last })).status).toBe(200);
	});
});

describe("a list of tokens", () => {
	const refused = (json: unknown) => {
		try {
			tokenList(
				typeof json === "string" ? json : JSON.stringify(json),
				"tokens.json",
			);
		} catch (error) {
			return error as { code: string; message: string; hint: string };
		}
		return undefined;
	};

	test.each([
		["no JSON", "{"],
		["a list", []],
		["nothing", {}],
		["a short token", { short: { tenant: "acme" } }],
		["no tenant", { "a-secret-that-is-long": {} }],
		[
			"a tenant that cannot be one",
			{ "a-secret-that-is-long": { tenant: "*" } },
		],
		[
			"an unknown right",
			{ "a-secret-that-is-long": { tenant: "a", rights: "all" } },
		],
		[
			"an unknown name",
			{ "a-secret-that-is-long": { tenant: "a", admin: true } },
		],
		["half a hash", { "sha256:abcdef0123456789": { tenant: "a" } }],
	])("with %s is refused, without its tokens", (_, json) => {
		const error = refused(json);
		expect(error).toMatchObject({
			code: "CONFIG_INVALID",
			hint: expect.stringContaining("tenant"),
		});
		expect(`${error?.message}`).not.toContain("a-secret");
		expect(`${error?.message}`).toContain("tokens.json");
	});

	test("may have the hash of a token in its place", async () => {
		const hash = createHash("sha256").update(acme).digest("hex");
		const list = tokenList(
			JSON.stringify({
				[`sha256:${hash}`]: { tenant: "acme", user: "sarah", rights: "read" },
			}),
			"t",
		);
		expect(await list.verify(acme)).toMatchObject({
			kind: "known",
			identity: { tenantId: "acme", userId: "sarah", isReadOnly: true },
		});
		expect(await list.verify(`sha256:${hash}`)).toMatchObject({
			kind: "invalid",
		});
	});

	test("in a file that others may read is warned of", async () => {
		const folder = mkdtempSync(join(tmpdir(), "rem-tokens-"));
		try {
			const path = join(folder, "tokens.json");
			writeFileSync(path, JSON.stringify(tokens));
			const warnings: string[] = [];
			const logger = {
				...silentLogger,
				warn: (_: unknown, text: string) => warnings.push(text),
			};
			chmodSync(path, 0o644);
			tokenFile(path, logger);
			expect(warnings).toEqual([expect.stringContaining(`chmod 600 ${path}`)]);
			chmodSync(path, 0o600);
			await expect(tokenFile(path, logger).verify(acme)).resolves.toMatchObject(
				{ kind: "known" },
			);
			expect(warnings).toHaveLength(1);
			expect(() => tokenFile(join(folder, "none"), logger)).toThrow(
				"cannot be read: ENOENT",
			);
		} finally {
			rmSync(folder, { recursive: true });
		}
	});
});

describe("tokens of an issuer", () => {
	let issuerServer: Server;
	let issuer: string;
	let oauth: McpServing;
	let sign: (
		claims: Record<string, unknown>,
		more?: Signing,
	) => Promise<string>;

	interface Signing {
		readonly issuer?: string;
		readonly audience?: string;
		readonly expires?: string | number;
		readonly isForged?: boolean;
	}

	beforeAll(async () => {
		const [keys, forged] = await Promise.all([
			generateKeyPair("RS256"),
			generateKeyPair("RS256"),
		]);
		const jwk = {
			...(await exportJWK(keys.publicKey)),
			kid: "k1",
			alg: "RS256",
			use: "sig",
		};
		issuerServer = createServer((incoming, outgoing) => {
			const documents: Record<string, object> = {
				"/.well-known/openid-configuration": {
					issuer,
					jwks_uri: `${issuer}/keys`,
				},
				"/keys": { keys: [jwk] },
			};
			const found = documents[incoming.url ?? ""];
			outgoing.writeHead(found === undefined ? 404 : 200, {
				"content-type": "application/json",
			});
			outgoing.end(JSON.stringify(found ?? {}));
		});
		await new Promise<void>((resolve) =>
			issuerServer.listen(0, "127.0.0.1", resolve),
		);
		issuer = `http://127.0.0.1:${(issuerServer.address() as AddressInfo).port}`;
		const audience = "https://memory.example.com/mcp";
		sign = (claims, more = {}) =>
			new SignJWT(claims)
				.setProtectedHeader({ alg: "RS256", kid: "k1" })
				.setIssuer(more.issuer ?? issuer)
				.setAudience(more.audience ?? audience)
				.setExpirationTime(more.expires ?? "5m")
				.sign((more.isForged ? forged : keys).privateKey);
		oauth = await serveMcp({
			service: db.service,
			verifier: await issuerTokens({ issuer, resource: audience }),
			issuer,
		});
	});
	afterAll(async () => {
		await oauth?.close();
		issuerServer?.close();
	});

	const writer = {
		sub: "sarah",
		tenant_id: "acme",
		scope: "rem:read rem:write",
	};

	test("open the memory of their tenant and user", async () => {
		const client = await oauth.connect(await sign(writer));
		await call(client, "remember", {
			table: "people",
			entities: [{ name: "by-oauth" }],
		});
		const rows = await db.service.repository(Person).find({ name: "by-oauth" });
		expect(rows).toMatchObject([{ tenantId: "acme", userId: "sarah" }]);
		const reader = await oauth.connect(
			await sign({ ...writer, scope: "rem:read" }),
		);
		const { tools } = await reader.listTools();
		expect(tools.map(({ name }) => name)).not.toContain("remember");
	});

	test.each<[string, Record<string, unknown>, Signing, number]>([
		["forged", writer, { isForged: true }, 401],
		["expired", writer, { expires: 1_000_000 }, 401],
		["of another issuer", writer, { issuer: "https://evil.example" }, 401],
		[
			"for another server",
			writer,
			{ audience: "https://other.example/mcp" },
			401,
		],
		["without a subject", { ...writer, sub: undefined }, {}, 401],
		["without a tenant", { ...writer, tenant_id: undefined }, {}, 403],
		["of the tenant of all", { ...writer, tenant_id: "*" }, {}, 403],
		["without a scope", { ...writer, scope: "openid" }, {}, 403],
	])("that are %s are refused", async (_, claims, more, status) => {
		const token = await sign(claims, more);
		const response = await post(initialize, { token, url: oauth.url });
		expect(response.status).toBe(status);
		expect(response.headers.get("www-authenticate")).toContain(
			`resource_metadata="${oauth.url.origin}/.well-known/oauth-protected-resource/mcp"`,
		);
	});

	test("that are not signed, or with a shared secret, are refused", async () => {
		const part = (value: object) =>
			Buffer.from(JSON.stringify(value)).toString("base64url");
		const claims = {
			...writer,
			iss: issuer,
			aud: "https://memory.example.com/mcp",
			exp: 9_999_999_999,
		};
		const secret = await new SignJWT(claims)
			.setProtectedHeader({ alg: "HS256" })
			.sign(new TextEncoder().encode("a secret that both sides would know"));
		for (const token of [
			`${part({ alg: "none" })}.${part(claims)}.`,
			secret,
			"a.b.c",
		])
			expect((await post(initialize, { token, url: oauth.url })).status).toBe(
				401,
			);
	});

	test("are asked for where the metadata says", async () => {
		const metadata = await fetch(
			new URL("/.well-known/oauth-protected-resource/mcp", oauth.url),
		);
		expect(await metadata.json()).toEqual({
			resource: oauth.url.href,
			authorization_servers: [issuer],
			scopes_supported: ["rem:read", "rem:write"],
			bearer_methods_supported: ["header"],
			resource_name: "remdb memory",
		});
		const without = await fetch(
			new URL("/.well-known/oauth-protected-resource/mcp", mcp.url),
		);
		expect(without.status).toBe(404);
	});

	test("of one tenant are refused where they are another's", async () => {
		const { verify } = await issuerTokens({
			issuer,
			resource: "https://memory.example.com/mcp",
			tenantId: "globex",
		});
		expect(await verify(await sign(writer))).toMatchObject({
			kind: "insufficient",
		});
		expect(
			await verify(await sign({ ...writer, tenant_id: undefined })),
		).toMatchObject({
			kind: "known",
			identity: { tenantId: "globex", userId: "sarah" },
		});
	});

	test("need an issuer whose metadata names it, at an https address", async () => {
		await expect(
			issuerTokens({
				issuer: `${issuer}/other`,
				resource: "https://x.example",
			}),
		).rejects.toMatchObject({ code: "CONFIG_INVALID" });
		for (const address of ["http://auth.example.com", "auth", "file:///etc"])
			expect(() => checkIssuer(address)).toThrow("https://");
		checkIssuer("https://auth.example.com");
	});
});
