import pg from "pg";
import { PostgresService } from "../../src/index.ts";
import { routeStatement } from "./route-statement.ts";
import { isInOneBucket, schemas, searchPath } from "./schemas.ts";

// For the projects whose tenants are spread over buckets: the SQL that a test
// writes itself, by `execute` or on a connection of its own, names the tables as
// without buckets. Here it is sent to the tables of the buckets.

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
): Promise<Answer> {
	// A hostile list has too many places to look at.
	const given =
		isInOneBucket && Array.isArray(values) && values.length < 1000
			? values.map(inOne)
			: values;
	const as = (own: string) =>
		values === undefined ? send(own) : send(own, given);
	return typeof text !== "string" || isOfTheSession.test(text)
		? as(text)
		: isInOneBucket
			? as(
					text.replaceAll(
						/\bpublic\b(?!"?\."?rem_buckets)/g,
						String(schemas[0]),
					),
				)
			: routed(as, send, text, values);
}

const inOne = (value: unknown) => (value === schema ? schemas[0] : value);

async function routed(
	as: (text: string) => Promise<Answer>,
	send: Send,
	text: string,
	values: readonly unknown[] | undefined,
): Promise<Answer> {
	// What a test wrote for one bucket.
	if (schemas.some((one) => text.includes(one))) return as(text);
	const relations = await readRelations(send);
	if (relations.size === 0) return as(text);
	const texts = routeStatement(text, values, { schemas, schema, relations });
	if (texts === undefined) return as(text);
	const answers: Answer[] = [];
	for (const one of texts) answers.push(await as(one));
	const [first] = answers;
	if (answers.length === 1 && first !== undefined) return first;
	return {
		...first,
		rows: answers.flatMap(({ rows }) => rows),
		rowCount: answers.reduce((sum, { rowCount }) => sum + (rowCount ?? 0), 0),
	};
}

/** Sent as they are, also where the transaction has failed. */
const isOfTheSession =
	/^\s*(?:(?:BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|RESET|SHOW|LISTEN|NOTIFY|PREPARE TRANSACTION)\b[^;]*(?:;\s*|$))+$/i;

async function readRelations(send: Send): Promise<ReadonlySet<string>> {
	const { rows } = await send(
		"SELECT relname::text AS name FROM pg_class WHERE relnamespace = to_regnamespace($1)",
		[schemas[0]],
	);
	return new Set((rows as { name: string }[]).map(({ name }) => name));
}
