import { loadModule, parsePlPgSQLSync, parseSync } from "libpg-query";

// What Citus cannot plan or would distribute wrongly, as rules for the text of a
// statement: docs/decisions/0081-sql-for-citus.md. They prove that the known
// obstacles stay away, not that Citus works: test/proofs/citus does that.

type Tree = Readonly<Record<string, unknown>>;

await loadModule();

/** Statements without these words break no rule. */
const concerned =
	/\b(?:INSERT|UPDATE|DELETE|DO|FUNCTION|TABLESAMPLE|NOTIFY|LISTEN|TRIGGER)\b|;/i;

/** The rules that a text which is sent to the server breaks; most texts cost a look. */
export function brokenRules(text: string): string[] {
	if (!concerned.test(text)) return [];
	const statements = (parseSync(text).stmts ?? []).flatMap(({ stmt }) =>
		stmt === undefined ? [] : [stmt as unknown as Tree],
	);
	return [
		...new Set([
			...(statements.length > 1 && !statements.every(isFrame)
				? ["one statement a text"]
				: []),
			...statements.flatMap(ofStatement),
		]),
	];
}

/** Begins or ends a part of a transaction: Citus gets each of these alone. */
function isFrame(statement: Tree): boolean {
	if ("TransactionStmt" in statement || "VariableSetStmt" in statement)
		return true;
	return "SelectStmt" in statement && relationsOf(statement).every(isCatalogue);
}

function ofStatement(statement: Tree): string[] {
	if ("DoStmt" in statement) return ofBlock(statement.DoStmt as Tree);
	if ("CreateFunctionStmt" in statement)
		return ofFunction(statement.CreateFunctionStmt as Tree);
	if ("AlterTableStmt" in statement)
		return ofAlterTable(statement.AlterTableStmt as Tree);
	return ofQuery(statement);
}

function ofQuery(statement: Tree): string[] {
	return [
		...nodes(statement, "InsertStmt").flatMap(ofInsert),
		...[...nodes(statement, "UpdateStmt"), ...nodes(statement, "DeleteStmt")]
			.flatMap((change) => nodes(change, "FuncCall"))
			.filter((call) => volatile.has(nameOf(call)))
			.map(() => "no volatile function in UPDATE or DELETE"),
		...[...nodes(statement, "UpdateStmt"), ...nodes(statement, "DeleteStmt")]
			.filter((change) => relationsOf(change).some(isCatalogue))
			.map(() => "no catalogue in UPDATE or DELETE"),
		...nodes(statement, "RangeTableSample")
			.filter((sample) => nodes(sample, "ParamRef").length > 0)
			.map(() => "no parameter in TABLESAMPLE"),
	];
}

function ofInsert(insert: Tree): string[] {
	const { onConflictClause, selectStmt } = insert;
	const { targetList, whereClause } = (onConflictClause ?? {}) as Tree;
	const update = { targetList, whereClause };
	const broken: string[] = [];
	const calls = nodes(update, "FuncCall").filter(
		(call) => !immutable.has(nameOf(call)),
	);
	if (calls.length > 0 || nodes(update, "SQLValueFunction").length > 0)
		broken.push("no function in DO UPDATE SET or its WHERE");
	if (nodes(update, "ParamRef").length > 0)
		broken.push("no parameter in DO UPDATE SET or its WHERE");
	if (relationsOf(update).length > 0)
		broken.push("no subquery in DO UPDATE SET or its WHERE");
	const select = (selectStmt as Tree | undefined)?.SelectStmt as
		| Tree
		| undefined;
	if (select !== undefined && !("valuesLists" in select)) {
		const { fromClause = [] } = select as { fromClause?: Tree[] };
		if (fromClause.length === 0 || readsTable(insert, fromClause))
			broken.push("INSERT … SELECT reads a materialized CTE or a function");
	}
	return broken;
}

/** Whether rows come straight from a table; not where unnest in a SELECT list makes them. */
function readsTable(insert: Tree, from: readonly Tree[]): boolean {
	if (/"sval":"unnest"/.test(JSON.stringify(nodes(from, "RangeSubselect"))))
		return false;
	const known = new Set(
		nodes(insert, "CommonTableExpr").map(({ ctename }) => ctename),
	);
	return nodes(from, "RangeVar").some(
		({ relname, schemaname }) =>
			schemaname !== undefined || !(known.has(relname) || isOuter(relname)),
	);
}

/** CTEs of a statement around the INSERT. */
function isOuter(relname: unknown): boolean {
	return ["batch", "missing", "mine", "current", "input"].includes(
		String(relname),
	);
}

function ofAlterTable(change: Tree): string[] {
	const commands = nodes(change.cmds, "AlterTableCmd");
	const isOfTrigger = commands.some(({ subtype }) =>
		String(subtype).endsWith("Trig"),
	);
	return isOfTrigger && commands.length > 1
		? ["one change a statement where a trigger is enabled"]
		: [];
}

function ofBlock(block: Tree): string[] {
	const queries = queriesOf(bodyOf(block.args));
	return [
		...(queries.some((query) => /^\s*CREATE\s.*\bTABLE\b/i.test(query))
			? ["no CREATE TABLE in DO"]
			: []),
	];
}

function ofFunction(fn: Tree): string[] {
	if (!/"sval":"trigger"/.test(JSON.stringify(fn.returnType ?? {}))) return [];
	const body = bodyOf(fn.options);
	const broken = queriesOf(body).flatMap((query) => {
		const statements = tryParse(query);
		return statements.flatMap((statement) => {
			const names = relationsOf(statement);
			const transition = names.filter(isTransition);
			const joined = names.filter((name) => !isTransition(name));
			return [
				...ofQuery(statement),
				...(transition.length > 0 && joined.length > 0
					? ["no transition table beside a table"]
					: []),
				...(joined.some(isCatalogue) && !joined.every(isCatalogue)
					? ["no catalogue beside a table in a trigger"]
					: []),
			];
		});
	});
	const unguarded = body.replaceAll(
		/pg_dist_node'\) IS NULL THEN PERFORM pg_notify/g,
		"",
	);
	if (/pg_notify|\bNOTIFY\b/.test(unguarded))
		broken.push("no NOTIFY in triggers");
	return broken;
}

/** The SQL in a body of PL/pgSQL; that of EXECUTE is an expression. */
function queriesOf(body: string): string[] {
	const text = `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $rem_body$${body}$rem_body$`;
	return nodes(parsePlPgSQLSync(text), "PLpgSQL_expr").flatMap(({ query }) =>
		typeof query === "string" ? query : [],
	);
}

/** An expression such as a condition of IF is none. */
function tryParse(query: string): Tree[] {
	for (const text of [query, `SELECT ${query}`])
		try {
			return (parseSync(text).stmts ?? []).map(
				({ stmt }) => stmt as unknown as Tree,
			);
		} catch {
			// An assignment: `a := …`.
		}
	return tryParseAssigned(query);
}

function tryParseAssigned(query: string): Tree[] {
	const [, value] = /^\s*\w+\s*:=\s*([\s\S]+)$/.exec(query) ?? [];
	return value === undefined ? [] : tryParse(value);
}

function bodyOf(options: unknown): string {
	const as = nodes(options, "DefElem").find(({ defname }) => defname === "as");
	return nodes(as, "String")
		.map(({ sval }) => sval)
		.join("");
}

/** The tables, views and catalogue relations that are read or written, without CTEs. */
function relationsOf(tree: unknown): string[] {
	const ctes = new Set(
		nodes(tree, "CommonTableExpr").map(({ ctename }) => ctename),
	);
	const written = nodes(tree, "relation").flatMap(({ relname, schemaname }) =>
		typeof relname === "string" ? { relname, schemaname } : [],
	);
	return [...nodes(tree, "RangeVar"), ...written].flatMap(
		({ relname, schemaname }) =>
			schemaname === undefined && ctes.has(relname) ? [] : String(relname),
	);
}

const isTransition = (name: string) => /^(?:new|old)_rows$/.test(name);
const isCatalogue = (name: string) => name.startsWith("pg_");

function nameOf(call: Tree): string {
	return String(
		nodes(call.funcname, "String")
			.map(({ sval }) => sval)
			.at(-1),
	);
}

/** All nodes of a kind, at any depth. */
function nodes(tree: unknown, kind: string): readonly Tree[] {
	if (typeof tree !== "object" || tree === null) return [];
	let byKind = walked.get(tree);
	if (byKind === undefined) {
		byKind = new Map();
		addNodes(tree, byKind);
		walked.set(tree, byKind);
	}
	return byKind.get(kind) ?? [];
}

/** One walk of a tree for all kinds: one for each took a sixth of the processor time of four test files on a server. */
const walked = new WeakMap<object, Map<string, Tree[]>>();

function addNodes(tree: object, byKind: Map<string, Tree[]>): void {
	for (const [key, value] of Object.entries(tree)) {
		if (typeof value !== "object" || value === null) continue;
		const same = byKind.get(key);
		if (same === undefined) byKind.set(key, [value as Tree]);
		else same.push(value as Tree);
		addNodes(value, byKind);
	}
}

/** PostgreSQL marks these IMMUTABLE, and our DDL marks its own. */
const immutable = new Set(["rem_merge_edges", "unnest"]);

const volatile = new Set([
	"clock_timestamp",
	"gen_random_uuid",
	"nextval",
	"random",
	"timeofday",
	"uuidv4",
	"uuidv7",
]);
