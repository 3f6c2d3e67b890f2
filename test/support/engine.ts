import pg from "pg";
import { afterAll, beforeAll, inject } from "vitest";
import { Buckets, coreOfTenant } from "../../src/buckets/buckets.ts";
import type { ServiceCore } from "../../src/core/service-core.ts";
import {
	type ConnectOptions,
	type coreEntities,
	type Entity,
	PostgresService,
} from "../../src/index.ts";
import { isInOneBucket, searchPath } from "./schemas.ts";

/** The engine this run of the file is for. */
export const engine = process.env.REM_TEST_ENGINE as "embedded" | "server";

type Models = readonly Entity[];

/**
 * A database of its own on the engine of this run, empty but for the extensions; `drop`
 * it at the end. A test of how they are created asks for one without them.
 */
export async function createDatabase({
	hasExtensions = true,
}: {
	readonly hasExtensions?: boolean;
} = {}): Promise<{
	url: string;
	drop(): Promise<void>;
}> {
	if (engine === "embedded")
		return { url: "memory:", drop: async () => undefined };
	const server = process.env.REM_TEST_DATABASE_URL as string;
	const name = `rem_test_${process.pid}_${Date.now()}_${++databases}`;
	const withExtensions = hasExtensions ? inject("templateDatabase") : undefined;
	await asAdmin(
		server,
		`CREATE DATABASE ${name} ENCODING 'UTF8' TEMPLATE ${withExtensions ?? "template0"}`,
	);
	if (isInOneBucket)
		await asAdmin(
			server,
			`ALTER DATABASE ${name} SET search_path = ${searchPath}`,
		);
	const url = new URL(server);
	url.pathname = `/${name}`;
	return {
		url: url.href,
		drop: () => asAdmin(server, `DROP DATABASE ${name} WITH (FORCE)`),
	};
}

let databases = 0;

async function asAdmin(url: string, text: string): Promise<void> {
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	try {
		await client.query(text);
	} finally {
		await client.end();
	}
}

/**
 * A migrated service on a database of its own for all tests of a file (or of a
 * describe block): tests are separated by using tenants of their own.
 *
 * @example
 * const db = useService({ models: [Document] })
 * test("…", async () => { await db.service.batchUpsert(…) })
 */
export function useService<const M extends Models = typeof coreEntities>(
	options: ConnectOptions<M> = {},
): { readonly service: PostgresService<M>; readonly url: string } {
	const holder = {} as { service: PostgresService<M>; url: string };
	let drop: () => Promise<void>;
	beforeAll(async () => {
		const database = await createDatabase();
		drop = database.drop;
		holder.url = database.url;
		holder.service = await PostgresService.connect<M>({
			connectionString: database.url,
			embedding: { provider: "local" },
			poolSize: 8,
			...options,
		});
		await holder.service.migrate();
	});
	afterAll(async () => {
		await holder.service?.close();
		await drop?.();
	});
	return holder;
}

interface WithCore {
	readonly core: ServiceCore;
}

/** The core that has the tables: with buckets, that of the tenant's bucket. */
export function coreOf({ core }: WithCore, tenantId = "default"): ServiceCore {
	return coreOfTenant(core, tenantId);
}

/** The cores that have tables: with buckets, one for each. */
export function coresOf({ core }: WithCore): readonly ServiceCore[] {
	return core instanceof Buckets ? core.all() : [core];
}

/** Another tenant, whose rows are in the same tables. */
export function neighbourOf({ core }: WithCore, tenantId: string): string {
	for (let at = 0; ; at++) {
		const other = `${tenantId} neighbour ${at}`;
		const isBeside =
			!(core instanceof Buckets) ||
			core.numberOf(other) === core.numberOf(tenantId);
		if (isBeside) return other;
	}
}

/** The code of the RemError that the promise fails with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
	try {
		await promise;
	} catch (error) {
		return String((error as { code?: unknown }).code);
	}
	return "no error";
}
