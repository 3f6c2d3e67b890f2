import type { Environment } from "../config.ts";
import type { ServerAddress } from "../db/server.ts";
import { RemError } from "../errors.ts";
import type { ConnectOptions } from "./connect-options.ts";
import {
	checkPlace,
	checkServerParts,
	checkServerUrl,
	hasControls,
} from "./server-address.ts";

/** Where the database is. */
export type DatabaseSettings =
	| {
			readonly kind: "server";
			readonly address: ServerAddress;
			/** The server behind a pooler, for what needs a session. */
			readonly directAddress?: ServerAddress;
			/** A replica, for reads that allow it. */
			readonly readAddress?: ServerAddress;
			/** Where a node of a Citus cluster is reached directly; `undefined`: by the coordinator alone. */
			readonly nodeAddress?: (node: string) => ServerAddress | undefined;
	  }
	| { readonly kind: "embedded"; readonly folder: string | undefined };

export function resolveDatabase(
	options: ConnectOptions,
	environment: Environment,
): DatabaseSettings {
	const database = named(options.connectionString, environment);
	if (database.kind === "embedded") return database;
	// Variables of one database do not apply to another one.
	const own = options.connectionString === undefined ? environment : undefined;
	const directHost = own?.POSTGRES__DIRECT_HOST;
	const readHost = options.readHost ?? own?.POSTGRES__READ_HOST;
	if (options.readHost !== undefined) checkPlace(options.readHost, "readHost");
	else if (readHost !== undefined) checkPlace(readHost, "POSTGRES__READ_HOST");
	if (directHost !== undefined) checkPlace(directHost, "POSTGRES__DIRECT_HOST");
	const citusNodes = options.citusNodes ?? own?.POSTGRES__CITUS_NODES;
	const at = (host: string) => elsewhere(database.address, host);
	return {
		...database,
		...(directHost === undefined ? {} : { directAddress: at(directHost) }),
		...(readHost === undefined ? {} : { readAddress: at(readHost) }),
		...(citusNodes === undefined
			? {}
			: { nodeAddress: nodeAddresses(citusNodes, at) }),
	};
}

/** `direct`, or `node=address` for each node, separated by commas. */
function nodeAddresses(
	text: string,
	at: (place: string) => ServerAddress,
): (node: string) => ServerAddress | undefined {
	if (text === "direct") return (node) => at(asPlace(node));
	const addresses = new Map<string, ServerAddress>();
	for (const item of text.split(",")) {
		const [, node, place] = /^\s*([^=\s]+:\d+)=([^=\s]+)\s*$/.exec(item) ?? [];
		if (node === undefined || place === undefined)
			throw new RemError(
				"CONFIG_INVALID",
				"citusNodes (POSTGRES__CITUS_NODES) is neither direct nor a list of node=address",
				{
					hint: "write each node as Citus names it (rem buckets status), such as 10.0.0.6:5432=db6.example.org:5432, separated by commas",
				},
			);
		checkPlace(place, "POSTGRES__CITUS_NODES");
		addresses.set(node, at(place));
	}
	return (node) => addresses.get(node);
}

/** A node as Citus names it, `host:port`: an address of IPv6 has no brackets there. */
function asPlace(node: string): string {
	return node.replace(/^(.*:.*)(:\d+)$/, "[$1]$2");
}

function named(
	option: string | undefined,
	environment: Environment,
): DatabaseSettings {
	const url =
		option ??
		environment.POSTGRES__CONNECTION_STRING ??
		environment.DATABASE_URL;
	if (url !== undefined) return fromUrl(url);
	const { POSTGRES__HOST: host } = environment;
	if (host === undefined) return { kind: "embedded", folder: "./.rem" };
	const { POSTGRES__USER: user, POSTGRES__PASSWORD: password } = environment;
	const address = {
		host,
		port: environment.POSTGRES__PORT,
		database: environment.POSTGRES__DATABASE,
		...(user === undefined ? {} : { user }),
		...(password === undefined ? {} : { password }),
	};
	checkServerParts(address);
	return { kind: "server", address };
}

function fromUrl(url: string): DatabaseSettings {
	if (/^memory:/i.test(url)) return { kind: "embedded", folder: memory(url) };
	if (/^file:/i.test(url)) return { kind: "embedded", folder: folderOf(url) };
	if (/^postgres(ql)?:\/\//.test(url)) {
		checkServerUrl(url);
		return { kind: "server", address: { connectionString: url } };
	}
	if (url.trim() !== url)
		throw refused("has white space before or behind it", "remove it");
	if (/^postgres(ql)?:\/\//i.test(url))
		throw refused(
			"has its scheme in capitals",
			"write postgresql:// in lower case",
		);
	throw refused("has an unknown form", `${folderHint(url)}${forms}`);
}

/** A path is repeated as the address of a folder; a single word may be a password. */
function folderHint(url: string): string {
	return /^\.{0,2}\/[\w./-]{1,200}$/.test(url)
		? `did you mean file:${url}? `
		: "";
}

const forms =
	"expected postgresql://user:password@host:port/name, file:PATH or memory:";

function memory(url: string): undefined {
	if (url === "memory:" || url === "memory://") return undefined;
	throw refused(
		"has something behind memory:, where a database has no name",
		"write memory:, or file:PATH for one that stays",
	);
}

/** Relative to the working folder, unless it begins with a slash. */
function folderOf(url: string): string {
	const path = url.replace(/^file:/, "");
	if (path === url)
		throw refused("has its scheme in capitals", "write file: in lower case");
	if (/^\/\/(?![/.])./.test(path))
		throw refused(
			"names a host behind file://",
			"write file:/PATH, or file:PATH relative to the working folder",
		);
	if (/[?#]/.test(path))
		throw refused(
			'has "?" or "#" in the path: file: has no parameters',
			'write "?" as %3F and "#" as %23, or leave out what is behind it',
		);
	const folder = decode(path.replace(/^\/\//, ""));
	if (folder === undefined)
		throw refused(
			'has a "%" in the path that begins no escape',
			'write "%" as %25',
		);
	if (folder.trim() !== folder || folder === "" || hasControls(folder))
		throw refused(
			folder.trim() === ""
				? "has no path behind file:"
				: "has white space or a control character around or in the path",
			"write file:PATH, such as file:./data",
		);
	if (/^~/.test(folder))
		throw refused(
			'begins with "~", which only a shell replaces',
			"write the whole path, such as file:/home/me/data",
		);
	return folder;
}

function refused(problem: string, hint: string): RemError {
	return new RemError("CONFIG_INVALID", `the connection string ${problem}`, {
		hint,
	});
}

function decode(text: string): string | undefined {
	try {
		return decodeURIComponent(text);
	} catch {
		return undefined; // a % that is none: the address is refused
	}
}

/** The same database on another host, `name` or `name:port`, as the same user. */
function elsewhere(address: ServerAddress, place: string): ServerAddress {
	const { host, port } = hostAndPort(place);
	if (address.connectionString === undefined)
		return { ...address, host, ...(port === undefined ? {} : { port }) };
	try {
		const url = new URL(address.connectionString);
		// Parameters of that name would go before.
		for (const name of ["host", "port"]) url.searchParams.delete(name);
		url.hostname = host.includes(":") ? `[${host}]` : host;
		if (port !== undefined) url.port = String(port);
		return { connectionString: url.href };
	} catch {
		throw new RemError(
			"CONFIG_INVALID",
			"the connection string has no host that another one could replace",
			{ hint: "write it as postgresql://user:password@host:port/name" },
		);
	}
}

/** `name`, `name:5433` or `[::1]:5433`; an address of IPv6 without brackets has no port. */
function hostAndPort(place: string): { host: string; port?: number } {
	const [, bracketed, name, port] =
		/^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(place) ?? [];
	const host = bracketed ?? name ?? place;
	return port === undefined ? { host } : { host, port: Number(port) };
}
