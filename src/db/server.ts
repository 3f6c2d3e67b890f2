import pg from "pg";
import { RemError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { ident, sql, toText } from "../sql.ts";
import {
	type ChannelBinding,
	channelBindingOf,
	refuseWithoutTls,
	requireChannelBinding,
} from "./channel-binding.ts";
import { CitusNodes } from "./citus-nodes.ts";
import type { Database } from "./database.ts";
import { resultTypes } from "./decode.ts";
import { PoolDatabase, type PoolDatabaseOptions } from "./pool-database.ts";
import { Replica } from "./replica.ts";
import { ServerSession } from "./server-session.ts";
import { extensionNames } from "./session-settings.ts";
import { watchStandby } from "./standby.ts";
import { type TlsSettings, tlsOptions, watchTls, withTls } from "./tls.ts";

/** How to reach a server: an address, or its parts. */
export interface ServerAddress {
	readonly connectionString?: string;
	readonly host?: string;
	readonly port?: number;
	readonly database?: string;
	readonly user?: string;
	readonly password?: string;
}

export interface ServerOptions {
	readonly poolSize: number;
	/** Longest wait for a connection, in milliseconds. */
	readonly connectTimeoutMs: number;
	/** How long work that may run again is run again while the server is away. */
	readonly retryTimeoutMs: number;
	/** Longest time of a statement, unless it is SQL of the user's or of the background. */
	readonly queryTimeoutMs: number;
	/** The server behind the pooler, for sessions. @default the address itself */
	readonly directAddress?: ServerAddress | undefined;
	readonly tls: TlsSettings;
	readonly logger: Logger;
}

/** Opens a pool to a PostgreSQL server and checks that it supports what we build. */
export async function openServer(
	address: ServerAddress,
	options: ServerOptions,
): Promise<Database> {
	const direct = options.directAddress ?? address;
	const directConfig = {
		...clientConfig(options),
		...driverAddress(direct, options.tls),
	};
	const database = poolDatabase(
		address,
		options,
		(sessionOptions, { isCitus }) =>
			ServerSession.open(new ServerClient(directConfig), hostAndPort(direct), {
				...sessionOptions,
				isCitus,
				timeoutMs: options.connectTimeoutMs,
			}),
	);
	try {
		const { isCitus } = await checkServer(database);
		if (isCitus) database.actAsCitus();
		return database;
	} catch (error) {
		await database.close();
		throw error;
	}
}

// Who waits for a replica or a node had better ask the primary or the coordinator.
const maxReplicaConnectMs = 2000;

/**
 * Opens a pool to a replica of the primary, for reads that allow it. It is not
 * connected to here: one that is away does not prevent the start.
 */
export function openReplica(
	primary: Database,
	address: ServerAddress,
	options: ServerOptions & { readonly waitMs: number },
): Replica {
	const { connectTimeoutMs, logger, waitMs } = options;
	const pool = poolDatabase(address, {
		...options,
		connectTimeoutMs: Math.min(connectTimeoutMs, maxReplicaConnectMs),
		retryTimeoutMs: 0,
	});
	const place = { address: hostAndPort(address), waitMs, logger };
	return new Replica(primary, pool, place);
}

/**
 * The nodes of the cluster that the coordinator belongs to. None is connected to
 * here; `undefined` where the server is no coordinator.
 */
export function openNodes(
	coordinator: Database,
	addressOf: (node: string) => ServerAddress | undefined,
	options: ServerOptions,
): CitusNodes | undefined {
	if (!coordinator.capabilities.citus) return undefined;
	const { connectTimeoutMs, logger, poolSize } = options;
	return new CitusNodes(coordinator, {
		maxConnections: poolSize,
		logger,
		open: (node, connections) => {
			const address = addressOf(node);
			if (address === undefined) return undefined;
			const pool = poolDatabase(address, {
				...options,
				poolSize: connections,
				connectTimeoutMs: Math.min(connectTimeoutMs, maxReplicaConnectMs),
				// The coordinator is tried instead.
				retryTimeoutMs: 0,
			});
			pool.actAsCitus();
			return pool;
		},
	});
}

function poolDatabase(
	address: ServerAddress,
	options: ServerOptions,
	openSession?: PoolDatabaseOptions["openSession"],
): PoolDatabase {
	const pool = new pg.Pool({
		Client: ServerClient,
		...clientConfig(options),
		...driverAddress(address, options.tls),
		// A statement travels while the server is busy with the one before it.
		pipeline: true,
		max: options.poolSize,
		maxLifetimeSeconds: 600,
		// What the background does now and then must not keep the process alive.
		allowExitOnIdle: true,
	});
	return new PoolDatabase(pool, {
		capabilities: {
			kind: "server",
			maxConnections: options.poolSize,
			copy: true,
			autovacuum: true,
			listen: true,
			namedStatements: true,
			citus: false,
		},
		logger: options.logger,
		address: hostAndPort(address),
		retryTimeoutMs: options.retryTimeoutMs,
		queryTimeoutMs: options.queryTimeoutMs,
		...(openSession && { openSession }),
	});
}

function clientConfig({ connectTimeoutMs }: ServerOptions): pg.ClientConfig {
	return {
		application_name: "remdb",
		connectionTimeoutMillis: connectTimeoutMs,
		keepAlive: true,
		keepAliveInitialDelayMillis: 10_000,
		types: resultTypes,
	};
}

/** What the driver is given besides its own settings. */
interface ServerClientConfig extends pg.ClientConfig {
	readonly channelBinding?: ChannelBinding | undefined;
}

class ServerClient extends pg.Client {
	constructor(config: ServerClientConfig = {}) {
		const { channelBinding } = config;
		const isWanted = channelBinding !== undefined;
		super(isWanted ? withChannelBinding(config) : config);
		if (channelBinding === "require") requireChannelBinding(this);
		watchStandby(this);
		watchTls(this);
	}
}

function withChannelBinding(config: pg.ClientConfig): pg.ClientConfig {
	const enabled = { enableChannelBinding: true };
	return { ...config, ...enabled };
}

/** The address as the driver takes it. */
function driverAddress(
	address: ServerAddress,
	tls: TlsSettings,
): ServerClientConfig {
	const { connectionString, ...parts } = address;
	if (connectionString !== undefined) {
		const config = withTls(connectionString, tls);
		const channelBinding = channelBindingOf(connectionString);
		if (channelBinding === "require") refuseWithoutTls(config.ssl);
		return { ...config, channelBinding };
	}
	const isSocket = parts.host?.startsWith("/") === true;
	const ssl = isSocket ? undefined : tlsOptions(tls);
	return { ...parts, ...(ssl === undefined ? {} : { ssl }) };
}

const oldestVersion = 180000;
const extensions = extensionNames;

/** Throws unless the server is supported; returns what it is. */
async function checkServer(
	database: Database,
): Promise<{ readonly isCitus: boolean }> {
	const { rows } = await database.query<{
		version: number;
		encoding: string;
		available: string[];
		closed: { name: string; schema: string }[] | null;
		role: string;
		citus: boolean;
	}>(sql`
SELECT current_setting('server_version_num')::integer AS version,
  current_setting('server_encoding') AS encoding,
  ARRAY(SELECT name::text FROM pg_available_extensions) AS available,
  (SELECT jsonb_agg(jsonb_build_object('name', x.extname, 'schema', n.nspname) ORDER BY x.extname)
    FROM pg_extension AS x JOIN pg_namespace AS n ON n.oid = x.extnamespace
    WHERE x.extname IN ('vector', 'pg_trgm') AND NOT has_schema_privilege(n.oid, 'USAGE')) AS closed,
  current_user::text AS role,
  EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') AS citus`);
	const [server] = rows;
	if (server === undefined) return { isCitus: false };
	if (server.version < oldestVersion)
		throw new RemError(
			"SERVER_UNSUPPORTED",
			`the server is PostgreSQL ${Math.floor(server.version / 10000)}, expected 18 or later`,
			{ hint: "upgrade it, or use the image pgvector/pgvector:0.8.7-pg18" },
		);
	if (server.encoding !== "UTF8")
		throw new RemError(
			"SERVER_UNSUPPORTED",
			`the database is encoded in ${server.encoding}, expected UTF8`,
			{ hint: "createdb --encoding=UTF8 --template=template0 NAME" },
		);
	const missing = extensions.filter((name) => !server.available.includes(name));
	if (missing.length > 0)
		throw new RemError(
			"EXTENSION_MISSING",
			`the server has no extension ${missing.join(", ")}`,
			{ hint: installHint(missing) },
		);
	const [closed] = server.closed ?? [];
	if (closed !== undefined)
		throw new RemError(
			"EXTENSION_MISSING",
			`extension ${closed.name} is installed in schema "${closed.schema}", which role "${server.role}" may not use`,
			{
				hint: `let the schema's owner run: ${toText(sql`GRANT USAGE ON SCHEMA ${ident(closed.schema)} TO ${ident(server.role)}`)}`,
			},
		);
	return { isCitus: server.citus };
}

function installHint(missing: readonly string[]): string {
	const packages = [
		...(missing.includes("vector") ? ["postgresql-18-pgvector"] : []),
		...(missing.some((name) => name !== "vector")
			? ["postgresql-contrib"]
			: []),
	];
	return `on Debian or Ubuntu: apt install ${packages.join(" ")}; or use the image pgvector/pgvector:0.8.7-pg18`;
}

/** Host and port only: the rest of an address contains the password. */
function hostAndPort(address: ServerAddress): string {
	if (address.connectionString === undefined)
		return `${address.host ?? "localhost"}:${address.port ?? 5432}`;
	try {
		// Without a host there may be a user.
		const { hostname, port, searchParams } = new URL(
			address.connectionString.replace("@/", "@localhost/"),
		);
		const host = searchParams.get("host") ?? decodeURIComponent(hostname);
		const shownPort = searchParams.get("port") ?? port;
		return `${host || "localhost"}:${shownPort || 5432}`;
	} catch {
		return "the server";
	}
}
