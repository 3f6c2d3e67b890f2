import type { ServerAddress } from "../db/server.ts";
import { RemError } from "../errors.ts";
import { parameterProblem } from "./address-parameters.ts";

const form = "postgresql://user:password@host:port/database";

/**
 * Checks an address part by part, before a driver takes it apart in its own
 * way: a `#` in a password would make the rest of it the name of a host. No
 * message contains the address.
 */
export function checkServerUrl(url: string): void {
	const rest = url.replace(/^[a-z]+:\/\//, "");
	// A URL leaves out tabs and line ends, and the driver cannot send a NUL.
	if (hasControls(url) || /%00/.test(url))
		throw refused(
			"has a line end, a tab or another control character in it",
			"remove it: a file or a shell may have added it at the end",
		);
	if (url.trim() !== url)
		throw refused("has white space before or behind it", "remove it");
	// The driver would escape the address once more, its escapes included.
	if (/\s/.test(url) && url.includes("%"))
		throw refused("has a space and escapes", "write a space as %20");
	if (rest.includes("#"))
		throw refused(
			'has "#" in it, which would end it',
			'write "#" as %23: in the password, with encodeURIComponent(password)',
		);
	const [authority = ""] = rest.split(/[/?]/, 1);
	const behind = rest.slice(authority.length);
	if (!authority.includes("@") && isCutPassword(authority, behind))
		throw refused(
			'has "/" or "?" in the password, or in the user',
			'write "/" as %2F and "?" as %3F there: encodeURIComponent(password)',
		);
	const at = authority.lastIndexOf("@");
	checkEscapes(authority.slice(0, Math.max(at, 0)), behind);
	if (!isDecodable(authority.slice(at + 1)))
		throw refused(
			'has a "%" in the host that begins no escape',
			'write "%" as %25, and "/" of a socket\'s folder as %2F',
		);
	checkHosts(authority.slice(at + 1));
	checkParameters(url);
	// Without a host there may be a user: the socket is a parameter then.
	if (!URL.canParse(url) && !URL.canParse(url.replace("@/", "@host/")))
		throw refused("cannot be read", `expected ${form}`);
}

/** Of ASCII: what is beyond belongs to names and passwords. */
export function hasControls(text: string): boolean {
	for (let at = 0; at < text.length; at++) {
		const code = text.charCodeAt(at);
		if (code < 32 || code === 127) return true;
	}
	return false;
}

/** `connect_timeout` of an address, which libpq has in seconds. */
export function connectTimeoutMsOf(url: string): number | undefined {
	const at = url.indexOf("?");
	if (at < 0) return undefined;
	const seconds = new URLSearchParams(url.slice(at)).get("connect_timeout");
	return seconds === null ? undefined : Number(seconds) * 1000;
}

/** Parts of an address as the environment has them. */
export function checkServerParts({ host = "" }: ServerAddress): void {
	checkHostName(host, "POSTGRES__HOST", "POSTGRES__PORT");
}

/** `host` or `host:port`, of an option or a variable. */
export function checkPlace(place: string, name: string): void {
	const [, port] = /^[^:]*:(.*)$/.exec(place) ?? [];
	if (place.startsWith("[")) {
		if (/^\[[0-9a-f:.]+\](:\d{1,5})?$/i.test(place)) return;
		throw ofPart(
			name,
			"is not an IPv6 address",
			"expected [::1] or [::1]:5432",
		);
	}
	if (port !== undefined && !port.includes(":")) checkPort(port, name);
	checkHostName(place.replace(/:\d*$/, ""), name, undefined);
}

/** What is before the first `/` or `?` is no host and port, or the host is behind it. */
function isCutPassword(authority: string, behind: string): boolean {
	if (!behind.includes("@")) return false;
	const isHostAndPort = /^(\[[^\]]*\]|[^:]*)(:\d{0,5})?$/.test(authority);
	if (!isHostAndPort) return true;
	const [path = "", query = ""] = behind.split("?", 2);
	// A parameter's value may well have one.
	return path.includes("@") || /^[^=]*@/.test(query);
}

function checkEscapes(userinfo: string, behind: string): void {
	const [path = ""] = behind.split("?", 1);
	const parts = { "user or the password": userinfo, "database name": path };
	for (const [part, text] of Object.entries(parts))
		if (!isDecodable(text))
			throw refused(
				`has a "%" in the ${part} that begins no escape`,
				'write "%" as %25: encodeURIComponent(password)',
			);
}

function isDecodable(text: string): boolean {
	try {
		decodeURIComponent(text);
		return true;
	} catch {
		return false;
	}
}

function checkHosts(hosts: string): void {
	if (hosts.includes(",")) throw refused("names several hosts", severalHosts);
	const isBracketed = hosts.startsWith("[");
	const [, port] =
		(isBracketed ? /\]:(.*)$/ : /^[^:]*:(.*)$/).exec(hosts) ?? [];
	if (isBracketed) {
		if (/^\[[0-9a-f:.]+%/i.test(hosts))
			throw refused(
				"has an address of IPv6 with a zone, which no URL can have",
				"set POSTGRES__HOST=fe80::1%eth0, and POSTGRES__PORT and the others",
			);
		if (!/^\[[0-9a-f:.]+\]/i.test(hosts))
			throw refused(
				"has a host in brackets that is not an IPv6 address",
				"expected [::1]",
			);
	} else if (port?.includes(":"))
		throw refused(
			"has an address of IPv6 without brackets",
			"write the address in brackets, and the port behind them: [::1]:5432",
		);
	if (port !== undefined && port !== "" && !isPort(port))
		throw refused(
			"has a port that is not a whole number from 1 to 65535",
			`expected ${form}; a ":" or "@" in user or password is written as %3A or %40`,
		);
}

const severalHosts =
	"name one: a DNS name, or a pooler, that leads to the primary; a replica for reads is POSTGRES__READ_HOST";

const ofTls = {
	true: "sslmode=verify-full",
	false: "sslmode=disable",
	"no-verify": "sslmode=require",
} as const;
const offWords = ["false", "no", "off", "disable", "disabled"];
function checkParameters(url: string): void {
	const at = url.indexOf("?");
	if (at < 0) return;
	const query = url.slice(at + 1);
	if (!isDecodable(query.replaceAll("+", " ")))
		throw refused(
			'has a "%" in a parameter that begins no escape',
			'write "%" as %25',
		);
	const given = new URLSearchParams(query);
	const ssl = given.get("ssl");
	if (ssl !== null && !["true", "1", "0"].includes(ssl)) {
		const isOff = offWords.includes(ssl.toLowerCase());
		throw refused(
			`has the parameter ssl with a value that is not supported`,
			`write ${ofTls[ssl === "no-verify" ? "no-verify" : isOff ? "false" : "true"]} instead of ssl=…`,
		);
	}
	for (const [name, value] of given) {
		const found = parameterProblem(name, value);
		if (found !== undefined) throw refused(found.problem, found.hint);
		if (given.getAll(name).length > 1)
			throw refused(`has the parameter ${name} twice`, "write it once");
	}
	const host = given.get("host");
	if (host?.includes(",")) throw refused("names several hosts", severalHosts);
	const port = given.get("port");
	if (port !== null && !isPort(port))
		throw refused(
			"has a parameter port that is not a whole number from 1 to 65535",
			"correct the port",
		);
}

/** A name, an address or the folder of a socket. */
function checkHostName(
	host: string,
	name: string,
	portName: string | undefined,
): void {
	if (/^[a-z]+:\/\//i.test(host))
		throw ofPart(
			name,
			"is a whole address, expected the name of a host",
			"set POSTGRES__CONNECTION_STRING to it",
		);
	if (host.startsWith("/")) return;
	if (host.includes(","))
		throw ofPart(name, "names several hosts", severalHosts);
	if (/^\[.*\]/.test(host))
		throw ofPart(
			name,
			"has brackets",
			`write an address of IPv6 without them, such as ::1${portName === undefined ? "" : `, and its port in ${portName}`}`,
		);
	if (portName !== undefined && /^[^:]*:\d*$/.test(host))
		throw ofPart(name, "has a port", `write the port in ${portName}`);
	if (!/^[\p{L}\p{N}_.:%-]+$/u.test(host))
		throw ofPart(
			name,
			"is not a host name",
			"expected a name, an address, or the path of a socket's folder",
		);
}

function checkPort(port: string, name: string): void {
	if (isPort(port)) return;
	throw ofPart(
		name,
		"has a port that is not a whole number from 1 to 65535",
		"expected host or host:port",
	);
}

function isPort(text: string): boolean {
	return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65535;
}

function ofPart(name: string, problem: string, hint: string): RemError {
	return new RemError("CONFIG_INVALID", `${name} ${problem}`, {
		hint,
		issues: [{ field: name, message: problem }],
	});
}

function refused(problem: string, hint: string): RemError {
	return ofPart("the connection string", problem, hint);
}
