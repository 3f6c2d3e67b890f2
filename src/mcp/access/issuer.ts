import type { JWTPayload, JWTVerifyGetKey } from "jose";
import { RemError } from "../../errors.ts";
import { scopeProblem } from "../../models/limits.ts";
import { membersOf } from "../../util/present.ts";
import type { BoundScope } from "../../verbs/bound-scope.ts";
import type { TokenVerifier, Verified } from "./access.ts";

export interface IssuerOptions {
	/** Address of the authorization server: the `iss` of its tokens. */
	readonly issuer: string;
	/** Address of this server: the `aud` of tokens for it. */
	readonly resource: string;
	/** Tenant of every token; without it each token's claim `tenant_id` names it. */
	readonly tenantId?: string | undefined;
}

/** Scopes of a token: what its bearer may do. */
export const scopes = { read: "rem:read", write: "rem:write" } as const;

/** Only what a public key verifies: a token that is signed with a shared secret is refused. */
const algorithms = [
	"RS256",
	"RS384",
	"RS512",
	"PS256",
	"PS384",
	"PS512",
	"ES256",
	"ES384",
	"ES512",
	"EdDSA",
];

/**
 * Verifies the access tokens of an external issuer by its published keys. The
 * user is the token's `sub`. Throws `CONFIG_INVALID` where the issuer's metadata
 * cannot be read.
 */
export async function issuerTokens(
	options: IssuerOptions,
): Promise<TokenVerifier> {
	const { createRemoteJWKSet } = await import("jose");
	const keys = createRemoteJWKSet(await keysAddress(options.issuer));
	return { verify: (token) => verify(token, keys, options) };
}

async function verify(
	token: string,
	keys: JWTVerifyGetKey,
	options: IssuerOptions,
): Promise<Verified> {
	const { errors, jwtVerify } = await import("jose");
	try {
		const { payload } = await jwtVerify(token, keys, {
			issuer: options.issuer,
			audience: options.resource,
			algorithms,
			requiredClaims: ["exp", "sub"],
			clockTolerance: 5,
		});
		return identityOf(payload, options);
	} catch (error) {
		if (!(error instanceof errors.JOSEError)) throw error;
		return { kind: "invalid", reason: reasonOf(error.code) };
	}
}

/** jose's own messages quote claims of the token. */
function reasonOf(code: string): string {
	if (code === "ERR_JWT_EXPIRED") return "the token has expired";
	if (code === "ERR_JWT_CLAIM_VALIDATION_FAILED")
		return "the token is of another issuer, or for another server";
	return "the token cannot be verified";
}

function identityOf(
	{ sub = "", scope, tenant_id: claimed }: JWTPayload,
	options: IssuerOptions,
): Verified {
	const tenantId = options.tenantId ?? claimed;
	if (typeof tenantId !== "string" || scopeProblem(tenantId) !== undefined)
		return refused("the token names no tenant in the claim tenant_id");
	if (claimed !== undefined && claimed !== tenantId)
		return refused("the token is of another tenant");
	if (scopeProblem(sub) !== undefined)
		return refused("the token's sub cannot be a user");
	const granted = typeof scope === "string" ? scope.split(" ") : [];
	const mayWrite = granted.includes(scopes.write);
	if (!mayWrite && !granted.includes(scopes.read))
		return refused(`the token lacks the scope ${scopes.read}`);
	const bound: BoundScope = { tenantId, userId: sub };
	return {
		kind: "known",
		identity: {
			...bound,
			isReadOnly: !mayWrite,
			name: JSON.stringify([options.issuer, tenantId, sub, mayWrite]),
		},
	};
}

function refused(reason: string): Verified {
	return { kind: "insufficient", reason };
}

/** The address of the issuer's keys, from its metadata (RFC 8414, or OpenID Connect). */
async function keysAddress(issuer: string): Promise<URL> {
	const base = issuer.replace(/\/$/, "");
	const { origin, pathname } = new URL(base);
	const path = pathname === "/" ? "" : pathname;
	const addresses = [
		`${origin}/.well-known/oauth-authorization-server${path}`,
		`${base}/.well-known/openid-configuration`,
	];
	for (const address of addresses) {
		const { issuer: named, jwks_uri: keys } = (await metadataAt(address)) ?? {};
		if (typeof keys === "string" && named === issuer) return new URL(keys);
	}
	throw new RemError(
		"CONFIG_INVALID",
		`the issuer ${issuer} has no metadata that names it and its keys`,
		{ hint: `serve ${addresses.join(" or ")}, with issuer and jwks_uri` },
	);
}

const patienceMs = 10_000;

async function metadataAt(
	address: string,
): Promise<Record<string, unknown> | undefined> {
	try {
		const response = await fetch(address, {
			signal: AbortSignal.timeout(patienceMs),
		});
		return response.ok ? membersOf(await response.json()) : undefined;
	} catch {
		return undefined; // the other address may answer
	}
}

/** Throws `CONFIG_INVALID` unless tokens of the issuer can be trusted on their way. */
export function checkIssuer(issuer: string): void {
	const url = URL.canParse(issuer) ? new URL(issuer) : undefined;
	const isLocal =
		url !== undefined &&
		/^(localhost|127\.0\.0\.1|\[::1\])$/.test(url.hostname);
	if (url?.protocol === "https:" || (url?.protocol === "http:" && isLocal))
		return;
	throw new RemError(
		"CONFIG_INVALID",
		"the issuer must be an https:// address",
		{
			hint: "--issuer https://auth.example.com",
		},
	);
}
