import type { SqlNode } from "../../sql-grammar.ts";
import { runsOutside } from "../run-file.ts";
import { type Finding, isOurs, lastName, type Rule } from "./rule.ts";

/** Rules for whole statements. */
export const statementRules: readonly Rule[] = [
	indexBlocksWriters,
	reindexBlocks,
	cannotRunInTransaction,
	dropsOurs,
	drops,
	truncates,
	renames,
	definerWithoutSearchPath,
	changesEveryRow,
	rewritesTable,
];

function indexBlocksWriters(
	node: SqlNode,
	{ newTables }: Parameters<Rule>[1],
): Finding[] {
	if (!("IndexStmt" in node) || node.IndexStmt.concurrent === true) return [];
	if (newTables.has(node.IndexStmt.relation?.relname ?? "")) return [];
	return [
		{
			rule: "index-without-concurrently",
			message: `the table "${node.IndexStmt.relation?.relname}" takes no writes while the index is built`,
			hint: "CREATE INDEX CONCURRENTLY IF NOT EXISTS, in a file that begins with -- rem: no-transaction",
		},
	];
}

function reindexBlocks(node: SqlNode): Finding[] {
	const isBlocking =
		("ReindexStmt" in node && !runsOutside(node)) ||
		("DropStmt" in node &&
			node.DropStmt.removeType === "OBJECT_INDEX" &&
			node.DropStmt.concurrent !== true);
	if (!isBlocking) return [];
	const words = "ReindexStmt" in node ? "REINDEX" : "DROP INDEX";
	return [
		{
			rule: "index-without-concurrently",
			message: `${words} waits for everybody who uses the table, and everybody else behind it`,
			hint: `${words} … CONCURRENTLY, in a file that begins with -- rem: no-transaction`,
		},
	];
}

function cannotRunInTransaction(
	node: SqlNode,
	{ isTransaction }: Parameters<Rule>[1],
): Finding[] {
	if (!isTransaction || !runsOutside(node)) return [];
	return [
		{
			rule: "not-in-transaction",
			message: "this cannot run in a transaction, and the file is one",
			hint: "begin the file with -- rem: no-transaction",
		},
	];
}

function dropsOurs(node: SqlNode): Finding[] {
	if (!("DropStmt" in node)) return [];
	return (node.DropStmt.objects ?? [])
		.map(lastName)
		.filter(isOurs)
		.map((name) => ({
			rule: "drops-ours",
			message: `"${name}" is remdb's: without it names or vectors are lost or wrong`,
			hint: "change the model (createKvTrigger: false, createEmbeddings: false) and migrate",
		}));
}

function drops(node: SqlNode): Finding[] {
	if (!("DropStmt" in node) || node.DropStmt.removeType !== "OBJECT_TABLE")
		return [];
	const names = (node.DropStmt.objects ?? []).map(lastName);
	return names
		.filter((name) => !isOurs(name))
		.map((name) => ({
			rule: "drop-table",
			message: `the rows of "${name}" are lost, and programs that still read it fail`,
			hint: "deploy programs that do without it first; keep a dump",
		}));
}

function truncates(node: SqlNode): Finding[] {
	if (!("TruncateStmt" in node)) return [];
	const { behavior } = node.TruncateStmt;
	return [
		{
			rule: "truncate",
			message: `all rows are lost${behavior === "DROP_CASCADE" ? ", those of tables that refer to it too" : ""}, and the table is locked for everybody`,
			hint: "delete in batches what may go",
		},
	];
}

function renames(node: SqlNode): Finding[] {
	if (!("RenameStmt" in node)) return [];
	const { renameType, subname, relation } = node.RenameStmt;
	const what =
		renameType === "OBJECT_COLUMN"
			? `column "${subname}"`
			: renameType === "OBJECT_TABLE"
				? `table "${relation?.relname}"`
				: undefined;
	if (what === undefined) return [];
	return [
		{
			rule: "rename",
			message: `programs that run while this is deployed know the ${what} by its old name`,
			hint: "add the new one, write both, copy, read the new one, then drop the old one",
		},
	];
}

function definerWithoutSearchPath(node: SqlNode): Finding[] {
	if (!("CreateFunctionStmt" in node)) return [];
	const options = (node.CreateFunctionStmt.options ?? []).flatMap((option) =>
		"DefElem" in option ? option.DefElem : [],
	);
	const isDefiner = options.some(
		({ defname, arg }) =>
			defname === "security" &&
			arg !== undefined &&
			"Boolean" in arg &&
			arg.Boolean.boolval === true,
	);
	const hasPath = options.some(
		({ arg }) =>
			arg !== undefined &&
			"VariableSetStmt" in arg &&
			arg.VariableSetStmt.name === "search_path",
	);
	if (!isDefiner || hasPath) return [];
	return [
		{
			rule: "definer-without-search-path",
			message:
				"whoever calls this SECURITY DEFINER function decides which tables and functions its names mean",
			hint: "SET search_path = pg_catalog, the schema, pg_temp — pg_temp last",
		},
	];
}

function changesEveryRow(
	node: SqlNode,
	{ newTables }: Parameters<Rule>[1],
): Finding[] {
	const change =
		"UpdateStmt" in node
			? node.UpdateStmt
			: "DeleteStmt" in node
				? node.DeleteStmt
				: undefined;
	if (change === undefined || change.whereClause !== undefined) return [];
	if (newTables.has(change.relation?.relname ?? "")) return [];
	return [
		{
			rule: "changes-every-row",
			message: `every row of "${change.relation?.relname}" is locked until the end, and written anew`,
			hint: "change them in batches, by a key, each in its own transaction",
		},
	];
}

function rewritesTable(node: SqlNode): Finding[] {
	const isFull =
		"VacuumStmt" in node &&
		(node.VacuumStmt.options ?? []).some(
			(option) => "DefElem" in option && option.DefElem.defname === "full",
		);
	if (!isFull && !("ClusterStmt" in node)) return [];
	return [
		{
			rule: "table-rewrite",
			message: "the table is written anew under a lock that stops everybody",
			hint: "plain VACUUM, or pg_repack",
		},
	];
}
