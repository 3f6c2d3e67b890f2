import type pg from "pg";
import { RemError } from "../errors.ts";
import { sql } from "../sql.ts";
import type { Handle, QueryOptions } from "./database.ts";
import { sendOneByOne } from "./driver.ts";
import { unconfirmed } from "./send.ts";
import { type PinOptions, pinSettings } from "./session-settings.ts";
import type { SlowStatements } from "./slow-statements.ts";
import { unconfirmedCommit } from "./sql-state.ts";

/** A connection, and what its database is known to be. */
export interface Connection {
	readonly client: pg.ClientBase;
	readonly observed: ObservedDatabase;
	/** The longest time of a statement that is limited. @default none */
	readonly queryTimeoutMs?: number | undefined;
}

/** Before the first statement of a new connection. */
export function prepareClient(
	client: pg.ClientBase,
	options: PinOptions,
): Promise<void> {
	sendOneByOne(client);
	client.on("notice", (notice) => {
		const found = unconfirmedCommit(notice);
		if (found !== undefined) unconfirmed.set(client, found);
	});
	return pinSettings(client, options);
}

/** A failure before anything was sent is a failure to connect. */
export function cannotConnect(address: string, failure: RemError): RemError {
	const { code, message, hint, sqlState, cause } = failure;
	return new RemError(
		code === "DATABASE" ? "CONNECTION_FAILED" : code,
		`cannot connect to ${address}: ${message}`,
		{
			hint:
				hint ??
				"check the address: host, port, database, user, and parameters such as options",
			...(sqlState === undefined ? {} : { sqlState }),
			cause,
		},
	);
}

/** What is observed of a database, once for all its connections. */
export interface ObservedDatabase {
	vectorOid?: number;
	/** Where its statements are timed. */
	readonly slow?: SlowStatements;
	/** A pooler in between gives each transaction another connection, without the named statements. */
	losesNames?: boolean;
	/** Whether the server is the coordinator of a Citus cluster. */
	isCitus?: boolean;
}

/** The options, without the name where names are lost, and without the plan where Citus needs the values. */
export function withName(
	options: QueryOptions = {},
	{ losesNames = false, isCitus = false }: ObservedDatabase,
): QueryOptions {
	const isLost = losesNames && options.name !== undefined;
	const isPlanned = isCitus && options.plan !== undefined;
	if (!isLost && !isPlanned) return options;
	return {
		...options,
		...(isLost && { name: undefined }),
		...(isPlanned && { plan: undefined }),
	};
}

export async function vectorOid(
	handle: Handle,
	observed: ObservedDatabase,
): Promise<number> {
	observed.vectorOid ??= await readVectorOid(handle);
	return observed.vectorOid;
}

async function readVectorOid(handle: Handle): Promise<number> {
	const { rows } = await handle.query<{ oid: number }>(sql`
SELECT t.oid::integer AS oid
FROM pg_type t
JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'vector' AND t.typname = 'vector'`);
	const [type] = rows;
	if (type !== undefined) return type.oid;
	throw new RemError("EXTENSION_MISSING", "extension vector is not installed", {
		hint: "run `rem migrate` or service.migrate() first",
	});
}
