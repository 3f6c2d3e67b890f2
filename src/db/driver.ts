import type { EventEmitter } from "node:events";
import pg from "pg";

/** What a client of the driver has beyond its published types. */
interface ClientInternals {
	readonly host?: string;
	readonly port: number;
	readonly ssl: unknown;
	readonly sslNegotiation?: string;
	/** The process that the other end names: the server's, unless a pooler is in between. */
	readonly processID?: number;
	readonly secretKey?: number;
	readonly connection: DriverConnection;
	/** Whether the server has sent all that belongs to the last statement. */
	readonly readyForQuery: boolean;
	readonly pipeline?: boolean;
	query: (...given: unknown[]) => Promise<unknown>;
	/** Idle, in a transaction, or in a failed one, as the server reported last. */
	getTransactionStatus(): "I" | "T" | "E" | null;
	/** Lets the process end while the connection is open. */
	unref(): void;
}

/** A statement as the driver sends it and reads its result. */
export interface DriverQuery {
	name: string | undefined;
	callback: (error: Error | null, result?: pg.QueryResult) => void;
	readonly _result: DriverResult;
	_accumulateRows: boolean;
	hasBeenParsed(connection: DriverConnection): boolean;
	prepare(connection: DriverConnection): void;
	handleRowDescription(message: object): void;
	handleCommandComplete(message: object, connection: DriverConnection): void;
}

/** The columns of a result, and what the driver has prepared to read its rows with. */
export interface DriverResult {
	fields: object[];
	_parsers: unknown;
	_prebuiltEmptyResultObject: object | null;
}

/** The driver's class, which its published types declare without its members. */
export const DriverQuery = pg.Query as unknown as new (
	text: string,
	values: readonly unknown[],
) => DriverQuery;

export interface DriverConnection extends EventEmitter {
	readonly stream: EventEmitter & { destroy(error?: Error): void };
	connect(port: number | string, host?: string): void;
	requestSsl(): void;
	cancel(processId: number, secretKey: number): void;
	/** Asks for the columns of a result. */
	describe(message: object): void;
	/** Gives a prepared statement its values. */
	bind(message: object): void;
	/** Runs the statement that was given its values last. */
	execute(message: object): void;
}

export function internalsOf(client: pg.ClientBase): ClientInternals {
	return client as unknown as ClientInternals;
}

/** A connection without a client, for messages of the protocol itself. */
export function openRawConnection(config: object): DriverConnection {
	const { Connection } = pg as unknown as {
		Connection: new (config: object) => DriverConnection;
	};
	return new Connection(config);
}

/**
 * Lets a client that does not pipeline send a statement only when the one before
 * it is answered. The driver's own queue is deprecated, and goes with its next
 * major version; a client that pipelines may be busy.
 */
export function sendOneByOne(client: pg.ClientBase): void {
	const one = internalsOf(client);
	if (one.pipeline === true) return;
	const send = one.query.bind(client);
	let last: Promise<unknown> = Promise.resolve();
	let waiting = 0;
	one.query = (...given) => {
		waiting++;
		const sent =
			waiting === 1 ? send(...given) : last.then(() => send(...given));
		last = sent
			.catch(() => {
				// Its caller handles the failure.
			})
			.finally(() => {
				waiting--;
			});
		return sent;
	};
}
