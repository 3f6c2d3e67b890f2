import { hash } from "node:crypto";
import type pg from "pg";
import {
	type DriverConnection,
	DriverQuery,
	type DriverResult,
	internalsOf,
} from "./driver.ts";

/** A statement with a name, as the driver takes it. */
export interface NamedStatement {
	readonly text: string;
	readonly values: readonly unknown[];
	readonly name: string;
}

/**
 * Sends a statement that the connection prepares once, and caches the columns of its
 * result. The driver alone asks for them in each execution and prepares to read them,
 * half of the processor time of a short read. The columns of a prepared statement
 * cannot change: the server refuses to run it then ("cached plan must not change
 * result type"). Not for connections behind a pooler, which prepares the statement
 * again on each of its own.
 */
export function queryNamed(
	client: pg.ClientBase,
	{ text, values, name }: NamedStatement,
): Promise<pg.QueryResult> {
	return new Promise((resolve, reject) => {
		const query = new NamedQuery(text, values);
		query.name = name;
		query.callback = (error, result) => {
			if (result === undefined) reject(error);
			else resolve(result);
		};
		internalsOf(client).query(query);
	});
}

class NamedQuery extends DriverQuery {
	#statements: PreparedStatements | undefined;

	override prepare(connection: DriverConnection): void {
		this.#statements = statementsOf(connection);
		const columns = this.hasBeenParsed(connection)
			? this.#statements.columns.get(this.name)
			: undefined;
		if (columns === undefined) {
			super.prepare(connection);
			return;
		}
		Object.assign(this._result, columns);
		this._accumulateRows = true;
		super.prepare(this.#statements.undescribed);
	}

	override handleRowDescription(message: object): void {
		super.handleRowDescription(message);
		const { fields, _parsers, _prebuiltEmptyResultObject } = this._result;
		this.#statements?.columns.set(this.name, {
			fields,
			_parsers,
			_prebuiltEmptyResultObject,
		});
	}
}

interface PreparedStatements {
	/** The columns of each statement's result, by the statement's name. */
	readonly columns: Map<string | undefined, DriverResult>;
	/** The connection, without its request for the columns. */
	readonly undescribed: DriverConnection;
}

const prepared = new WeakMap<DriverConnection, PreparedStatements>();

function statementsOf(connection: DriverConnection): PreparedStatements {
	const known = prepared.get(connection);
	if (known !== undefined) return known;
	const undescribed = Object.create(connection, { describe: { value() {} } });
	const statements = { columns: new Map(), undescribed };
	prepared.set(connection, statements);
	return statements;
}

const names = new Map<string, string>();

/**
 * A name for the statement by its text: a connection refuses two texts of one
 * name. Only for texts of which there are few, such as a read in its variants:
 * every connection stores the plan of each.
 */
export function statementName(kind: string, text: string): string {
	const known = names.get(text);
	if (known !== undefined) return known;
	const name = `rem_${kind}_${hash("sha256", text).slice(0, 16)}`;
	if (names.size >= rememberedNames) names.clear();
	names.set(text, name);
	return name;
}

const rememberedNames = 1000;
