import pg from "pg";
import type { Handle, QueryOptions, Result } from "../../src/db/database.ts";
import { savepointOf } from "../../src/db/open-transaction.ts";
import { PostgresService } from "../../src/index.ts";
import type { Sql, Statement } from "../../src/sql.ts";
import { routeStatement } from "./route-statement.ts";
import { isInOneBucket, schemas, searchPath } from "./schemas.ts";

// For the projects whose tenants are spread over buckets: the SQL that a test
// writes itself, by `execute`, on the handle of a transaction or on a connection of
// its own, names the tables as without buckets. Here it is sent to the tables of the
// buckets.

const { POSTGRES__BUCKETS: number } = process.env;
const schema = "public";

interface Answer {
	readonly rows: unknown[];
	readonly rowCount: number | null;
}

type Send = (text: string, values?: readonly unknown[]) => Promise<Answer>;

const installed = globalThis as { remInBuckets?: true };
if (number !== undefined && installed.remInBuckets === undefined) install();

function install(): void {
	installed.remInBuckets = true;
	const service = PostgresService.prototype as unknown as {
		execute: (this: unknown, ...given: Parameters<Send>) => Promise<Answer>;
	};
	const { execute } = service;
	replace(service, "execute", function (this: unknown, text, values) {
		return sent((...given) => execute.apply(this, given), text, values);
	} satisfies typeof execute);
	const { transaction } = PostgresService.prototype;
	replace(PostgresService.prototype, "transaction", function (
		this: PostgresService<never>,
		work: (tx: Handle) => Promise<unknown>,
		...options: []
	) {
		return transaction.call(this, inRoutedHandle(work), ...options);
	} as typeof transaction);
	if (isInOneBucket) setSearchPaths();
	const driver = pg.Client.prototype as unknown as {
		query: (this: pg.Client, ...given: unknown[]) => unknown;
	};
	const { query } = driver;
	replace(driver, "query", function (this: pg.Client, ...given) {
		const [text, values] = given;
		const isPlain =
			typeof text === "string" &&
			given.length <= 2 &&
			(values === undefined || Array.isArray(values));
		if (!isPlain || isOfTheLibrary(this)) return query.apply(this, given);
		const send = ((...own) => query.apply(this, own)) as Send;
		return sent(send, text, values as readonly unknown[] | undefined);
	} satisfies typeof query);
}

function replace<T extends object, K extends keyof T & string>(
	owner: T,
	name: K,
	method: T[K],
): void {
	Object.defineProperty(owner, name, {
		...Object.getOwnPropertyDescriptor(owner, name),
		value: method,
	});
}

/** The handle of a transaction, which a test uses itself and passes to calls. */
function routedHandle(tx: Handle): Handle {
	const send = (options?: QueryOptions): Send =>
		((text, values = []) =>
			tx.query({ text, values } as Statement, options)) as Send;
	const routed: Handle = {
		query: async (statement, options) =>
			(isStatement(statement)
				? await sent(send(options), statement.text, statement.values, send())
				: await tx.query(statement, options)) as never,
		script: async (text) => {
			if (typeof text !== "string") return tx.script(text);
			const own = directText(text);
			const texts =
				own === undefined ? await textsOf(text, undefined, send()) : [own];
			const results: Result[] = [];
			for (const one of texts) results.push(...(await tx.script(one)));
			return results;
		},
		transaction: (work, options) =>
			tx.transaction(inRoutedHandle(work), options),
		vectorOid: () => tx.vectorOid(),
	};
	// It is a handle of the same service.
	return savepointOf(routed, tx);
}

/** What is no function, and no statement, is for the library to refuse. */
function inRoutedHandle<T>(work: (tx: Handle) => T): (tx: Handle) => T {
	return typeof work === "function" ? (tx) => work(routedHandle(tx)) : work;
}

function isStatement(given: Sql | Statement): given is Statement {
	try {
		const { text, values } = (given ?? {}) as Partial<Statement>;
		return typeof text === "string" && Array.isArray(values);
	} catch {
		// A hostile value, such as a revoked proxy: the library refuses it.
		return false;
	}
}

function isOfTheLibrary(client: pg.Client): boolean {
	const { connectionParameters } = client as unknown as {
		readonly connectionParameters?: { readonly application_name?: string };
	};
	return (
		connectionParameters?.application_name === "remdb" ||
		client.constructor.name === "EmbeddedClient"
	);
}

/** The engine's only session; on a server the database has the path (`createDatabase`). */
function setSearchPaths(): void {
	const type = PostgresService as unknown as {
		connect: (this: unknown, ...given: unknown[]) => Promise<PostgresService>;
	};
	const { connect } = type;
	replace(type, "connect", async function (this: unknown, ...given) {
		const service = await connect.apply(this, given);
		if (service.capabilities.kind === "embedded")
			await service.execute(`SET search_path = ${searchPath}`);
		return service;
	} satisfies typeof connect);
}

function sent(
	send: Send,
	text: string,
	values: readonly unknown[] | undefined,
	ask = send,
): Promise<Answer> {
	// A hostile list has too many places to look at.
	const given =
		isInOneBucket && Array.isArray(values) && values.length < 1000
			? values.map(inOne)
			: values;
	const as = (own: string) =>
		values === undefined ? send(own) : send(own, given);
	// Statements that are not awaited are sent in their order.
	const own = typeof text === "string" ? directText(text) : text;
	return own === undefined ? routed(as, ask, text, values) : as(own);
}

/** The text of a statement that is sent once, `undefined` where that depends on the tables. */
function directText(text: string): string | undefined {
	if (isOfTheSession.test(text)) return text;
	if (isInOneBucket) return text.replaceAll(ownSchema, String(schemas[0]));
	// What the library sends in a test's transaction, and what a test wrote for one bucket.
	return schemas.some((one) => text.includes(one)) ? text : undefined;
}

const ownSchema = /\bpublic\b(?!"?\."?rem_buckets)/g;

const inOne = (value: unknown) => (value === schema ? schemas[0] : value);

async function routed(
	as: (text: string) => Promise<Answer>,
	ask: Send,
	text: string,
	values: readonly unknown[] | undefined,
): Promise<Answer> {
	const answers: Answer[] = [];
	for (const one of await textsOf(text, values, ask))
		answers.push(await as(one));
	const [first] = answers;
	if (answers.length === 1 && first !== undefined) return first;
	return {
		...first,
		rows: answers.flatMap(({ rows }) => rows),
		rowCount: answers.reduce((sum, { rowCount }) => sum + (rowCount ?? 0), 0),
	};
}

/** The texts to send instead. */
async function textsOf(
	text: string,
	values: readonly unknown[] | undefined,
	ask: Send,
): Promise<readonly string[]> {
	if (!mayNameTables.test(text)) return [text];
	const { relations, routines } = await readNames(ask);
	if (relations.size === 0) return [text];
	const given = { schemas, schema, relations, routines };
	return routeStatement(text, values, given) ?? [text];
}

const mayNameTables =
	/\b(?:FROM|INTO|UPDATE|TABLE|INDEX|ON|TRUNCATE|ANALYZE|VACUUM|VIEW|regclass)\b|\(/i;

/** Sent as they are, also where the transaction has failed: of the session, or of a database, whose search path names both schemas. */
const isOfTheSession =
	/^\s*(?:(?:BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|RESET|SHOW|LISTEN|NOTIFY|PREPARE TRANSACTION|(?:CREATE|ALTER|DROP) DATABASE)\b[^;]*(?:;\s*|$))+$/i;

async function readNames(ask: Send) {
	const { rows } = await ask(
		`SELECT relname::text AS name, true AS "isRelation" FROM pg_class WHERE relnamespace = to_regnamespace($1)
		UNION ALL SELECT proname::text, false FROM pg_proc AS p WHERE pronamespace = to_regnamespace($1)
			AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')`,
		[schemas[0]],
	);
	const names = rows as { name: string; isRelation: boolean }[];
	const of = (isRelation: boolean) =>
		new Set(
			names
				.filter((one) => one.isRelation === isRelation)
				.map(({ name }) => name),
		);
	return { relations: of(true), routines: of(false) };
}
