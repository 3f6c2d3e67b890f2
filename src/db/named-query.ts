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
	/** Whether it is planned at once for any values. @default PostgreSQL plans the first five executions for theirs, and then chooses */
	readonly isGeneric?: boolean;
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
	{ text, values, name, isGeneric = false }: NamedStatement,
): Promise<pg.QueryResult> {
	if (isGeneric) prepareGenericPlan(client);
	return new Promise((resolve, reject) => {
		const query = new NamedQuery(text, values);
		query.name = name;
		query.isGeneric = isGeneric;
		query.callback = (error, result) => {
			if (result === undefined) reject(error);
			else resolve(result);
		};
		internalsOf(client).query(query);
	});
}

/**
 * The setting of a statement that is planned for any values. It is run in front of
 * the statement, before the message that ends both: so it ends with them, and no
 * other statement is planned by it, also where a pooler gives the connection to
 * another client then. SET LOCAL would warn that there is no transaction.
 */
const genericPlan = {
	name: "rem_generic_plan",
	text: "SELECT WHERE pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', TRUE) IS NULL",
};

/** The setting's own statement travels with the first one that is planned so. */
function prepareGenericPlan(client: pg.ClientBase): void {
	const { connection } = internalsOf(client);
	const statements = statementsOf(connection);
	if (statements.hasGenericPlan) return;
	statements.hasGenericPlan = true;
	client.query({ ...genericPlan, values: [] }).catch(() => {
		// The connection is gone, which the statement behind it reports.
		statements.hasGenericPlan = false;
	});
}

class NamedQuery extends DriverQuery {
	isGeneric = false;
	#statements: PreparedStatements | undefined;
	#isSetting = false;

	override prepare(connection: DriverConnection): void {
		if (this.isGeneric) {
			this.#isSetting = true;
			connection.bind({ statement: genericPlan.name, values: [] });
			connection.execute({});
		}
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

	/** That of the setting is not the statement's. */
	override handleCommandComplete(
		message: object,
		connection: DriverConnection,
	): void {
		if (this.#isSetting) this.#isSetting = false;
		else super.handleCommandComplete(message, connection);
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
	/** Whether {@link genericPlan} is prepared. */
	hasGenericPlan: boolean;
}

const prepared = new WeakMap<DriverConnection, PreparedStatements>();

function statementsOf(connection: DriverConnection): PreparedStatements {
	const known = prepared.get(connection);
	if (known !== undefined) return known;
	const undescribed = Object.create(connection, { describe: { value() {} } });
	const statements = {
		columns: new Map(),
		undescribed,
		hasGenericPlan: false,
	};
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
