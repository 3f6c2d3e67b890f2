import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import type pg from "pg";
import { type SslMode, sslModes } from "../config.ts";
import { RemError } from "../errors.ts";
import { internalsOf } from "./driver.ts";

/** How a connection is encrypted, and what is checked of the server. */
export interface TlsSettings {
	/** @default none, or verify-full where a root certificate is given */
	readonly mode?: SslMode | undefined;
	/** File of the authority that signed the server's certificate, or `system`: those Node.js trusts. */
	readonly rootCert?: string | undefined;
}

interface TlsFiles extends TlsSettings {
	/** A certificate of one's own, and its key: of a connection string only. */
	readonly cert?: string | undefined;
	readonly key?: string | undefined;
}

/**
 * A connection string without its parameters `sslmode`, `sslrootcert`, `sslcert`
 * and `sslkey`, and what they mean to libpq: the driver takes `require` for
 * `verify-full`. The settings apply where the string has none.
 */
export function withTls(
	connectionString: string,
	settings: TlsSettings,
): { connectionString: string; ssl?: false | ConnectionOptions } {
	const [base = "", query = ""] = splitAt(connectionString, "?");
	const given = new URLSearchParams(query);
	const ssl = tlsOptions({
		mode: modeOf(given.get("sslmode")) ?? settings.mode,
		rootCert: given.get("sslrootcert") ?? settings.rootCert,
		cert: given.get("sslcert") ?? undefined,
		key: given.get("sslkey") ?? undefined,
	});
	const isOurs = ownParameters.some((name) => given.has(name));
	for (const name of ownParameters) given.delete(name);
	const rest = given.size === 0 ? "" : `?${given}`;
	return {
		connectionString: isOurs ? `${base}${rest}` : connectionString,
		...(ssl === undefined || isLocal(base, given) ? {} : { ssl }),
	};
}

const ownParameters = [
	"sslmode",
	"sslrootcert",
	"sslcert",
	"sslkey",
	"uselibpqcompat",
];

function splitAt(text: string, mark: string): [string, string] {
	const at = text.indexOf(mark);
	return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

/** A socket of this machine: libpq ignores sslmode there. */
function isLocal(base: string, given: URLSearchParams): boolean {
	return (
		given.get("host")?.startsWith("/") === true ||
		/^[a-z]+:\/\/([^@/]*@)?%2f/i.test(base)
	);
}

function modeOf(text: string | null): SslMode | undefined {
	if (text === null || text === "") return undefined;
	const mode = sslModes.find((known) => known === text);
	if (mode !== undefined) return mode;
	throw new RemError("CONFIG_INVALID", `sslmode is none of ${all}`, {
		hint: unchecked.has(text)
			? `"${text}" continues without TLS where the server has none: use require, or disable`
			: "correct the connection string; require checks no certificate, verify-full its authority and name",
	});
}

const all = sslModes.join(", ");
const unchecked = new Set(["allow", "prefer"]);

/** As the driver takes it; `undefined`: none of it is set. */
export function tlsOptions({
	mode,
	rootCert,
	cert,
	key,
}: TlsFiles): false | ConnectionOptions | undefined {
	const files = Object.entries({
		sslrootcert: rootCert,
		sslcert: cert,
		sslkey: key,
	});
	const hasFiles = files.some(([, path]) => path !== undefined);
	const chosen = mode ?? (hasFiles ? "verify-full" : undefined);
	if (chosen === undefined) return undefined;
	if (chosen === "disable") return false;
	const isSystem = rootCert === "system";
	checkAuthority(chosen, rootCert);
	// As libpq has it: with an authority at hand, `require` checks it, too.
	const checksAuthority = chosen !== "require" || rootCert !== undefined;
	return withFiles(
		{
			rejectUnauthorized: checksAuthority,
			...(chosen === "verify-full"
				? {}
				: { checkServerIdentity: () => undefined }),
		},
		{ ca: isSystem ? undefined : rootCert, cert, key },
	);
}

/** A public authority issues certificates to anyone: then only the name identifies the server. */
function checkAuthority(mode: SslMode, rootCert: string | undefined): void {
	if (mode === "verify-ca" && rootCert === undefined)
		throw new RemError("CONFIG_INVALID", "verify-ca needs an authority", {
			hint: "give its certificate as POSTGRES__SSLROOTCERT (sslrootcert), or use verify-full",
		});
	if (mode !== "verify-full" && rootCert === "system")
		throw new RemError(
			"CONFIG_INVALID",
			`the system's authorities need verify-full, not ${mode}`,
			{ hint: "use verify-full, or give the certificate of an authority" },
		);
}

/**
 * The driver copies these for every connection: each reads the files again, so
 * that an authority which was renewed counts without a restart.
 */
function withFiles(
	options: ConnectionOptions,
	files: Readonly<Record<"ca" | "cert" | "key", string | undefined>>,
): ConnectionOptions {
	for (const [name, path] of Object.entries(files)) {
		if (path === undefined) continue;
		let last = readPem(path);
		const get = () => {
			try {
				last = readPem(path);
			} catch {
				// It is being replaced: what was read before is as good.
			}
			return last;
		};
		Object.defineProperty(options, name, {
			enumerable: true,
			configurable: true,
			get,
		});
	}
	return options;
}

function readPem(path: string): string {
	const text = readText(path);
	if (text.includes("-----BEGIN ")) return text;
	throw new RemError(
		"CONFIG_INVALID",
		`"${path}" contains no certificate or key`,
		{
			hint: "give a file in PEM format, which begins with -----BEGIN",
		},
	);
}

function readText(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch (error) {
		throw new RemError("CONFIG_INVALID", `"${path}" cannot be read`, {
			hint: "POSTGRES__SSLROOTCERT (sslrootcert) is the path of a file, or system",
			cause: error,
		});
	}
}

const refused = "TLS_REFUSED";

/** Before the client connects: the driver reports without a code that the server has no TLS. */
export function watchTls(client: pg.ClientBase): void {
	const { connection, ssl } = internalsOf(client);
	if (ssl === false) return;
	connection.once("connect", () => {
		connection.stream.prependOnceListener("data", (answer: Buffer) => {
			if (answer.toString() !== "N") return;
			connection.prependOnceListener("error", (error) =>
				Object.assign(error, { code: refused }),
			);
		});
	});
}

const authority =
	"give the certificate of the server's authority as POSTGRES__SSLROOTCERT=FILE (sslrootcert in the connection string)";

const hints: Readonly<Record<string, string>> = {
	[refused]:
		"the server has no TLS: set ssl = on there, or POSTGRES__SSLMODE=disable where the network is trusted",
	ERR_TLS_CERT_ALTNAME_INVALID:
		"connect by a name that is in the server's certificate, or have one made for this name; verify-ca does not look at names",
	CERT_HAS_EXPIRED: "renew the server's certificate, or its authority's",
	CERT_NOT_YET_VALID: "compare the clocks of this machine and of the server",
	DEPTH_ZERO_SELF_SIGNED_CERT: authority,
	SELF_SIGNED_CERT_IN_CHAIN: authority,
	UNABLE_TO_VERIFY_LEAF_SIGNATURE: authority,
	UNABLE_TO_GET_ISSUER_CERT: authority,
	UNABLE_TO_GET_ISSUER_CERT_LOCALLY: authority,
	CERT_SIGNATURE_FAILURE: authority,
	CERT_UNTRUSTED: authority,
	INVALID_CA: authority,
};

/** What to do about a failure of TLS, by Node's code; `undefined`: it is none. */
export function tlsHint(code: string | undefined): string | undefined {
	return code === undefined ? undefined : hints[code];
}
