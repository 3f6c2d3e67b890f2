import { createHash, timingSafeEqual } from "node:crypto";
import * as z from "zod";
import { tenantName } from "../../config.ts";
import { RemError } from "../../errors.ts";
import type { Identity } from "../memory.ts";
import type { TokenVerifier } from "./access.ts";

const minLength = 16;

const entry = z.strictObject({
	tenant: tenantName,
	user: tenantName.optional(),
	rights: z.enum(["read", "write"]).default("write"),
});

const list = z.record(z.string(), entry);

interface KnownToken {
	readonly hash: Buffer;
	readonly identity: Identity;
}

/**
 * The tokens of a file or a variable: `{ "<token>": { "tenant": "acme", "user":
 * "sarah", "rights": "read" } }`. A key `sha256:…` is the hash of a token. Throws
 * `CONFIG_INVALID`; no message quotes a token.
 */
export function tokenList(json: string, source: string): TokenVerifier {
	const known = Object.entries(readList(json, source)).map(
		([token, { tenant, user, rights }], index): KnownToken => ({
			hash: hashOf(token, { source, index }),
			identity: {
				name: `token ${index + 1} of ${source}`,
				tenantId: tenant,
				...(user === undefined ? {} : { userId: user }),
				isReadOnly: rights === "read",
			},
		}),
	);
	return knownTokens(known);
}

/** One token of one identity. */
export function oneToken(token: string, identity: Identity): TokenVerifier {
	return knownTokens([{ hash: sha256(token), identity }]);
}

function knownTokens(known: readonly KnownToken[]): TokenVerifier {
	return {
		async verify(token) {
			const hash = sha256(token);
			let found: Identity | undefined;
			// All of them, and of equal length: the time reveals nothing of the tokens.
			for (const one of known)
				if (timingSafeEqual(one.hash, hash)) found = one.identity;
			return found === undefined
				? { kind: "invalid", reason: "unknown token" }
				: { kind: "known", identity: found };
		},
	};
}

function readList(json: string, source: string): z.output<typeof list> {
	let value: unknown;
	try {
		value = JSON.parse(json);
	} catch {
		throw invalid(source, "is not JSON");
	}
	const parsed = list.safeParse(value);
	if (!parsed.success) {
		const [issue] = parsed.error.issues;
		const place = issue?.path.slice(1).map(String).join(".") ?? "";
		throw invalid(
			source,
			`has an entry that is not valid: ${place === "" ? "" : `${place}: `}${issue?.message}`,
		);
	}
	if (Object.keys(parsed.data).length === 0)
		throw invalid(source, "has no token");
	return parsed.data;
}

function hashOf(
	token: string,
	{ source, index }: { readonly source: string; readonly index: number },
): Buffer {
	const [, hex] = /^sha256:([0-9a-f]{64})$/i.exec(token) ?? [];
	if (hex !== undefined) return Buffer.from(hex, "hex");
	if (token.length >= minLength && !token.startsWith("sha256:"))
		return sha256(token);
	throw invalid(
		source,
		`has a token of fewer than ${minLength} characters (entry ${index + 1})`,
	);
}

function sha256(text: string): Buffer {
	return createHash("sha256").update(text).digest();
}

function invalid(source: string, problem: string): RemError {
	return new RemError("CONFIG_INVALID", `${source} ${problem}`, {
		hint: 'write {"<token of 16 characters or more>": {"tenant": "acme", "user": "sarah", "rights": "read"}}; rights are "read" or "write"',
	});
}
